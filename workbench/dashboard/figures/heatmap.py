"""The median of a metric over two parameters, value and unit in every cell; cells without runs are hatched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from workbench.dashboard import data, theme
from workbench.dashboard.figures._parts import LINE
from workbench.dashboard.text import lines_of, plain, shortened, wrapped
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import format_number, format_value, metric_name, shown, unit_of
from workbench.errors import UnknownName, UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis

_AXIS, _TOP, _HEADER, _GAP, _ROW = 54, 8, 26, 12, 62
_ON_ONE_LINE, _WITHOUT_UNIT = 3, 6
"""Levels across up to which a cell has its unit beside the value, and below it; the unit is in the caption anyway."""

_COLOURS = "Cividis"
"""Made to look the same with and without red-green colour blindness (Nuñez et al., 2018)."""


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether a run of the grid recorded the metric."""
    recorded = bool(analysis.parameters) and metric in analysis.frame.columns
    return recorded and bool(data.grid(analysis, metric)["value"].notna().any())


@dataclass(frozen=True, slots=True)
class _Facet:
    """One map: medians and run counts, (levels of y, levels of x); NaN and 0 where nothing ran."""

    heading: str
    medians: np.ndarray[Any, np.dtype[np.float64]]
    counts: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is shown where; ``y`` is ``None`` when one parameter is all there is."""

    metric: str
    x: str
    y: str | None
    x_levels: Sequence[Any]
    y_levels: Sequence[Any]
    facets: Sequence[_Facet]
    less_is_more: bool

    @property
    def medians(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Every median that is shown."""
        found = np.concatenate([facet.medians.ravel() for facet in self.facets])
        shown_ones: np.ndarray[Any, np.dtype[np.float64]] = found[np.isfinite(found)]
        return shown_ones

    @property
    def complete(self) -> int:
        """Runs of a cell that lacks none."""
        return max(int(facet.counts.max()) for facet in self.facets)

    @property
    def row(self) -> int:
        """Pixels of one row of cells."""
        return max(_ROW, *(LINE * lines_of(_label(level)) + 10 for level in self.y_levels))

    def brightness(self, median: float) -> float:
        """Place of a median on the colour scale: 0 dark, 1 bright; the best is brightest."""
        low, high = self.medians.min(), self.medians.max()
        share = float((median - low) / (high - low)) if high > low else 1.0
        return 1 - share if self.less_is_more and high > low else share


def heatmap(
    analysis: Analysis, metric: str, *, x: str | None = None, y: str | None = None, facet: str | None = None
) -> go.Figure:
    """Medians over two parameters, one map per level of a third; further parameters are pooled.

    Args:
        analysis: what the sweep found.
        metric: what is shown.
        x: parameter across; by default the one of the first two with fewer levels.
        y: parameter down; by default the other.
        facet: parameter with one map per level; by default the third that varies.

    Raises:
        UnknownName: a parameter the sweep does not have.
        UsageError: no run of the grid recorded the metric.
    """
    if not drawable(analysis, metric):
        raise UsageError(f"No run of the grid recorded {metric!r}: there is no median to show.")
    x, y, facet = _choose(analysis, x, y, facet)
    plan = _Plan(
        metric,
        x,
        y,
        analysis.parameters[x],
        analysis.parameters[y] if y else ("",),
        _facets(analysis, metric, x, y, facet),
        _less_is_more(analysis, metric),
    )
    figure = go.Figure()
    bottom = _AXIS + LINE * (max(lines_of(_label(level)) for level in plan.x_levels) - 1)
    height = _draw(figure, plan) + _TOP + bottom
    figure.update_layout(margin={"t": _TOP, "b": bottom, "l": 10, "r": 14})
    pooled = [name for name in data.varied(analysis) if name not in (x, y, facet)]
    return theme.finish(
        figure, title=_title(analysis, metric), description=_description(analysis, metric, pooled), height=height
    )


def _choose(analysis: Analysis, x: str | None, y: str | None, facet: str | None) -> tuple[str, str | None, str | None]:
    """Fill in the parameters that were left open: the first two that vary, then the third."""
    for name in (x, y, facet):
        if name is not None and name not in analysis.parameters:
            raise UnknownName("parameter", name, analysis.parameters)
    free = [name for name in data.varied(analysis) if name not in (x, y, facet)]
    if x is None and y is None:
        free[:2] = sorted(free[:2], key=lambda name: len(analysis.parameters[name]))
    if x is None:
        if not free:
            raise UsageError("No parameter is left to go across. Name one as x, and others as y and facet.")
        x = free.pop(0)
    if y is None and free:
        y = free.pop(0)
    return x, y, facet or (free[0] if free else None)


def _facets(analysis: Analysis, metric: str, x: str, y: str | None, facet: str | None) -> list[_Facet]:
    frame = data.grid(analysis, metric)
    if facet is None:
        return [_facet("", frame, analysis, x, y)]
    return [
        _facet(f"{facet} = {show(level)}", frame[frame[facet] == data.level_key(level)], analysis, x, y)
        for level in analysis.parameters[facet]
    ]


def _facet(heading: str, frame: pd.DataFrame, analysis: Analysis, x: str, y: str | None) -> _Facet:
    across = [data.level_key(level) for level in analysis.parameters[x]]
    down = [data.level_key(level) for level in analysis.parameters[y]] if y else [""]
    rows = [frame if y is None else frame[frame[y] == level] for level in down]
    cells = [[row.loc[row[x] == level, "value"].dropna() for level in across] for row in rows]
    return _Facet(
        heading,
        np.array([[cell.median() if len(cell) else np.nan for cell in row] for row in cells]),
        np.array([[len(cell) for cell in row] for row in cells]),
    )


def _draw(figure: go.Figure, plan: _Plan) -> int:
    """Add every map, one below the other; returns the pixels they take."""
    header = _HEADER if plan.facets[0].heading else 0
    body = plan.row * len(plan.y_levels)
    height = (header + body + _GAP) * len(plan.facets) - _GAP
    annotations: list[dict[str, Any]] = []  # set at once: plotly checks all of them again with each one added
    for number, facet in enumerate(plan.facets):
        axis = "y" if number == 0 else f"y{number + 1}"
        top = 1 - (number * (header + body + _GAP) + header) / height
        figure.add_traces([_map(plan, facet, axis), *_holes(facet, axis)])
        annotations += [*([_heading(facet, top)] if header else []), *_texts(plan, facet, axis)]
        domain = {"domain": (max(top - body / height, 0.0), top), "anchor": "x"}
        figure.update_layout({axis.replace("y", "yaxis"): _axis(plan.y or "", plan.y_levels, down=True) | domain})
    last = "y" if len(plan.facets) == 1 else f"y{len(plan.facets)}"
    figure.update_layout(xaxis=_axis(plan.x, plan.x_levels) | {"anchor": last}, annotations=annotations)
    return height


def _heading(facet: _Facet, top: float) -> dict[str, Any]:
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom"}
    return {**place, "text": f"<b>{plain(shortened(facet.heading, 36))}</b>", "showarrow": False}


def _map(plan: _Plan, facet: _Facet, axis: str) -> go.Heatmap:
    return go.Heatmap(
        z=[[plan.brightness(m) if np.isfinite(m) else None for m in row] for row in facet.medians],
        x=list(range(len(plan.x_levels))),
        y=list(range(len(plan.y_levels))),
        yaxis=axis,
        zmin=0,
        zmax=1,
        colorscale=_COLOURS,
        showscale=False,
        xgap=2,
        ygap=2,
        text=_hover_texts(plan, facet),
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
    )


def _holes(facet: _Facet, axis: str) -> list[go.Scatter]:
    return [_hatched(float(column), float(row), axis) for row, column in np.argwhere(facet.counts == 0)]


def _texts(plan: _Plan, facet: _Facet, axis: str) -> list[dict[str, Any]]:
    """Value and unit for every cell, "no run" for the empty ones."""
    texts = []
    for (row, column), count in np.ndenumerate(facet.counts):
        median = float(facet.medians[row, column])
        text = _cell_text(plan, median, int(count)) if count else "no run"
        font = {"color": _ink(plan.brightness(median))} if count else {}
        texts.append({"x": column, "y": row, "yref": axis, "text": text, "font": font, "showarrow": False})
    return texts


def _cell_text(plan: _Plan, median: float, count: int) -> str:
    """Value and unit, as far as the cells are wide enough; "8 of 10 runs" where runs are missing."""
    value, unit = f"<b>{format_number(shown(plan.metric, median))}</b>", unit_of(plan.metric).symbol
    missing = f"{count} of {plan.complete}" if count < plan.complete else ""
    if len(plan.x_levels) > _WITHOUT_UNIT:
        return "<br>".join(filter(None, (value, missing)))
    if len(plan.x_levels) > _ON_ONE_LINE:
        return "<br>".join(filter(None, (value, unit, missing)))
    return "<br>".join(filter(None, (f"{value} {unit}".rstrip(), f"{missing} runs" if missing else "")))


def _ink(share: float) -> str:
    """Black or white, whichever stands out more from the cell.

    By relative luminance (WCAG 2.2); both contrasts are equal, at 4.6:1, where it is 0.179.
    """
    (colour,) = sample_colorscale(_COLOURS, [share], colortype="tuple")
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def _hover_texts(plan: _Plan, facet: _Facet) -> list[list[str]]:
    return [
        [_hover_text(plan, facet, row, column) for column in range(len(plan.x_levels))]
        for row in range(len(plan.y_levels))
    ]


def _hover_text(plan: _Plan, facet: _Facet, row: int, column: int) -> str:
    lines = [
        f"{plan.x} = {show(plan.x_levels[column])}",
        f"{plan.y} = {show(plan.y_levels[row])}" if plan.y else "",
        facet.heading,
        f"median {format_value(plan.metric, facet.medians[row, column])} of {facet.counts[row, column]} runs",
    ]
    return "<br>".join(wrapped(line, 60) for line in lines if line)


def _hatched(x: float, y: float, axis: str) -> go.Scatter:
    """A cell that never finished: an outline filled with hatching."""
    return go.Scatter(
        x=[x - 0.48, x + 0.48, x + 0.48, x - 0.48, x - 0.48],
        y=[y - 0.48, y - 0.48, y + 0.48, y + 0.48, y - 0.48],
        yaxis=axis,
        mode="lines",
        line={"color": NEUTRAL, "width": 1},
        fill="toself",
        fillpattern={"shape": "/", "fgcolor": NEUTRAL, "bgcolor": "rgba(0,0,0,0)", "size": 9, "solidity": 0.15},
        hoverinfo="skip",
        showlegend=False,
    )


def _label(level: Any) -> str:
    return wrapped(show(level), 18)


def _axis(parameter: str, levels: Sequence[Any], *, down: bool = False) -> dict[str, Any]:
    """An axis with one tick per level; the first level is on top or at the left."""
    edge = (-0.5, len(levels) - 0.5)
    return {
        "range": edge[::-1] if down else edge,
        "tickmode": "array",
        "tickvals": list(range(len(levels))),
        "ticktext": [_label(level) for level in levels],
        "tickangle": 0,
        "title": {"text": plain(shortened(parameter, 24 if down else 48))},
        "showgrid": False,
        "fixedrange": True,
        "ticks": "",
    }


def _less_is_more(analysis: Analysis, metric: str) -> bool:
    objective = data.objective_of(analysis, metric)
    return objective is not None and objective.direction == "minimize"


def _title(analysis: Analysis, metric: str) -> str:
    """The best median of a whole configuration, whatever is pooled in the maps."""
    frame = data.grid(analysis, metric).dropna(subset=["value"])
    names = [name for name in data.varied(analysis) if name in frame.columns]
    medians = frame.groupby(names, sort=False)["value"].median().reset_index()
    values = medians["value"].to_numpy()
    if len(values) > 1 and np.allclose(values, values[0], rtol=1e-9):
        return f"{metric_name(metric)}: the same median, {format_value(metric, values[0])}, in every combination"
    extreme, place = ("lowest", values.argmin()) if _less_is_more(analysis, metric) else ("highest", values.argmax())
    levels = ", ".join(_told(analysis, name, str(medians[name].iloc[place])) for name in names)
    return f"{metric_name(metric)}: {extreme} median {format_value(metric, float(values[place]))} with {levels}"


def _told(analysis: Analysis, name: str, key: str) -> str:
    level = next((level for level in analysis.parameters[name] if data.level_key(level) == key), key)
    return f"{name}={show(level)}"


def _description(analysis: Analysis, metric: str, pooled: Sequence[str]) -> str:
    bright = "better" if data.objective_of(analysis, metric) else "higher"
    others = f" Runs of all levels of {', '.join(pooled)} are pooled." if pooled else ""
    unit = f" in {symbol}" if (symbol := unit_of(metric).symbol) else ""
    return (
        f"Median{unit} of the runs of each combination. Brighter is {bright}.{others} Hatched: no run of it finished."
    )
