"""Cost against quality: which configurations nothing else beats in both respects (the Pareto front)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures._front import Value, front, median_of
from workbench.dashboard.figures._placing import Box, Scale, placed, scale_of
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.theme import BLUE, NEUTRAL
from workbench.dashboard.units import axis_title, format_number, format_value, metric_name, shown
from workbench.errors import UnknownName, UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis, Direction, Objective

_HEIGHT, _AXIS, _LEGEND = 380, 54, 34
_WIDE, _NARROW = 620, 250
_LABEL = 30
_MOST_TICKS, _FEW_TICKS = 7, 4


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether ``metric`` is a stated cost, another stated metric its quality, and two configurations have both."""
    partner = _partner(analysis, metric)
    return partner is not None and len(_of_analysis(analysis, metric, partner.metric)) > 1


def pareto(analysis: Analysis, metric: str) -> go.Figure:
    """One objective of a sweep as the cost, against the sweep's first measure of quality.

    Raises:
        UsageError: the specification names no quality beside this metric, or fewer than two configurations have both.
    """
    partner, objective = _partner(analysis, metric), data.objective_of(analysis, metric)
    if partner is None or objective is None or not drawable(analysis, metric):
        raise UsageError(
            f"There is nothing to set {metric!r} against. Name it under objectives, and a measure of quality under "
            "quality (or as an objective to maximize), with at least two configurations that record both."
        )
    frame = _of_analysis(analysis, metric, partner.metric)
    return pareto_figure(
        frame,
        cost=metric,
        quality=partner.metric,
        label="label",
        cost_is=objective.direction,
        quality_is=partner.direction,
    )


def pareto_figure(
    frame: pd.DataFrame,
    *,
    cost: str,
    quality: str,
    label: str | Sequence[str],
    cost_is: Direction = "minimize",
    quality_is: Direction = "maximize",
) -> go.Figure:
    """Configurations by cost and quality, those that nothing else dominates on a line, the others grey.

    Rows with the same label are runs of one configuration: its point is their median, its bars the median's 95 %
    interval by order statistics (from six runs on). Where the frame has columns ``<metric>_low`` and ``<metric>_high``,
    an interval that the runs themselves brought, the bars are these columns' medians instead. Rows that lack cost or
    quality are left out. Dominance goes by the points, not by the bars.

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
    points = _points(frame, cost, quality, labels)
    if not points:
        raise UsageError(f"No run has both {cost!r} and {quality!r}. Record both, then draw again.")
    kept = front([p.cost.middle for p in points], [p.quality.middle for p in points], cost_is, quality_is)
    best = sorted((p for p, on in zip(points, kept, strict=True) if on), key=lambda p: p.cost.middle)
    best = best if cost_is == "minimize" else best[::-1]
    rest = [p for p, on in zip(points, kept, strict=True) if not on]
    return _figure(_Plot(cost, quality, cost_is, quality_is, best, rest))


@dataclass(frozen=True, slots=True)
class _Point:
    name: str
    cost: Value
    quality: Value


@dataclass(frozen=True, slots=True)
class _Plot:
    """Everything the figure is drawn from; ``best`` from the best cost to the worst."""

    cost: str
    quality: str
    cost_is: Direction
    quality_is: Direction
    best: Sequence[_Point]
    rest: Sequence[_Point]

    @property
    def points(self) -> list[_Point]:
        return [*self.best, *self.rest]

    @property
    def x(self) -> Scale:
        return scale_of(_extent(self.cost, [point.cost for point in self.points]), may_be_log=True)

    @property
    def y(self) -> Scale:
        return scale_of(_extent(self.quality, [point.quality for point in self.points]), may_be_log=False)


def _partner(analysis: Analysis, metric: str) -> Objective | None:
    """The measure of quality an objective is set against: the first under "quality", else a maximised objective."""
    own = data.objective_of(analysis, metric)
    if own is None or own.role != "objective":
        return None
    recorded = [one for one in analysis.objectives if one.metric != metric and one.metric in data.metrics(analysis)]
    stated = [one for one in recorded if one.role == "quality"]
    if not stated and own.direction == "minimize":
        stated = [one for one in recorded if one.direction == "maximize"]
    return stated[0] if stated else None


def _of_analysis(analysis: Analysis, cost: str, quality: str) -> pd.DataFrame:
    """Runs with both metrics, twins left out, labelled by the parameters that vary."""
    frame = analysis.frame[analysis.frame["arm"] != "twin"]
    bounds = [f"{metric}_{end}" for metric in (cost, quality) for end in ("low", "high")]
    frame = frame[[*(column for column in (cost, quality, *bounds) if column in frame.columns)]].assign(
        label=_names(analysis, frame)
    )
    return frame[np.isfinite(_numbers(frame[cost])) & np.isfinite(_numbers(frame[quality]))]


def _names(analysis: Analysis, frame: pd.DataFrame) -> list[str]:
    varied = [name for name in data.varied(analysis) if name in frame.columns]
    rows = zip(frame["arm"], frame["label"], *(frame[name] for name in varied), strict=True)
    return [
        str(label) if arm == "baseline" or not varied else " · ".join(show(level) for level in levels)
        for arm, label, *levels in rows
    ]


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype("float64")


def _points(frame: pd.DataFrame, cost: str, quality: str, labels: Sequence[str]) -> list[_Point]:
    numbers = frame.assign(**{name: _numbers(frame[name]) for name in (cost, quality)})
    numbers = numbers[np.isfinite(numbers[cost]) & np.isfinite(numbers[quality])]
    names = [
        " · ".join(show(level) for level in levels) for levels in zip(*(numbers[name] for name in labels), strict=True)
    ]
    return [
        _Point(str(name), _value(runs, cost), _value(runs, quality))
        for name, runs in numbers.groupby(pd.Series(names, index=numbers.index), sort=False)
    ]


def _value(runs: pd.DataFrame, metric: str) -> Value:
    found = median_of(list(runs[metric]))
    bounds = [f"{metric}_low", f"{metric}_high"]
    if not set(bounds) <= set(runs.columns):
        return found
    low, high = (float(_numbers(runs[name]).median()) for name in bounds)
    known = math.isfinite(low) and math.isfinite(high)
    return Value(found.middle, min(low, found.middle), max(high, found.middle), found.n) if known else found


def _extent(metric: str, values: Sequence[Value]) -> list[float]:
    bounds = [bound for value in values for bound in (value.middle, value.low, value.high)]
    return [shown(metric, bound) for bound in bounds if bound is not None]


def _figure(plot: _Plot) -> go.Figure:
    figure = go.Figure([_line(plot), *_markers(plot, plot.rest, False), *_markers(plot, plot.best, True)])
    figure.update_layout(
        xaxis=_axis(plot.cost, plot.x),
        yaxis=_axis(plot.quality, plot.y),
        annotations=_labels(plot, _WIDE),
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": 14},
        showlegend=True,
        hovermode="closest",
    )
    return theme.finish(
        figure,
        title=_title(plot),
        description=_description(plot),
        height=_HEIGHT + _AXIS + _LEGEND,
        narrow={"annotations": _labels(plot, _NARROW), **_narrow_ticks(plot.x)},
        narrow_below=_WIDE,
    )


def _line(plot: _Plot) -> go.Scatter:
    """The front as a staircase: what the best quality is that a given cost can have."""
    return go.Scatter(
        x=[plot.x.shown(shown(plot.cost, point.cost.middle)) for point in plot.best],
        y=[shown(plot.quality, point.quality.middle) for point in plot.best],
        mode="lines",
        line={"shape": "hv", "color": BLUE, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _markers(plot: _Plot, points: Sequence[_Point], best: bool) -> list[go.Scatter]:
    if not points:
        return []
    colour = BLUE if best else NEUTRAL
    return [
        go.Scatter(
            x=[plot.x.shown(shown(plot.cost, point.cost.middle)) for point in points],
            y=[shown(plot.quality, point.quality.middle) for point in points],
            mode="markers",
            name="on the front" if best else "dominated",
            marker={"color": colour, "size": 11 if best else 8, "symbol": "circle" if best else "circle-open"},
            error_x=_bars(plot.cost, [point.cost for point in points], colour, plot.x),
            error_y=_bars(plot.quality, [point.quality for point in points], colour, plot.y),
            opacity=1 if best else 0.75,
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


def _hover(plot: _Plot, point: _Point) -> str:
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
    values, texts = _log_ticks(scale, _MOST_TICKS)
    return {**axis, "type": "log", "tickmode": "array", "tickvals": values, "ticktext": texts, "tickangle": 0}


def _narrow_ticks(scale: Scale) -> dict[str, Any]:
    if not scale.log:
        return {}
    values, texts = _log_ticks(scale, _FEW_TICKS)
    return {"xaxis.tickvals": values, "xaxis.ticktext": texts}


def _log_ticks(scale: Scale, most: int) -> tuple[list[float], list[str]]:
    """1, 2 and 5 of each decade, or fewer where that is too many; 0 where it has a place."""
    exponents = range(math.floor(scale.low), math.ceil(scale.high) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
        # the place of 0 is no value: what would be written near it would be misread
        low = scale.low if scale.zero is None else math.log10(2 * scale.zero)
        ticks = [tick for tick in ticks if low <= math.log10(tick) <= scale.high]
        if len(ticks) <= most:
            break
    zero = [] if scale.zero is None else [(scale.zero, "0")]
    named = [*zero, *((tick, format_number(tick)) for tick in ticks)]
    return [tick for tick, _ in named], [text for _, text in named]


def _labels(plot: _Plot, width: float) -> list[dict[str, Any]]:
    """Names beside their points, those on the front first; what finds no room is in the hover text only."""
    room, names = Box(0, 0, width, _HEIGHT), [shortened(point.name, _LABEL) for point in plot.points]
    spots = [_spot(plot, width, point.cost.middle, point.quality.middle) for point in plot.points]
    return [
        {
            "x": plot.x.coordinate(shown(plot.cost, point.cost.middle)),
            "y": plot.y.coordinate(shown(plot.quality, point.quality.middle)),
            "text": plain(name),
            "showarrow": False,
            "font": {"size": 12} if number < len(plot.best) else {"size": 11, "color": NEUTRAL},
            **place.annotation(),
        }
        for number, (point, name, place) in enumerate(
            zip(plot.points, names, placed(spots, names, room, _lines(plot, width), far=len(plot.best)), strict=True)
        )
        if place is not None
    ]


def _spot(plot: _Plot, width: float, cost: float, quality: float) -> tuple[float, float]:
    """Pixels from the lower left corner."""
    return plot.x.pixel(shown(plot.cost, cost), width), plot.y.pixel(shown(plot.quality, quality), _HEIGHT)


def _lines(plot: _Plot, width: float) -> list[Box]:
    """The front's steps and the bars, which labels had better not cross."""
    corners = [_spot(plot, width, point.cost.middle, point.quality.middle) for point in plot.best]
    steps = [(one, (other[0], one[1]), other) for one, other in itertools.pairwise(corners)]
    boxes = [_thin(*ends) for step in steps for ends in itertools.pairwise(step)]
    for point in plot.points:
        x, y = point.cost, point.quality
        bars = (((x.low, y.middle), (x.high, y.middle)), ((x.middle, y.low), (x.middle, y.high)))
        for (left, bottom), (right, top) in bars:
            if left is not None and bottom is not None and right is not None and top is not None:
                boxes.append(_thin(_spot(plot, width, left, bottom), _spot(plot, width, right, top)))
    return boxes


def _thin(one: tuple[float, float], other: tuple[float, float]) -> Box:
    (left, right), (bottom, top) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return Box(left - 1, bottom - 1, right + 1, top + 1)


def _title(plot: _Plot) -> str:
    top, cheap = plot.best[-1], plot.best[0]
    head = f"{metric_name(plot.quality)} against {metric_name(plot.cost)}"
    if len(plot.best) == 1:
        return f"{head}: {shortened(top.name, 40)} is best in both"
    return (
        f"{head}: {len(plot.best)} of {len(plot.points)} are not dominated, from {shortened(cheap.name, 40)} "
        f"to {shortened(top.name, 40)}"
    )


def _description(plot: _Plot) -> str:
    ways = {"minimize": "lower", "maximize": "higher"}
    return (
        f"Each point is one configuration: {ways[plot.cost_is]} is better across, {ways[plot.quality_is]} is better "
        "up. The dotted line joins those that no other beats in both respects; the others are grey. Bars are 95 % "
        "intervals, where there are enough runs for one; the front goes by the points alone. A name is left out where "
        "it would cover something, and then shows when the point is touched."
    )
