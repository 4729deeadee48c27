"""What stands where in a heatmap: medians over two parameters, one map per level of a third. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.dashboard import data
from workbench.errors import UnknownName, UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis, Boundary

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]


_WIDE = 10.0
"""Medians that span more than this factor are coloured by their logarithms."""


@dataclass(frozen=True, slots=True)
class Facet:
    """One map; every array is (levels of y, levels of x).

    Attributes:
        heading: the level it is of; empty without such a parameter.
        medians: NaN where nothing ran.
        counts: runs behind each median.
        refused: configurations that did not fit into memory.
        said: what the last of them said; empty where all fitted.
    """

    heading: str
    medians: Floats
    counts: Counts
    refused: Counts
    said: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is shown where; ``y`` is ``None`` when one parameter is all there is."""

    metric: str
    x: str
    y: str | None
    x_levels: Sequence[Any]
    y_levels: Sequence[Any]
    facet: str | None
    facets: Sequence[Facet]
    less_is_more: bool

    @property
    def medians(self) -> Floats:
        """Every median that is shown."""
        found = np.concatenate([facet.medians.ravel() for facet in self.facets])
        shown_ones: Floats = found[np.isfinite(found)]
        return shown_ones

    @property
    def complete(self) -> int:
        """Runs of a cell that lacks none."""
        return max(int(facet.counts.max()) for facet in self.facets)

    @property
    def by_factors(self) -> bool:
        """Whether colours go by the logarithm: else one cell far off would leave all others in one shade."""
        return bool(self.medians.min() > 0 and self.medians.max() > _WIDE * self.medians.min())

    def brightness(self, median: float) -> float:
        """Place of a median on the colour scale: 0 dark, 1 bright; the best is brightest."""
        low, high = self.medians.min(), self.medians.max()
        if self.by_factors:
            low, high, median = np.log(low), np.log(high), float(np.log(median))
        share = float((median - low) / (high - low)) if high > low else 1.0
        return 1 - share if self.less_is_more and high > low else share


def plan_of(analysis: Analysis, metric: str, x: str | None, y: str | None, facet: str | None) -> Plan:
    """The maps of a metric; parameters left open are chosen.

    Raises:
        UnknownName: a parameter the sweep does not have.
        UsageError: no parameter is left to go across.
    """
    x, y, facet = _choose(analysis, x, y, facet)
    return Plan(
        metric,
        x,
        y,
        analysis.parameters[x],
        analysis.parameters[y] if y else ("",),
        facet,
        _facets(analysis, metric, x, y, facet),
        less_is_more(analysis, metric),
    )


def pooled(analysis: Analysis, plan: Plan) -> list[str]:
    """Varied parameters that no axis and no map stands for."""
    return [name for name in data.varied(analysis) if name not in (plan.x, plan.y, plan.facet)]


def less_is_more(analysis: Analysis, metric: str) -> bool:
    """Whether a stated objective is to be minimised."""
    objective = data.objective_of(analysis, metric)
    return objective is not None and objective.direction == "minimize"


def _choose(analysis: Analysis, x: str | None, y: str | None, facet: str | None) -> tuple[str, str | None, str | None]:
    """Fill in the parameters that were left open: those that decide what fits, then those that vary, in order."""
    for name in (x, y, facet):
        if name is not None and name not in analysis.parameters:
            raise UnknownName("parameter", name, analysis.parameters)
    free = [name for name in data.varied(analysis) if name not in (x, y, facet)]
    free.sort(key=lambda name: -_decides_what_fits(analysis, name))
    if x is None and y is None:
        free[:2] = sorted(free[:2], key=lambda name: len(analysis.parameters[name]))
    if x is None:
        if not free:
            raise UsageError("No parameter is left to go across. Name one as x, and others as y and facet.")
        x = free.pop(0)
    if y is None and free:
        y = free.pop(0)
    return x, y, facet or (free[0] if free else None)


def _decides_what_fits(analysis: Analysis, name: str) -> int:
    """How unequally its levels share the configurations that did not fit; 0: it makes no difference."""
    refused = [data.not_fitting(analysis, {name: data.level_key(level)}) for level in analysis.parameters[name]]
    counts = [len(found) for found in refused]
    return max(counts) - min(counts)


def _facets(analysis: Analysis, metric: str, x: str, y: str | None, facet: str | None) -> list[Facet]:
    frame = data.grid(analysis, metric)
    if facet is None:
        return [_facet("", frame, analysis, x, y, {})]
    return [
        _facet(f"{facet} = {show(level)}", frame[frame[facet] == key], analysis, x, y, {facet: key})
        for level in analysis.parameters[facet]
        for key in (data.level_key(level),)
    ]


def _facet(
    heading: str, frame: pd.DataFrame, analysis: Analysis, x: str, y: str | None, fixed: dict[str, str]
) -> Facet:
    across = [data.level_key(level) for level in analysis.parameters[x]]
    down = [data.level_key(level) for level in analysis.parameters[y]] if y else [""]
    rows = [frame if y is None else frame[frame[y] == level] for level in down]
    cells = [[row.loc[row[x] == level, "value"].dropna() for level in across] for row in rows]
    refused = [
        [data.not_fitting(analysis, {**fixed, x: one, **({y: other} if y else {})}) for one in across] for other in down
    ]
    return Facet(
        heading,
        np.array([[cell.median() if len(cell) else np.nan for cell in row] for row in cells]),
        np.array([[len(cell) for cell in row] for row in cells]),
        np.array([[len(found) for found in row] for row in refused]),
        [[_said(found) for found in row] for row in refused],
    )


def _said(refused: Sequence[Boundary]) -> str:
    return refused[-1].said if refused else ""
