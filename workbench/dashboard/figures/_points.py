"""Configurations as points on two measures, each with its uncertainty, and which of them nothing beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from workbench.dashboard import data
from workbench.dashboard.figures._front import Value, doubtful, front, median_of
from workbench.dashboard.figures._placing import Scale, scale_of
from workbench.dashboard.units import shown
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis, Direction

SEPARATOR = " · "
"""Between the levels in a point's name."""


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration."""

    name: str
    cost: Value
    quality: Value


@dataclass(frozen=True)
class Plot:
    """Everything a front is drawn from.

    Attributes:
        cost: metric across.
        quality: metric up.
        cost_is: which way is good.
        quality_is: which way is good.
        best: points on the front, from the best cost to the worst.
        doubtful: points that others beat, but not beyond the uncertainty.
        rest: the others.
    """

    cost: str
    quality: str
    cost_is: Direction
    quality_is: Direction
    best: Sequence[Point]
    doubtful: Sequence[Point]
    rest: Sequence[Point]

    @property
    def points(self) -> list[Point]:
        """All of them, those that matter most first."""
        return [*self.best, *self.doubtful, *self.rest]

    @cached_property
    def x(self) -> Scale:
        """The scale across."""
        return scale_of(_extent(self.cost, [point.cost for point in self.points]), may_be_log=True)

    @cached_property
    def y(self) -> Scale:
        """The scale up."""
        return scale_of(_extent(self.quality, [point.quality for point in self.points]), may_be_log=False)


def plot_of(points: Sequence[Point], cost: str, quality: str, cost_is: Direction, quality_is: Direction) -> Plot:
    """Points sorted into those that nothing beats, those in doubt, and the rest."""
    costs, qualities = [point.cost for point in points], [point.quality for point in points]
    on = front([value.middle for value in costs], [value.middle for value in qualities], cost_is, quality_is)
    unsure = doubtful(costs, qualities, cost_is, quality_is)
    best = sorted((p for p, kept in zip(points, on, strict=True) if kept), key=lambda p: p.cost.middle)
    return Plot(
        cost,
        quality,
        cost_is,
        quality_is,
        best if cost_is == "minimize" else best[::-1],
        [p for p, kept, open_ in zip(points, on, unsure, strict=True) if open_ and not kept],
        [p for p, kept, open_ in zip(points, on, unsure, strict=True) if not open_ and not kept],
    )


def of_analysis(analysis: Analysis, cost: str, quality: str) -> pd.DataFrame:
    """Runs with both metrics, twins left out, labelled by the parameters that vary."""
    frame = analysis.frame[analysis.frame["arm"] != "twin"]
    bounds = [f"{metric}_{end}" for metric in (cost, quality) for end in ("low", "high")]
    frame = frame[[*(column for column in (cost, quality, *bounds) if column in frame.columns)]].assign(
        label=_names(analysis, frame)
    )
    return frame[np.isfinite(data.numbers(frame[cost])) & np.isfinite(data.numbers(frame[quality]))]


def _names(analysis: Analysis, frame: pd.DataFrame) -> list[str]:
    varied = [name for name in data.varied(analysis) if name in analysis.frame.columns]
    rows = analysis.frame.loc[frame.index]
    told = zip(rows["arm"], rows["label"], *(rows[name] for name in varied), strict=True)
    return [
        str(label) if arm == "baseline" or not varied else SEPARATOR.join(show(level) for level in levels)
        for arm, label, *levels in told
    ]


def points_of(frame: pd.DataFrame, cost: str, quality: str, labels: Sequence[str]) -> list[Point]:
    """One point per label: medians and intervals of its rows that have both measures."""
    numbers = frame.assign(**{name: data.numbers(frame[name]) for name in (cost, quality)})
    numbers = numbers[np.isfinite(numbers[cost]) & np.isfinite(numbers[quality])]
    names = [
        SEPARATOR.join(show(level) for level in levels)
        for levels in zip(*(numbers[name] for name in labels), strict=True)
    ]
    return [
        Point(str(name), _value(runs, cost), _value(runs, quality))
        for name, runs in numbers.groupby(pd.Series(names, index=numbers.index), sort=False)
    ]


def _value(runs: pd.DataFrame, metric: str) -> Value:
    found = median_of(list(runs[metric]))
    bounds = [f"{metric}_low", f"{metric}_high"]
    if not set(bounds) <= set(runs.columns):
        return found
    low, high = (float(data.numbers(runs[name]).median()) for name in bounds)
    known = math.isfinite(low) and math.isfinite(high)
    return Value(found.middle, min(low, found.middle), max(high, found.middle), found.n) if known else found


def _extent(metric: str, values: Sequence[Value]) -> list[float]:
    bounds = [bound for value in values for bound in (value.middle, value.low, value.high)]
    return [shown(metric, bound) for bound in bounds if bound is not None]
