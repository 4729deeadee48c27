"""A metric over the levels of a numeric parameter: one panel per level of a second, coloured by a third."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures._front import Value
from workbench.dashboard.figures._panels import MOST_LINES, MOST_PANELS, Choice, Line, Panel, choose, numeric, panels
from workbench.dashboard.figures._placing import Scale, log_ticks, scale_of
from workbench.dashboard.text import plain, shortened, told_apart, wrapped
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.dashboard.units import axis_title, format_number, format_value, metric_name, shown
from workbench.errors import UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis

_PANEL, _HEADER, _TICKS, _TITLE, _LEGEND = 190, 26, 40, 30, 40
"""Pixels of height: of a panel, its heading, its tick texts, the axis title below all, and the legend."""
_WIDTH, _GAP, _COLUMNS = 1000, 0.04, 3
_NARROW_BELOW, _NARROW = 620, 300
_APART = 0.01
"""Share of the axis by which the lines' points are moved apart, so that their bars do not cover each other."""
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_WIDE_RANGE = 6.0
_MOST_TICKS = 6
_ROW_OF_CROSSES = 0.075
"""Share of the panel's height that the crosses of one line take, below all values."""


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether a numeric parameter varies and runs of at least two of its levels recorded the metric."""
    if metric not in data.metrics(analysis) or not numeric(analysis):
        return False
    frame = data.grid(analysis, metric).dropna(subset=["value"])
    return any(frame[name].nunique() > 1 for name in numeric(analysis))


def drawings(analysis: Analysis, metric: str) -> list[dict[str, Any]]:
    """A report draws it for stated metrics where a parameter has three levels or more: two make no line."""
    curve = any(len(analysis.parameters[name]) > 2 for name in numeric(analysis))
    return [{}] if curve and data.objective_of(analysis, metric) else []


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is drawn: the panels, and the axes all of them share."""

    metric: str
    choice: Choice
    panels: Sequence[Panel]
    x: Scale
    y: Scale

    def across(self, level: float, line: Line) -> float:
        """Where a point lies: beside the others of its level."""
        lines = max(len(panel.lines) for panel in self.panels)
        shift = (line.colour - (lines - 1) / 2) * _APART * (self.x.high - self.x.low)
        return level * 10**shift if self.x.log else level + shift


def small_multiples(
    analysis: Analysis, metric: str, *, x: str | None = None, panel: str | None = None, colour: str | None = None
) -> go.Figure:
    """Medians with 95 % intervals as lines; what did not fit into memory is marked at the axis; others are pooled.

    Args:
        analysis: what the sweep found.
        metric: what goes up.
        x: numeric parameter across; by default the one with most levels.
        panel: parameter with one panel per level.
        colour: parameter with one line per level.

    Raises:
        UnknownName: a parameter the sweep does not have.
        UsageError: no numeric parameter varies, or nothing recorded the metric.
    """
    if not drawable(analysis, metric):
        raise UsageError(f"{metric!r} cannot be drawn as lines: vary a numeric parameter and record the metric.")
    choice = choose(analysis, x, panel, colour)
    found = panels(analysis, metric, choice)
    plan = _Plan(metric, choice, found, _x_scale(choice), _y_scale(metric, found))
    figure = go.Figure([trace for at, one in enumerate(found) for trace in _traces(plan, one, at)] + _legend(plan))
    wide = _layout(plan, min(_COLUMNS, len(found)), _WIDTH)
    figure.update_layout(wide, hovermode="closest", legend=_legend_box(choice), showlegend=bool(figure.data))
    narrow = _layout(plan, 1, _NARROW)
    return theme.finish(
        figure,
        title=_title(plan),
        description=_description(analysis, plan),
        height=wide["height"],
        narrow={**{key: narrow[key] for key in ("annotations", "height")}, **_domains(narrow)},
        narrow_below=_enough(wide, min(_COLUMNS, len(found))),
    )


def _x_scale(choice: Choice) -> Scale:
    low, high = choice.levels[0], choice.levels[-1]
    if low > 0 and high / low >= _WIDE_RANGE:
        margin = 0.08 * math.log10(high / low)
        return Scale(math.log10(low) - margin, math.log10(high) + margin, True)
    margin = 0.08 * (high - low)
    return Scale(low - margin, high + margin, False)


def _y_scale(metric: str, found: Sequence[Panel]) -> Scale:
    values = [value for panel in found for line in panel.lines for _, value in line.values]
    bounds = [bound for value in values for bound in (value.middle, value.low, value.high) if bound is not None]
    scale = scale_of([shown(metric, bound) for bound in bounds], may_be_log=True)
    if not _beyond_any(found):
        return scale
    room = _ROW_OF_CROSSES * (1 + max(line.colour for panel in found for line in panel.lines))
    return dataclasses.replace(scale, low=scale.low - room * (scale.high - scale.low) / (1 - room))


def _beyond_any(found: Sequence[Panel]) -> bool:
    return any(line.beyond for panel in found for line in panel.lines)


def _traces(plan: _Plan, panel: Panel, at: int) -> list[go.Scatter]:
    """The lines of one panel, and its boundaries at the lower end."""
    axes = {"xaxis": _axis_name("x", at), "yaxis": _axis_name("y", at), "showlegend": False}
    lines = [_line(plan, panel, line).update(axes) for line in panel.lines if line.values]
    return [*lines, *(_beyond(plan, panel, line).update(axes) for line in panel.lines if line.beyond)]


def _axis_name(letter: str, at: int) -> str:
    return letter if at == 0 else f"{letter}{at + 1}"


def _look(line: Line) -> dict[str, Any]:
    colour = PALETTE[line.colour % len(PALETTE)]
    symbol = _SYMBOLS[line.colour % len(_SYMBOLS)]
    return {"line": {"color": colour, "width": 1.8}, "marker": {"color": colour, "size": 7, "symbol": symbol}}


def _line(plan: _Plan, panel: Panel, line: Line) -> go.Scatter:
    values = [value for _, value in line.values]
    return go.Scatter(
        x=[plan.across(level, line) for level, _ in line.values],
        y=[plan.y.shown(shown(plan.metric, value.middle)) for value in values],
        mode="lines+markers",
        error_y=_bars(plan, values, PALETTE[line.colour % len(PALETTE)]),
        text=[_hover(plan, panel, line, level, value) for level, value in line.values],
        hovertemplate="%{text}<extra></extra>",
        **_look(line),
    )


def _bars(plan: _Plan, values: Sequence[Value], colour: str) -> dict[str, Any] | None:
    if all(value.low is None for value in values):
        return None
    middles = [shown(plan.metric, value.middle) for value in values]
    highs = [None if value.high is None else shown(plan.metric, value.high) for value in values]
    lows = [None if value.low is None else shown(plan.metric, value.low) for value in values]
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if high is None else high - middle for high, middle in zip(highs, middles, strict=True)],
        "arrayminus": [None if low is None else middle - low for low, middle in zip(lows, middles, strict=True)],
        "color": colour,
        "thickness": 1,
        "width": 3,
    }


def _hover(plan: _Plan, panel: Panel, line: Line, level: float, value: Value) -> str:
    ends = [format_number(shown(plan.metric, end)) for end in (value.low, value.high) if end is not None]
    interval = f" [{', '.join(ends)}]" if ends else ""
    said = f"median {format_value(plan.metric, value.middle)}{interval}, n={value.n}"
    return "<br>".join([*_where(plan, panel, line, level), plain(said)])


def _where(plan: _Plan, panel: Panel, line: Line, level: float) -> list[str]:
    names = [f"{plan.choice.x} = {show(level)}", f"{plan.choice.colour} = {line.level}" if line.level else ""]
    return [wrapped(name, 60) for name in (*names, panel.heading) if name]


def _beyond(plan: _Plan, panel: Panel, line: Line) -> go.Scatter:
    """Crosses at the lower end of the panel, one above the other where several lines end at one level."""
    y = plan.y.low + _ROW_OF_CROSSES * (0.6 + line.colour) * (plan.y.high - plan.y.low)
    return go.Scatter(
        x=[level for level, _ in line.beyond],
        y=[10**y if plan.y.log else y] * len(line.beyond),
        mode="markers",
        marker={"symbol": "x-thin", "size": 10, "line": {"width": 2.5, "color": PALETTE[line.colour % len(PALETTE)]}},
        text=[
            "<br>".join([*_where(plan, panel, line, level), "<b>did not fit into memory</b>", wrapped(said, 60)])
            for level, said in line.beyond
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def _legend(plan: _Plan) -> list[go.Scatter]:
    """A line for each level of the colouring parameter, and the cross."""
    seen = {line.colour: line for panel in plan.panels for line in panel.lines}
    none = {"x": [None], "y": [None]}
    lines = [line for _, line in sorted(seen.items()) if line.level]
    names = told_apart([line.level for line in lines], 24)
    entries = [
        go.Scatter(**none, mode="lines+markers", name=plain(name), **_look(line))
        for name, line in zip(names, lines, strict=True)
    ]
    if _beyond_any(plan.panels):
        marker = {"symbol": "x-thin", "size": 10, "line": {"width": 2.5, "color": NEUTRAL}}
        entries.append(go.Scatter(**none, mode="markers", name="did not fit into memory", marker=marker))
    return entries


def _legend_box(choice: Choice) -> dict[str, Any]:
    """The name of the colouring parameter before its levels."""
    if not choice.colour:
        return {}
    return {"title": {"text": plain(shortened(choice.colour, 24)) + "  ", "font": {"size": theme.FONT_SIZE}}}


def _layout(plan: _Plan, columns: int, width: float) -> dict[str, Any]:
    """Axes, headings and height for so many panels beside each other."""
    rows = -(-len(plan.panels) // columns)
    header = _HEADER if plan.panels[0].heading else 6
    body = rows * (header + _PANEL + _TICKS)
    share = (1 - _GAP * (columns - 1)) / columns
    layout: dict[str, Any] = {"height": body + _TITLE + _LEGEND, "annotations": []}
    for at, panel in enumerate(plan.panels):
        row, column = divmod(at, columns)
        left, top = column * (share + _GAP), 1 - (row * (header + _PANEL + _TICKS) + header) / body
        across, up = (left, min(left + share, 1.0)), (max(top - _PANEL / body, 0.0), top)
        layout[_axis_name("x", at).replace("x", "xaxis")] = _x_axis(plan, across, at, share * width)
        layout[_axis_name("y", at).replace("y", "yaxis")] = _y_axis(plan, up, at, column == 0)
        layout["annotations"] += [_heading(panel, left, top, share * width)] if panel.heading else []
    layout["annotations"] += [_x_title(plan)]
    layout["margin"] = {"t": _LEGEND, "b": _TITLE, "l": 66, "r": 14}
    return layout


def _x_axis(plan: _Plan, domain: tuple[float, float], at: int, pixels: float) -> dict[str, Any]:
    """Ticks at the levels, as many as there is room for."""
    texts = [show(level) for level in plan.choice.levels]
    most = max(2, int(pixels / _tick_width(texts)))
    step = -(-len(texts) // most)
    axis = {
        "domain": domain,
        "anchor": _axis_name("y", at),
        "range": [plan.x.low, plan.x.high],
        "tickvals": list(plan.choice.levels)[::step],
        "ticktext": [plain(text) for text in texts[::step]],
        "tickangle": 0,
        "showgrid": False,
        "showline": True,
        "ticks": "outside",
    }
    return {**axis, "type": "log"} if plan.x.log else axis


def _tick_width(texts: Sequence[str]) -> float:
    """Pixels that the longest tick text takes, with a gap."""
    return 7.4 * max(map(len, texts)) + 8


def _enough(layout: dict[str, Any], columns: int) -> int:
    """Pixels of width in which so many panels beside each other have room for their ticks."""
    texts = layout["xaxis"]["ticktext"]
    share = layout["xaxis"]["domain"][1]
    return max(_NARROW_BELOW, round(len(texts) * _tick_width(texts) / share) + 80) if columns > 1 else _NARROW_BELOW


def _y_axis(plan: _Plan, domain: tuple[float, float], at: int, first: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "domain": domain,
        "anchor": _axis_name("x", at),
        "range": [plan.y.low, plan.y.high],
        "showticklabels": first,
        "nticks": 6,
        "automargin": False,
        "title": {"text": wrapped(axis_title(plan.metric), 26) if first else ""},
    }
    if not plan.y.log:
        return {**axis, "separatethousands": True}
    values, texts = log_ticks(plan.y, _MOST_TICKS)
    return {**axis, "type": "log", "tickmode": "array", "tickvals": values, "ticktext": texts}


def _heading(panel: Panel, left: float, top: float, pixels: float) -> dict[str, Any]:
    place = {"x": left, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom"}
    text = plain(shortened(panel.heading, max(12, int(pixels / 8))))
    return {**place, "text": f"<b>{text}</b>", "showarrow": False}


def _x_title(plan: _Plan) -> dict[str, Any]:
    place = {"x": 0.5, "xref": "paper", "xanchor": "center", "y": 0, "yref": "paper", "yanchor": "top"}
    log = " (log scale)" if plan.x.log else ""
    return {**place, "text": plain(shortened(plan.choice.x, 40)) + log, "showarrow": False}


def _domains(narrow: dict[str, Any]) -> dict[str, Any]:
    """What changes of the axes when the panels stand one below the other."""
    keys = ("domain", "tickvals", "ticktext", "showticklabels", "title")
    return {
        f"{name}.{key}": axis[key]
        for name, axis in narrow.items()
        if name.startswith(("xaxis", "yaxis"))
        for key in keys
        if key in axis
    }


def _title(plan: _Plan) -> str:
    by = [name for name in (plan.choice.colour, plan.choice.panel) if name]
    return f"{metric_name(plan.metric)} over {plan.choice.x}{', by ' + ' and '.join(by) if by else ''}"


def _description(analysis: Analysis, plan: _Plan) -> str:
    choice = plan.choice
    pooled = [name for name in data.varied(analysis) if name not in (choice.x, choice.panel, choice.colour)]
    others = f" Runs of all levels of {', '.join(pooled)} are pooled." if pooled else ""
    beyond = (
        " A cross at the lower end: it did not fit into memory, there is no value." if _beyond_any(plan.panels) else ""
    )
    shares = len(plan.panels) > 1
    cut = []
    if choice.panel and len(analysis.parameters[choice.panel]) > MOST_PANELS:
        cut.append(f"the first {MOST_PANELS} levels of {choice.panel}")
    if choice.colour and len(analysis.parameters[choice.colour]) > MOST_LINES:
        cut.append(f"the first {MOST_LINES} levels of {choice.colour}")
    left = f" Shown: {' and '.join(cut)}." if cut else ""
    return (
        "Points are medians of the runs, bars their 95 % intervals (order statistics, from six runs on)"
        f"{'; all panels have the same axes' if shares else ''}.{others}{beyond}{left}"
    )
