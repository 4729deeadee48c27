"""Parallel coordinates: every configuration as a line through its parameters and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from workbench.dashboard import data, theme
from workbench.dashboard.figures._parallel import TICK, Axis, Lines, lines_of
from workbench.dashboard.text import lines_of as lines_in
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.theme import BLUE, NEUTRAL, PALETTE
from workbench.dashboard.units import metric_name
from workbench.errors import UsageError
from workbench.sweep.results import Analysis

_HEIGHT, _EDGE = 380, 16
_LINE = 16
_BETWEEN = 112
"""Pixels from one axis to the next that headings and ticks need."""
_HEADING = 13
"""Characters of a line of a heading between two axes."""
_MOST_AXES, _MOST_LINES = 9, 150
_COLOURS = [[0, BLUE], [0.5, NEUTRAL], [1, PALETTE[1]]]
"""Worst to best; all three are readable on white and on the dark page, and told apart without red and green."""
_SHADES = 12


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether configurations of at least two varied parameters recorded the metric, and differ in it."""
    if metric not in data.metrics(analysis) or len(_parameters(analysis)) < 2:
        return False
    values = data.grid(analysis, metric)["value"].dropna()
    return bool(values.nunique() > 1)


def drawings(analysis: Analysis, metric: str) -> list[dict[str, Any]]:
    """A report draws it for objectives only: it shows all of them at once."""
    objective = data.objective_of(analysis, metric)
    return [{}] if objective is not None and objective.role == "objective" else []


def parallel(
    analysis: Analysis, metric: str, *, parameters: Sequence[str] | None = None, most: int = _MOST_LINES
) -> go.Figure:
    """Lines coloured by ``metric``; on the axes parameters, the stated measures, and ``metric`` as the last.

    Drawn from plain lines: plotly's own trace needs WebGL, which prints as an empty space, and compiles code at run
    time, which the page's policy forbids.

    Args:
        analysis: what the sweep found.
        metric: what colours the lines.
        parameters: which ones, in which order; by default all that vary, as far as there is room.
        most: configurations; of more the best are drawn.

    Raises:
        UsageError: fewer than two parameters vary, or configurations do not differ in this metric.
    """
    if not drawable(analysis, metric):
        raise UsageError(f"{metric!r} has no differences over two or more varied parameters to follow.")
    measures = [one.metric for one in analysis.objectives if one.metric in data.metrics(analysis)][:3]
    chosen = list(parameters or _parameters(analysis))[: _MOST_AXES - len({*measures, metric})]
    lines = lines_of(analysis, metric, chosen, measures, most)
    headings = max(lines_in(wrapped(axis.heading, _HEADING)) for axis in lines.axes)
    top = _LINE * headings + 14
    figure = go.Figure(_traces(lines))
    figure.update_layout(
        xaxis={"range": [-0.12, len(lines.axes) - 0.1], "visible": False, "fixedrange": True},
        yaxis={"range": [-0.02, 1.02], "visible": False, "fixedrange": True},
        shapes=[_axis_line(place) for place in range(len(lines.axes))],
        annotations=[note for place, axis in enumerate(lines.axes) for note in _notes(place, axis)],
        margin={"t": top, "b": _EDGE, "l": 14, "r": 14},
        hovermode="closest",
        showlegend=False,
    )
    return theme.finish(
        figure,
        title=_title(metric, lines),
        description=_description(analysis, metric, lines, chosen),
        height=_HEIGHT + top + _EDGE,
        narrow={"width": _BETWEEN * len(lines.axes)},
        narrow_below=_BETWEEN * len(lines.axes),
    )


def _parameters(analysis: Analysis) -> list[str]:
    """Those that vary and have a column."""
    several = [name for name, levels in analysis.parameters.items() if len(levels) > 1]
    return [name for name in several if name in analysis.frame.columns]


def _traces(lines: Lines) -> list[go.Scatter]:
    """Lines by shade, the best drawn last, over the others; a gap where a measure is absent."""
    shade = np.clip((lines.goodness * _SHADES).astype(int), 0, _SHADES - 1)
    return [_shaded(lines, [int(row) for row in np.flatnonzero(shade == one)], one) for one in sorted(set(shade))]


def _shaded(lines: Lines, rows: Sequence[int], shade: int) -> go.Scatter:
    share = (shade + 0.5) / _SHADES
    (colour,) = sample_colorscale(_COLOURS, [share])
    best = shade == _SHADES - 1
    across = [*range(len(lines.axes)), None]
    return go.Scatter(
        x=across * len(rows),
        y=[value for row in rows for value in [*(_placed(axis.places[row]) for axis in lines.axes), None]],
        mode="lines",
        line={"color": colour, "width": 2.2 if best else 1.2, "shape": "linear"},
        opacity=1 if best else 0.7,
        text=[text for row in rows for text in [wrapped(lines.labels[row], 60)] * len(across)],
        hovertemplate="%{text}<extra></extra>",
    )


def _placed(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _axis_line(place: int) -> dict[str, Any]:
    line = {"width": 1.5, "color": NEUTRAL}
    return {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": line, "layer": "above"}


def _notes(place: int, axis: Axis) -> list[dict[str, Any]]:
    """The heading above an axis and the ticks at its right, on the page's own colour, for lines pass behind them."""
    heading = {
        "x": place, "y": 1, "yshift": 10, "xanchor": "left", "yanchor": "bottom", "align": "left", "showarrow": False,
        "text": f"<b>{wrapped(axis.heading, _HEADING)}</b>", "font": {"size": 12}, "xshift": -6,
    }  # fmt: skip
    ticks = [
        {
            "templateitemname": theme.ON_PAGE, "x": place, "y": at, "xanchor": "left", "yanchor": "middle", "xshift": 5,
            "showarrow": False, "text": plain(shortened(text, TICK)), "font": {"size": 11}, "visible": True,
        }
        for at, text in axis.ticks
    ]  # fmt: skip
    return [heading, *ticks]


def _title(metric: str, lines: Lines) -> str:
    count = len(lines.labels)
    return f"{metric_name(metric)}: {count} configurations, the best is {lines.labels[0]}"


def _description(analysis: Analysis, metric: str, lines: Lines, chosen: Sequence[str]) -> str:
    total = data.grid_labels(analysis, metric)
    kept = f" Shown are the {len(lines.labels)} best of {total}." if total > len(lines.labels) else ""
    absent = [name for name in _parameters(analysis) if name not in chosen]
    missing = f" Not shown: {', '.join(absent)}." if absent else ""
    return (
        "Each line is one configuration, through its parameters to the medians of its measures; lines through one "
        "level are drawn slightly apart. On every axis of a measure the better end is on top. Orange is best by "
        f"{metric_name(metric)}, blue worst.{kept}{missing}"
    )
