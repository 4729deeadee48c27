"""What more requests at once buy and cost: latency against throughput, a point per level of load."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _lines
from workbench.dashboard.figures._curves import Line, Point, lines_of_load
from workbench.dashboard.figures._front import Value
from workbench.dashboard.figures._placing import Box, Scale, log_ticks, placed, scale_of
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.units import axis_title, format_value, metric_name, shown
from workbench.errors import UnknownName, UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis

scope = "sweep"

_KINDS = ("ttft", "e2e", "tpot", "itl")
_THROUGHPUTS = ("throughput_tps", "total_tps", "output_tps", "throughput_rps", "requests_rps")
_OF_ONE_REQUEST = ("decode_", "prefill_")
_GOODPUTS = ("goodput_rps", "goodput_tps")

_PANEL, _GAP, _AXIS = 230, 26, 54
_WIDE, _NARROW = 900, 520
_MOST_TICKS, _FEW_TICKS = 8, 5


def drawable(analysis: Analysis) -> bool:
    """Whether a load was varied, and a throughput and a latency recorded at two levels of it or more."""
    return bool(drawings(analysis))


def drawings(analysis: Analysis) -> list[dict[str, Any]]:
    """One figure a kind of latency: to the first token, to the end; others only if neither was recorded."""
    x = throughput(analysis)
    if analysis.load is None or x is None or not lines_of_load(analysis, [x]):
        return []
    kinds = [kind for kind in _KINDS if _latencies(analysis, kind)]
    kinds = [kind for kind in kinds if kind in _KINDS[:2]] or kinds[:1]
    return [{"latency": kind} for kind in kinds if lines_of_load(analysis, [x, _latencies(analysis, kind)[0]])]


def throughput(analysis: Analysis) -> str | None:
    """The metric that says what all requests together get: by its usual name, else the first rate; goodput is none."""
    rates = [m for m in data.metrics(analysis) if m.endswith(("_tps", "_rps")) and m not in _GOODPUTS]
    rates.sort(key=lambda metric: metric.startswith(_OF_ONE_REQUEST))
    return next((metric for metric in _THROUGHPUTS if metric in rates), next(iter(rates), None))


def load_curve(
    analysis: Analysis, *, latency: str | None = None, x: str | None = None, most: int = _lines.MOST
) -> go.Figure:
    """Latency against throughput, joined in order of load, a line per configuration of the other parameters.

    Args:
        analysis: with ``load``, the parameter that says how many requests are at work at once.
        latency: "ttft", "e2e", "tpot" or "itl"; by default the first that was recorded. Its median and its p95 have a
            panel each, and so has goodput, beside the first.
        x: the throughput; by default :func:`throughput`.
        most: so many lines; of more, the reference, what is recommended, and the extremes.

    Raises:
        UnknownName: no such latency or metric.
        UsageError: the sweep names no load, or too little was recorded.
    """
    plot = _plot(analysis, latency, x, most)
    names = [line.name for line in plot.lines]
    top = _lines.legend_height(names, _WIDE)
    figure = go.Figure([_trace(plot, line, row) for row in range(len(plot.panels)) for line in plot.lines])
    figure.update_layout(
        annotations=_labels(plot, _WIDE),
        margin={"t": top, "b": _AXIS, "l": 10, "r": 14},
        showlegend=True,
        hovermode="closest",
        **_axes(plot),
    )
    height = plot.height + _AXIS + top
    return theme.finish(
        figure,
        title=_title(plot),
        description=_description(plot),
        height=height,
        narrow={
            **_lines.narrower(names, height, top),
            "annotations": _labels(plot, _NARROW),
            "xaxis.nticks": _FEW_TICKS,
        },
        narrow_below=_WIDE,
    )


@dataclass(frozen=True, slots=True)
class _Plot:
    """What is drawn.

    Attributes:
        load: the parameter.
        x: metric across.
        panels: metrics upwards, first panel on top.
        lines: one a configuration.
        there: how many configurations there are.
        looks: by name of a line.
    """

    load: str
    x: str
    panels: Sequence[str]
    lines: Sequence[Line]
    there: int
    looks: Mapping[str, _lines.Look]

    @property
    def height(self) -> int:
        return len(self.panels) * (_PANEL + _GAP) - _GAP

    def domain(self, row: int) -> tuple[float, float]:
        top = row * (_PANEL + _GAP)
        return max(0.0, 1 - (top + _PANEL) / self.height), 1 - top / self.height

    def scale(self, metric: str) -> Scale:
        values = [point.values[metric] for line in self.lines for point in line.points if metric in point.values]
        ends = [end for value in values for end in (value.low, value.middle, value.high) if end is not None]
        return scale_of([shown(metric, end) for end in ends], may_be_log=metric != self.x)


def _plot(analysis: Analysis, latency: str | None, x: str | None, most: int) -> _Plot:
    if analysis.load is None:
        raise UsageError(
            "The sweep does not say which parameter is the load. Name it in the specification, `load: concurrency`."
        )
    x = x or throughput(analysis)
    kinds = {kind: found for kind in _KINDS if (found := _latencies(analysis, kind))}
    if latency is not None and latency not in kinds and kinds:
        raise UnknownName("latency", latency, kinds)
    kind = latency or next(iter(kinds), None)
    if x is None or kind is None or not lines_of_load(analysis, [x, kinds[kind][0]]):
        raise UsageError(
            f"A curve over {analysis.load!r} needs a throughput (…_tps or …_rps) and a latency (ttft_p50_ms, "
            "e2e_p95_ms, …) at two levels of it or more. Record them with wb.record(...)."
        )
    goodput = [metric for metric in _GOODPUTS if metric in data.metrics(analysis)] if kind == next(iter(kinds)) else []
    panels = [*kinds[kind], *goodput]
    lines = lines_of_load(analysis, [x, *panels])
    fastest = {line.name: max(point.values[x].middle for point in line.points) for line in lines}
    foremost = _lines.foremost(analysis)
    names = _lines.chosen(fastest, [line.name for line in lines if line.labels & set(foremost)], most)
    drawn = [line for line in lines if line.name in names]
    reference = next((line.name for line in lines if data.reference_of(analysis) in line.labels), None)
    return _Plot(analysis.load, x, panels, drawn, len(lines), _lines.looks(names, reference))


def _latencies(analysis: Analysis, kind: str) -> list[str]:
    """The metrics of one kind of latency, the typical one first, then the tail."""
    there = data.metrics(analysis)
    middle = next((m for m in (f"{kind}_p50_ms", f"{kind}_median_ms", f"{kind}_ms") if m in there), None)
    tail = f"{kind}_p95_ms" if f"{kind}_p95_ms" in there else None
    return [metric for metric in (middle, tail) if metric is not None]


def _trace(plot: _Plot, line: Line, row: int) -> go.Scatter:
    metric, look = plot.panels[row], plot.looks[line.name]
    points = [point for point in line.points if metric in point.values]
    return go.Scatter(
        x=[shown(plot.x, point.values[plot.x].middle) for point in points],
        y=[shown(metric, point.values[metric].middle) for point in points],
        yaxis=_axis_name(row),
        mode="lines+markers",
        name=_lines.legend_name(line.name),
        legendgroup=f"line {list(plot.looks).index(line.name)}",
        showlegend=row == 0,
        line={"color": look.colour, "width": 2, "dash": look.dash},
        marker={"color": look.colour, "symbol": look.symbol, "size": 9},
        error_x=_bars(plot.x, [point.values[plot.x] for point in points], look.colour),
        error_y=_bars(metric, [point.values[metric] for point in points], look.colour),
        text=[_hover(plot, line, point, metric) for point in points],
        hovertemplate="%{text}<extra></extra>",
    )


def _bars(metric: str, values: Sequence[Value], colour: str) -> dict[str, Any] | None:
    """Intervals; a point without one gets none, which to plotly is an absent length."""
    if all(value.low is None for value in values):
        return None
    up = [None if value.high is None else shown(metric, value.high - value.middle) for value in values]
    down = [None if value.low is None else shown(metric, value.middle - value.low) for value in values]
    look = {"color": colour, "thickness": 1, "width": 3}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, **look}


def _hover(plot: _Plot, line: Line, point: Point, metric: str) -> str:
    lines = [f"<b>{wrapped(line.name, 60)}</b>", plain(f"{plot.load} = {show(point.level)}")]
    for one in (plot.x, metric):
        value = point.values[one]
        ends = "" if value.low is None else f" [{format_value(one, value.low)}, {format_value(one, value.high)}]"
        lines.append(f"{plain(metric_name(one))}: {plain(format_value(one, value.middle) + ends)}")
    runs = point.values[metric].n
    return "<br>".join([*lines, f"{runs} run{'' if runs == 1 else 's'}"])


def _axis_name(row: int) -> str:
    return "y" if row == 0 else f"y{row + 1}"


def _axes(plot: _Plot) -> dict[str, Any]:
    last, x = len(plot.panels) - 1, plot.scale(plot.x)
    axes: dict[str, Any] = {
        "xaxis": {
            "title": {"text": wrapped(axis_title(plot.x), 60)},
            "range": [x.low, x.high],
            "anchor": _axis_name(last),
            "separatethousands": True,
            "exponentformat": "none",
        }
    }
    for row, metric in enumerate(plot.panels):
        axes[_axis_name(row).replace("y", "yaxis")] = {
            **_y_axis(metric, plot.scale(metric)),
            "domain": plot.domain(row),
            "anchor": "x",
        }
    return axes


def _y_axis(metric: str, scale: Scale) -> dict[str, Any]:
    title = f"{axis_title(metric)[:-1]}, log)" if scale.log and metric.endswith("_ms") else axis_title(metric)
    axis: dict[str, Any] = {
        "title": {"text": wrapped(title, 26)},
        "range": [scale.low, scale.high],
        "nticks": 6,
        "separatethousands": True,
        "exponentformat": "none",
    }
    if not scale.log:
        return axis
    values, texts = log_ticks(scale, _MOST_TICKS)
    return {**axis, "type": "log", "tickmode": "array", "tickvals": values, "ticktext": texts}


def _labels(plot: _Plot, width: float) -> list[dict[str, Any]]:
    """The level of load beside each point, where it covers nothing."""
    return [note for row in range(len(plot.panels)) for note in _labels_of(plot, row, width)]


def _labels_of(plot: _Plot, row: int, width: float) -> list[dict[str, Any]]:
    metric = plot.panels[row]
    x, y = plot.scale(plot.x), plot.scale(metric)
    points = [
        (shown(plot.x, point.values[plot.x].middle), shown(metric, point.values[metric].middle), show(point.level))
        for line in plot.lines
        for point in line.points
        if metric in point.values
    ]
    spots = [(x.pixel(across, width), y.pixel(up, _PANEL)) for across, up, _ in points]
    texts = [shortened(text, 10) for _, _, text in points]
    places = placed(spots, texts, Box(0, 0, width, _PANEL), _crossed(plot, metric, width))
    return [
        {"x": x.coordinate(across), "y": y.coordinate(up), "yref": _axis_name(row), "text": plain(text)}
        | {"showarrow": False, "font": {"size": 11}, **place.annotation()}
        for (across, up, _), text, place in zip(points, texts, places, strict=True)
        if place is not None
    ]


def _crossed(plot: _Plot, metric: str, width: float) -> list[Box]:
    """The lines between points, as rows of small boxes, and the bars: labels had better not lie on them."""
    x, y = plot.scale(plot.x), plot.scale(metric)
    boxes = []
    for line in plot.lines:
        values = [(point.values[plot.x], point.values[metric]) for point in line.points if metric in point.values]
        ends = [(_pixel(x, plot.x, a.middle, width), _pixel(y, metric, b.middle, _PANEL)) for a, b in values]
        for one, other in itertools.pairwise(ends):
            boxes += [_dot(one, other, share) for share in np.linspace(0, 1, 12)]
        for (a, b), (across, up) in zip(values, ends, strict=True):
            if a.low is not None and a.high is not None:
                left, right = _pixel(x, plot.x, a.low, width), _pixel(x, plot.x, a.high, width)
                boxes.append(Box(left - 3, up - 3, right + 3, up + 3))
            if b.low is not None and b.high is not None:
                low, high = _pixel(y, metric, b.low, _PANEL), _pixel(y, metric, b.high, _PANEL)
                boxes.append(Box(across - 3, low - 3, across + 3, high + 3))
    return boxes


def _pixel(scale: Scale, metric: str, value: float, length: float) -> float:
    return scale.pixel(shown(metric, value), length)


def _dot(one: tuple[float, float], other: tuple[float, float], share: float) -> Box:
    across, up = (a + share * (b - a) for a, b in zip(one, other, strict=True))
    return Box(across - 2, up - 2, across + 2, up + 2)


def _title(plot: _Plot) -> str:
    best = max(plot.lines, key=lambda line: line.peak(plot.x).values[plot.x].middle)
    peak, metric = best.peak(plot.x), plot.panels[0]
    told = f"peaks at {format_value(plot.x, peak.values[plot.x].middle)} with {plot.load}={show(peak.level)}"
    cost = f"; {metric_name(metric)} is then {format_value(metric, peak.values[metric].middle)}"
    which = f" ({shortened(best.name, 50)})" if len(plot.lines) > 1 else ""
    return f"{metric_name(plot.x)} {told}{which}{cost}"


def _description(plot: _Plot) -> str:
    goodput = "; for goodput further up is more" if plot.panels[-1] in _GOODPUTS else ""
    return (
        f"Each point is one level of {plot.load}, written beside it, joined in its order: further right is more for "
        f"all requests together, further down is less waiting for each{goodput}. Where a line turns upwards, more "
        "requests at once only wait. Bars are 95 % intervals of the median over blocks, where there are six or more."
        + _lines.left_out(len(plot.lines), plot.there)
    )
