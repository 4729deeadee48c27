"""Runs along the levels of the parameter that is the load: one line per configuration of the others. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.dashboard import data
from workbench.dashboard.figures._front import Value, median_of
from workbench.sweep.design.planning import label_of
from workbench.sweep.results import Analysis

ONLY = "every run"
"""The one line there is where nothing but the load was varied."""


@dataclass(frozen=True, slots=True)
class Point:
    """One level of load.

    Attributes:
        level: as the specification has it.
        values: metric → median over the runs; absent if none recorded it.
    """

    level: Any
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Line:
    """One configuration of the other parameters.

    Attributes:
        name: for people.
        points: in the order of the load.
        labels: of the configurations that lie on it, load included.
    """

    name: str
    points: Sequence[Point]
    labels: frozenset[str]

    def peak(self, metric: str) -> Point:
        """Where a metric is largest."""
        return max(self.points, key=lambda point: point.values[metric].middle)


def lines_of_load(analysis: Analysis, metrics: Sequence[str]) -> list[Line]:
    """Every line, its points those at which the first two of ``metrics`` were recorded; none if no line has two points.

    Twins are left out: they repeat their sibling.
    """
    if analysis.load is None or not {analysis.load, *metrics} <= set(analysis.frame.columns):
        return []
    levels = {data.level_key(level): level for level in analysis.parameters.get(analysis.load, ())}
    frame = analysis.frame[analysis.frame["arm"] != "twin"]
    frame = frame.assign(key=frame[analysis.load].map(data.level_key), line=_names(analysis, frame))
    lines = [
        Line(str(name), _points(part, _ordered(levels), metrics), frozenset(part["label"].astype(str)))
        for name, part in frame.groupby("line", sort=False)
    ]
    lines = [line for line in lines if line.points]
    return lines if any(len(line.points) > 1 for line in lines) else []


def _ordered(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers by size, anything else in the order of the specification."""
    if all(isinstance(level, int | float) for level in levels.values()):
        return dict(sorted(levels.items(), key=lambda item: item[1]))
    return dict(levels)


def _points(part: pd.DataFrame, levels: Mapping[str, Any], metrics: Sequence[str]) -> list[Point]:
    found = []
    for key, level in levels.items():
        runs = part[part["key"] == key]
        values = {metric: _value(runs[metric]) for metric in metrics}
        present = {metric: value for metric, value in values.items() if value is not None}
        if all(metric in present for metric in metrics[:2]):
            found.append(Point(level, present))
    return found


def _value(column: pd.Series) -> Value | None:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
    finite = numbers[np.isfinite(numbers)]
    return median_of(list(finite)) if len(finite) else None


def _names(analysis: Analysis, frame: pd.DataFrame) -> list[str]:
    """A run's configuration without its load: what is not a level of a parameter plays no part in it."""
    others = {
        name: {data.level_key(level): level for level in levels}
        for name, levels in data.varied(analysis).items()
        if name != analysis.load and name in frame.columns
    }
    rows = zip(frame["arm"], *(frame[name].map(data.level_key) for name in others), strict=True)
    return [_name(str(arm), dict(zip(others, keys, strict=True)), others) for arm, *keys in rows]


def _name(arm: str, keys: Mapping[str, str], levels: Mapping[str, Mapping[str, Any]]) -> str:
    if arm != "grid":
        return arm
    known = {name: levels[name][key] for name, key in keys.items() if key in levels[name]}
    return label_of(known) if known else ONLY
