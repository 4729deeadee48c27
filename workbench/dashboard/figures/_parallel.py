"""What stands on the axes of parallel coordinates: parameters and measures on one scale from 0 to 1. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.dashboard import data
from workbench.dashboard.text import told_apart
from workbench.dashboard.units import axis_title, format_number, shown
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis

TICK = 14
"""Characters of a tick's text that have room between two axes."""

_MOST_LEVELS = 12
_SPREAD = 0.03
"""How far lines through the same level are drawn apart, so that they can be followed."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        heading: plain text above it.
        places: (configurations,) 0 (bottom) to 1; NaN: this configuration has no value here.
        ticks: (place, plain text), from the bottom up.
    """

    heading: str
    places: np.ndarray[Any, np.dtype[np.float64]]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Lines:
    """Every configuration's way through the axes.

    Attributes:
        labels: of the configurations.
        axes: parameters, then measures; the measure that colours the lines is the last.
        goodness: (configurations,) 0 (worst) to 1 (best) on that measure.
    """

    labels: Sequence[str]
    axes: Sequence[Axis]
    goodness: np.ndarray[Any, np.dtype[np.float64]]


def lines_of(analysis: Analysis, metric: str, parameters: Sequence[str], measures: Sequence[str], most: int) -> Lines:
    """Medians of every configuration of the grid; the ``most`` best of them on ``metric``.

    Args:
        analysis: what the sweep found.
        metric: what colours the lines.
        parameters: of the analysis, in this order.
        measures: metrics, in this order; ``metric`` is added as the last.
        most: configurations to keep.
    """
    measures = [*(one for one in measures if one != metric), metric]
    table = _medians(analysis, parameters, measures).dropna(subset=[metric])
    upwards = not _minimised(analysis, metric)
    table = table.sort_values(metric, ascending=not upwards, kind="stable").head(most)
    last = _measure_axis(analysis, metric, table[metric])
    rank = np.linspace(1, -1, len(table)) if len(table) > 1 else np.zeros(1)
    axes = [_parameter_axis(name, analysis.parameters[name], table[name], rank) for name in parameters]
    axes += [_measure_axis(analysis, name, table[name]) for name in measures[:-1]]
    return Lines([str(label) for label in table.index], [*axes, last], last.places)


def _minimised(analysis: Analysis, metric: str) -> bool:
    objective = data.objective_of(analysis, metric)
    return objective is not None and objective.direction == "minimize"


def _medians(analysis: Analysis, parameters: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """One row per configuration: its levels, as keys, and the medians of its measures."""
    frame = analysis.frame[analysis.frame["arm"] == "grid"]
    keys = {name: frame[name].map(data.level_key) for name in parameters}
    values = {name: data.numbers(frame[name]) for name in measures}
    table = pd.DataFrame({"label": frame["label"].astype(str), **keys, **values})
    how: Mapping[str, str] = {**dict.fromkeys(parameters, "first"), **dict.fromkeys(measures, "median")}
    return table.groupby("label", sort=False).agg(how)


def _parameter_axis(
    name: str, levels: Sequence[Any], column: pd.Series, rank: np.ndarray[Any, np.dtype[np.float64]]
) -> Axis:
    ordered = sorted(levels) if all(_is_number(level) for level in levels) else list(levels)
    place = {data.level_key(level): (at + 0.5) / len(ordered) for at, level in enumerate(ordered)}
    places = column.map(place).to_numpy(dtype=np.float64)
    step = max(1, -(-len(ordered) // _MOST_LEVELS))
    shown_ones = ordered[::step]
    names = told_apart([show(level) for level in shown_ones], TICK)
    ticks = [(place[data.level_key(level)], text) for level, text in zip(shown_ones, names, strict=True)]
    return Axis(name, places + rank * min(_SPREAD, 0.3 / len(ordered)), ticks)


def _is_number(level: Any) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)


def _measure_axis(analysis: Analysis, metric: str, column: pd.Series) -> Axis:
    """Worst at the bottom, best on top, whichever way is good."""
    values = column.to_numpy(dtype=np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    share = (values - low) / (high - low) if high > low else np.where(np.isnan(values), np.nan, 0.5)
    marks = np.linspace(low, high, 5) if high > low else np.array([low])
    at = np.linspace(0, 1, 5) if high > low else np.array([0.5])
    if _minimised(analysis, metric):
        share, at = 1 - share, 1 - at
    ticks = sorted(
        (float(place), format_number(shown(metric, float(mark)))) for place, mark in zip(at, marks, strict=True)
    )
    return Axis(axis_title(metric), share, ticks)
