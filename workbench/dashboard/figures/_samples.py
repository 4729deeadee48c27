"""Views on the samples of an analysis, and thinning that a screen cannot tell from the whole. Draws nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.dashboard import data
from workbench.sweep.results import Analysis

Numbers = NDArray[np.float64]


def series_names(analysis: Analysis) -> tuple[str, ...]:
    """Every series any run has samples of, in order of appearance."""
    samples = analysis.samples
    return () if samples is None or samples.empty else tuple(str(name) for name in samples["series"].unique())


def of_series(analysis: Analysis, series: str) -> pd.DataFrame:
    """Samples of one series over all finished runs.

    Returns:
        Columns ``name`` (the configuration; twins told apart), ``cell``, ``at_s``, ``value`` (finite).
    """
    columns = ["name", "cell", "at_s", "value"]
    if series not in series_names(analysis):
        return pd.DataFrame(columns=columns)
    assert analysis.samples is not None  # noqa: S101 - series_names has looked
    samples = analysis.samples[analysis.samples["series"] == series]
    samples = samples.assign(
        name=samples["cell"].map(data.names(analysis)), value=pd.to_numeric(samples["value"], errors="coerce")
    )
    kept = np.isfinite(samples["value"].astype("float64")) & samples["name"].notna()
    return samples.loc[kept, columns]


def of_cell(analysis: Analysis, cell: str) -> dict[str, tuple[Numbers, Numbers]]:
    """Series → (seconds, values; an absent reading is NaN) of one run, in order of time."""
    if analysis.samples is None:
        return {}
    samples = analysis.samples[analysis.samples["cell"] == cell]
    found = {}
    for name, part in samples.groupby("series", sort=False):
        ordered = part.sort_values("at_s", kind="stable")
        values = pd.to_numeric(ordered["value"], errors="coerce")
        found[str(name)] = (ordered["at_s"].to_numpy(float), values.to_numpy(float))
    return found


def steps(values: Numbers, pixels: int) -> tuple[Numbers, Numbers]:
    """The empirical distribution function as the upper ends of its steps.

    Left out are steps that rise by less than half a pixel since the last one drawn: between two points the drawn
    curve is never more than that below the true one, and never above it.

    Args:
        values: at least one, in any order.
        pixels: height of the curve.

    Returns:
        Values in ascending order, and the share of all values that are not larger; the last share is 1.
    """
    ordered = np.sort(values)
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    shares = (last + 1) / len(ordered)
    level = np.floor(shares * 2 * pixels)
    kept = np.append(True, level[1:] != level[:-1])
    kept[-1] = True
    return ordered[last][kept], shares[kept]


def distinct(places: Numbers, low: float, high: float, pixels: int) -> NDArray[np.bool_]:
    """Which marks along an axis to draw so that no pixel loses its mark.

    Args:
        places: where they are, in axis coordinates.
        low: left end of the axis.
        high: right end.
        pixels: length of the axis.
    """
    cell = np.floor((places - low) / max(high - low, 1e-300) * pixels)
    kept = np.zeros(len(places), dtype=bool)
    kept[np.unique(cell, return_index=True)[1]] = True
    return kept


def thinned(at: Numbers, values: Numbers, pixels: int) -> tuple[Numbers, Numbers]:
    """A line over time with the first, last, smallest and largest value of each pixel's width, gaps kept.

    That draws the same pixels as the whole line (M4; Jugel et al., VLDB 2014).

    Args:
        at: seconds, ascending.
        values: NaN is a gap.
        pixels: width of the line.
    """
    if len(at) <= 4 * pixels:
        return at, values
    edges = np.linspace(at[0], at[-1], pixels + 1)[1:-1]
    kept: set[int] = set()
    for part in np.split(np.arange(len(at)), np.searchsorted(at, edges)):
        if len(part):
            kept |= _four(part, values)
    places = sorted(kept)
    return at[places], values[places]


def _four(part: NDArray[np.intp], values: Numbers) -> set[int]:
    seen, absent = part[~np.isnan(values[part])], part[np.isnan(values[part])]
    ends = {int(part[0]), int(part[-1]), *(int(place) for place in absent[:1])}
    return ends if not len(seen) else ends | {int(seen[values[seen].argmin()]), int(seen[values[seen].argmax()])}
