"""Cost against quality: which configurations nothing else beats in both respects (the Pareto front)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures._front import Value
from workbench.dashboard.figures._names import names_beside
from workbench.dashboard.figures._pairs import direction_of, owner, pairs, partner
from workbench.dashboard.figures._placing import Scale, log_ticks
from workbench.dashboard.figures._points import SEPARATOR, Plot, Point, of_analysis, plot_of, points_of
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.theme import BLUE, NEUTRAL
from workbench.dashboard.units import axis_title, format_number, format_value, metric_name, shown
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis, Direction

_HEIGHT, _AXIS, _LEGEND = 380, 54, 34
_WIDE, _NARROW = 620, 250
_MOST_TICKS, _FEW_TICKS = 7, 4
_OPACITY = {"best": 1.0, "doubtful": 0.8, "rest": 0.6}
"""The front stands out, however many bars lie around it."""
_ROLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "best": ("on the front", BLUE, {"size": 11, "symbol": "circle"}),
    "doubtful": ("perhaps on the front", BLUE, {"size": 10, "symbol": "circle-open", "line": {"width": 2}}),
    "rest": ("dominated", NEUTRAL, {"size": 8, "symbol": "circle-open"}),
}


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether there is something to set ``metric`` against, and two configurations have both."""
    pair = _pair(analysis, metric, None, None)
    return pair is not None and len(of_analysis(analysis, *pair)) > 1


def drawings(analysis: Analysis, metric: str) -> list[dict[str, Any]]:
    """The fronts of a report that belong to this metric."""
    if data.objective_of(analysis, metric) is None:
        return []
    return [{"x": x, "y": y} for x, y in pairs(analysis) if owner(analysis, (x, y)) == metric]


def pareto(analysis: Analysis, metric: str, *, x: str | None = None, y: str | None = None) -> go.Figure:
    """Any two measures of a sweep: speed, quality, memory, energy.

    Args:
        analysis: what the sweep found.
        metric: an objective: what goes across, unless ``x`` says otherwise.
        x: metric across.
        y: metric up; by default the sweep's first measure of quality.

    Raises:
        UnknownName: a metric nobody recorded.
        UsageError: the specification names nothing to set this metric against, or fewer than two configurations have
            both.
    """
    for name in (x, y):
        if name is not None and name not in data.metrics(analysis):
            raise UnknownName("metric", name, data.metrics(analysis))
    pair = _pair(analysis, metric, x, y)
    if pair is None or len(of_analysis(analysis, *pair)) < 2:
        raise UsageError(
            f"There is nothing to set {metric!r} against. Name it under objectives, and a measure of quality under "
            "quality (or as an objective to maximize), with at least two configurations that record both; or name "
            "both metrics: x=..., y=...."
        )
    cost, quality = pair
    ways = direction_of(analysis, cost), direction_of(analysis, quality)
    frame = of_analysis(analysis, cost, quality)
    return _figure(
        plot_of(points_of(frame, cost, quality, ["label"]), cost, quality, *ways), list(data.varied(analysis))
    )


def _pair(analysis: Analysis, metric: str, x: str | None, y: str | None) -> tuple[str, str] | None:
    """What goes across and up; ``None``: there is nothing to set the metric against."""
    if x is not None:
        return x, y or metric
    if y is not None:
        return metric, y
    stated = partner(analysis, metric)
    if stated is not None:
        return metric, stated.metric
    if data.objective_of(analysis, metric) is None:
        return None
    return next((pair for pair in pairs(analysis) if owner(analysis, pair) == metric), None)


def pareto_figure(
    frame: pd.DataFrame,
    *,
    cost: str,
    quality: str,
    label: str | Sequence[str],
    cost_is: Direction = "minimize",
    quality_is: Direction = "maximize",
) -> go.Figure:
    """Configurations by cost and quality, those that nothing else dominates on a line.

    Rows with the same label are runs of one configuration: its point is their median, its bars the median's 95 %
    interval by order statistics (from six runs on). Where the frame has columns ``<metric>_low`` and ``<metric>_high``,
    an interval that the runs themselves brought, the bars are these columns' medians instead. Rows that lack cost or
    quality are left out. The front goes by the points; what another beats, but not beyond
    the bars, may be on it and is drawn so.

    Args:
        frame: one row a run.
        cost: column on the x axis; logarithmic where it spans a factor of 20.
        quality: column on the y axis.
        label: column, or columns, that tell configurations apart.
        cost_is: which way is good.
        quality_is: which way is good.

    Raises:
        UnknownName: no such column.
        UsageError: no row has both cost and quality.
    """
    labels = [label] if isinstance(label, str) else list(label)
    for column in (cost, quality, *labels):
        if column not in frame.columns:
            raise UnknownName("column", column, map(str, frame.columns))
    points = points_of(frame, cost, quality, labels)
    if not points:
        raise UsageError(f"No run has both {cost!r} and {quality!r}. Record both, then draw again.")
    return _figure(plot_of(points, cost, quality, cost_is, quality_is), labels)


def _figure(plot: Plot, parts: Sequence[str]) -> go.Figure:
    """The front; ``parts`` are what names of points are made of, in their order."""
    figure = go.Figure(
        [
            _line(plot),
            *_markers(plot, plot.rest, "rest"),
            *_markers(plot, plot.doubtful, "doubtful"),
            *_markers(plot, plot.best, "best"),
        ]
    )
    figure.update_layout(
        xaxis=_axis(plot.cost, plot.x),
        yaxis=_axis(plot.quality, plot.y),
        annotations=names_beside(plot, _WIDE, _HEIGHT),
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": 14},
        showlegend=True,
        hovermode="closest",
    )
    return theme.finish(
        figure,
        title=_title(plot),
        description=_description(plot, parts),
        height=_HEIGHT + _AXIS + _LEGEND,
        narrow={"annotations": names_beside(plot, _NARROW, _HEIGHT), **_narrow_ticks(plot.x)},
        narrow_below=_WIDE,
    )


def _line(plot: Plot) -> go.Scatter:
    """The front as a staircase: what the best quality is that a given cost can have."""
    return go.Scatter(
        x=[plot.x.shown(shown(plot.cost, point.cost.middle)) for point in plot.best],
        y=[shown(plot.quality, point.quality.middle) for point in plot.best],
        mode="lines",
        line={"shape": "hv", "color": BLUE, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _markers(plot: Plot, points: Sequence[Point], role: str) -> list[go.Scatter]:
    if not points:
        return []
    name, colour, marker = _ROLES[role]
    return [
        go.Scatter(
            x=[plot.x.shown(shown(plot.cost, point.cost.middle)) for point in points],
            y=[shown(plot.quality, point.quality.middle) for point in points],
            mode="markers",
            name=name,
            marker={"color": colour, **marker},
            error_x=_bars(plot.cost, [point.cost for point in points], colour, plot.x),
            error_y=_bars(plot.quality, [point.quality for point in points], colour, plot.y),
            opacity=_OPACITY[role],
            text=[_hover(plot, point) for point in points],
            hovertemplate="%{text}<extra></extra>",
        )
    ]


def _bars(metric: str, values: Sequence[Value], colour: str, scale: Scale) -> dict[str, Any] | None:
    """Uncertainty bars; a point without an interval gets none, which to plotly is an absent length."""
    if all(value.low is None for value in values):
        return None
    ends = [(value.low, value.middle, value.high) for value in values]
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if high is None else shown(metric, high - middle) for _, middle, high in ends],
        "arrayminus": [None if low is None else _down(metric, middle, low, scale) for low, middle, _ in ends],
        "color": colour,
        "thickness": 1,
        "width": 3,
    }


def _down(metric: str, middle: float, low: float, scale: Scale) -> float:
    """Length of the lower bar; on a logarithmic axis it ends where the axis does."""
    end = max(shown(metric, low), 10**scale.low) if scale.log else shown(metric, low)
    return max(scale.shown(shown(metric, middle)) - end, 0.0)


def _hover(plot: Plot, point: Point) -> str:
    lines = [f"<b>{wrapped(point.name, 60)}</b>"]
    for metric, value in ((plot.cost, point.cost), (plot.quality, point.quality)):
        interval = "" if value.low is None else f" [{_short(metric, value.low)}, {_short(metric, value.high)}]"
        lines.append(f"{plain(metric_name(metric))}: {plain(format_value(metric, value.middle) + interval)}")
    runs = point.cost.n
    return "<br>".join([*lines, f"{runs} run{'' if runs == 1 else 's'}"])


def _short(metric: str, value: float | None) -> str:
    return format_number(None if value is None else shown(metric, value))


def _axis(metric: str, scale: Scale) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": wrapped(axis_title(metric), 60)}, "range": [scale.low, scale.high]}
    if not scale.log:
        return axis
    values, texts = log_ticks(scale, _MOST_TICKS)
    return {**axis, "type": "log", "tickmode": "array", "tickvals": values, "ticktext": texts, "tickangle": 0}


def _narrow_ticks(scale: Scale) -> dict[str, Any]:
    if not scale.log:
        return {}
    values, texts = log_ticks(scale, _FEW_TICKS)
    return {"xaxis.tickvals": values, "xaxis.ticktext": texts}


def _title(plot: Plot) -> str:
    top, cheap = plot.best[-1], plot.best[0]
    head = f"{metric_name(plot.quality)} against {metric_name(plot.cost)}"
    if len(plot.best) == 1:
        return f"{head}: {shortened(top.name, 60)} is best in both"
    return (
        f"{head}: {len(plot.best)} of {len(plot.points)} are not dominated, from {shortened(cheap.name, 60)} "
        f"to {shortened(top.name, 60)}"
    )


def _description(plot: Plot, parts: Sequence[str]) -> str:
    named = f"Names are the levels of {SEPARATOR.join(parts)}; one" if len(parts) > 1 else "A name"
    across, up = {"minimize": "left", "maximize": "right"}, {"minimize": "down", "maximize": "up"}
    return (
        f"Each point is one configuration: better is further {across[plot.cost_is]} and further {up[plot.quality_is]}. "
        "The dotted line joins those that no other beats in both respects. Bars are 95 % intervals, where "
        "there are enough runs for one; open blue: beaten, but not beyond these intervals; grey: beaten. "
        f"{named} is left out where it would cover something, and then shows when the point is touched."
    )
