"""Views on an analysis that several figures and the page share. Draws nothing.

The frame of an analysis holds finished runs only; a value that was not recorded is absent here, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import UnknownName
from workbench.sweep.findings.statistics import outliers
from workbench.sweep.records.table import RUN_COLUMNS
from workbench.sweep.results import Analysis, Boundary, Comparison, MainEffect, Objective


def metrics(analysis: Analysis) -> tuple[str, ...]:
    """Metrics with at least one value: objectives, then quality, then everything else recorded."""
    known = {*RUN_COLUMNS, *analysis.parameters}
    stated = [objective.metric for objective in analysis.objectives]
    others = [str(column) for column in analysis.frame.columns if column not in known and column not in stated]
    return tuple(metric for metric in (*dict.fromkeys(stated), *others) if _has_values(analysis, metric))


def _has_values(analysis: Analysis, metric: str) -> bool:
    return metric in analysis.frame.columns and bool(np.isfinite(numbers(analysis.frame[metric])).any())


def numbers(column: pd.Series) -> pd.Series:
    """A column as float64; what is no number (an absent reading, a text) becomes NaN."""
    if column.dtype == np.float64:
        return column
    if column.dtype == bool:
        return pd.Series(np.nan, index=column.index)
    return pd.to_numeric(column, errors="coerce").astype("float64")


def objective_of(analysis: Analysis, metric: str) -> Objective | None:
    """The objective a metric serves, if any."""
    return next((objective for objective in analysis.objectives if objective.metric == metric), None)


def comparisons(analysis: Analysis, metric: str) -> list[Comparison]:
    """Every configuration against the baseline on one metric, in the order of the analysis."""
    return [comparison for comparison in analysis.comparisons if comparison.metric == metric]


def main_effects(analysis: Analysis, metric: str) -> dict[str, list[MainEffect]]:
    """Parameter -> its levels' effects on one metric; parameters in the order of the specification."""
    found: dict[str, list[MainEffect]] = {parameter: [] for parameter in analysis.parameters}
    for effect in analysis.main_effects:
        if effect.comparison.metric == metric:
            found.setdefault(effect.parameter, []).append(effect)
    return {parameter: effects for parameter, effects in found.items() if effects}


def runs(analysis: Analysis, metric: str) -> pd.DataFrame:
    """Runs that recorded a metric, in running order.

    Returns:
        Columns ``name`` (the configuration; twins told apart), ``arm``, ``block``, ``order``, ``host``, ``cell``,
        ``value`` (as recorded), ``relative`` (value / median of its configuration; NaN where that median is not
        positive) and ``outlier`` (:func:`~workbench.sweep.findings.statistics.outliers` within the configuration).
        Empty if nothing was recorded.

    Raises:
        UnknownName: no such metric; lists those there are.
    """
    if metric not in analysis.frame.columns:
        raise UnknownName("metric", metric, metrics(analysis))
    frame = analysis.frame.assign(value=numbers(analysis.frame[metric]), name=_names(analysis.frame))
    frame = frame[np.isfinite(frame["value"])].sort_values("order", kind="stable")
    frame = frame[["name", "arm", "block", "order", "host", "cell", "value"]].reset_index(drop=True)
    medians = frame.groupby("name", sort=False)["value"].transform("median")
    frame["relative"] = (frame["value"] / medians.where(medians > 0)).astype("float64")
    frame["outlier"] = frame.groupby("name", sort=False)["value"].transform(lambda column: outliers(list(column)))
    return frame.astype({"outlier": bool})


def names(analysis: Analysis) -> dict[str, str]:
    """Cell → name of its configuration, of every finished run; twins told apart."""
    return dict(zip(analysis.frame["cell"].astype(str), _names(analysis.frame), strict=True))


def _names(frame: pd.DataFrame) -> pd.Series:
    """Names of configurations; an A/A twin that carries its sibling's label is told apart."""
    labels, twin = frame["label"].astype(str), frame["arm"] == "twin"
    shared = twin & labels.isin(set(labels[~twin]))
    return labels.where(~shared, labels + " (twin)")


def block_name(block: Any) -> str:
    """A block as people count: from 1, as in the labels of cells."""
    return str(block + 1) if isinstance(block, int | np.integer) else str(block)


def reference_of(analysis: Analysis) -> str | None:
    """What configurations are compared with: the baseline, else the one the comparisons name."""
    return analysis.baseline or next((comparison.reference for comparison in analysis.comparisons), None)


def level_key(value: Any) -> str:
    """What makes two levels the same, whatever a table made of them: 512 and 512.0, None and NaN, tuple and list."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "None"
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.number):
        return repr(float(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return repr([level_key(item) for item in value])
    return repr(str(value))


def varied(analysis: Analysis) -> dict[str, Sequence[Any]]:
    """Parameters with more than one level; all of them if none has."""
    several = {name: levels for name, levels in analysis.parameters.items() if len(levels) > 1}
    return several or dict(analysis.parameters)


def grid(analysis: Analysis, metric: str) -> pd.DataFrame:
    """Runs of the grid with their levels as keys.

    Returns:
        One column per parameter (:func:`level_key`) and ``value``, NaN where the run did not record the metric.
    """
    frame = analysis.frame[analysis.frame["arm"] == "grid"]
    columns = {name: frame[name].map(level_key) for name in analysis.parameters if name in frame.columns}
    return pd.DataFrame({**columns, "value": numbers(frame[metric])})


def grid_labels(analysis: Analysis, metric: str) -> int:
    """How many configurations of the grid recorded a metric."""
    frame = analysis.frame[analysis.frame["arm"] == "grid"]
    return int(frame["label"][np.isfinite(numbers(frame[metric]))].nunique())


def not_fitting(analysis: Analysis, levels: Mapping[str, str]) -> list[Boundary]:
    """Configurations that did not fit into memory, those with the given levels.

    Args:
        analysis: what a sweep found.
        levels: parameter → :func:`level_key`.
    """
    return [
        boundary
        for boundary in analysis.boundaries
        if all(
            name in boundary.configuration and level_key(boundary.configuration[name]) == level
            for name, level in levels.items()
        )
    ]
