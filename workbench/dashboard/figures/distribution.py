"""Every single measured value, one row per configuration: what the statistics were computed from."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.figures.run_order import ARMS, by_arm, hover_texts
from workbench.dashboard.text import plain, wrapped
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import axis_title, format_value, metric_name, shown
from workbench.errors import UsageError
from workbench.sweep.results import Analysis

_AXIS, _TOP = 54, 34
_SPREAD = 0.22


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether the metric was recorded at all."""
    return metric in data.metrics(analysis)


def distribution(analysis: Analysis, metric: str) -> go.Figure:
    """Strip plot of the raw values with each configuration's median, sorted by it.

    Raises:
        UnknownName: no such metric.
        UsageError: no run recorded it.
    """
    runs = data.runs(analysis, metric)
    if runs.empty:
        raise UsageError(f"No run recorded {metric!r}: there is nothing to show.")
    medians = _ranked(analysis, metric, runs)
    rows = {name: row for row, name in enumerate(medians.index)}
    labels = _parts.Rows(list(medians.index), [format_value(metric, median) for median in medians])
    figure = go.Figure([*_points(runs, metric, rows), _medians(medians, metric)])
    figure.update_layout(
        xaxis={
            "title": {"text": wrapped(axis_title(metric), 60)},
            "showgrid": True,
            "nticks": 6,
            "tickangle": 0,
            "exponentformat": "none",
        }
        | {"separatethousands": True},
        yaxis=labels.axis(),
        annotations=labels.annotations(),
        margin={"t": _TOP, "b": _AXIS, "l": 10, "r": labels.right_margin()},
    )
    low, high = format_value(metric, runs["value"].min()), format_value(metric, runs["value"].max())
    extent = f"all at {low}" if low == high else f"from {low} to {high}"
    return theme.finish(
        figure,
        title=f"{metric_name(metric)}: {len(runs)} runs of {len(rows)} configurations, {extent}",
        description="Each point is one run; the bar is the configuration's median, printed at the right.",
        height=labels.height() + _AXIS + _TOP,
        narrow=labels.narrow(_AXIS + _TOP + 20, clearance=18),
        narrow_below=labels.wide_enough(),
    )


def _ranked(analysis: Analysis, metric: str, runs: pd.DataFrame) -> pd.Series:
    """Median of each configuration, best first."""
    objective = data.objective_of(analysis, metric)
    ascending = objective is not None and objective.direction == "minimize"
    return runs.groupby("name", sort=False)["value"].median().sort_values(ascending=ascending, kind="stable")


def _points(runs: pd.DataFrame, metric: str, rows: dict[str, int]) -> list[go.Scatter]:
    """Points of one row are spread by running order, so that equal values stay visible and drift shows as a slope."""
    place = runs.groupby("name")["order"].rank(method="first")
    count = runs.groupby("name")["order"].transform("count")
    offset = (place - (count + 1) / 2) / count.clip(lower=2) * 2 * _SPREAD
    runs = runs.assign(y=runs["name"].map(rows) + offset)
    traces = []
    for arm, chosen in by_arm(runs):
        colour, symbol = ARMS.get(arm, (NEUTRAL, "cross"))
        traces.append(
            go.Scatter(
                x=shown(metric, 1.0) * chosen["value"].to_numpy(),
                y=chosen["y"].to_numpy(),
                mode="markers",
                name=plain(arm),
                marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
                text=hover_texts(chosen, metric),
                hovertemplate="%{text}<extra></extra>",
            )
        )
    return traces


def _medians(medians: pd.Series, metric: str) -> go.Scatter:
    return go.Scatter(
        x=shown(metric, 1.0) * medians.to_numpy(),
        y=list(range(len(medians))),
        mode="markers",
        name="median",
        marker={"symbol": "line-ns-open", "size": 20, "color": NEUTRAL, "line": {"width": 3}},
        hoverinfo="skip",
    )
