"""The median of a metric over two parameters, value and unit in every cell; what did not fit into memory is hatched."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from workbench.dashboard import data, theme
from workbench.dashboard.figures._map import Facet, Plan, less_is_more, plan_of, pooled
from workbench.dashboard.figures._parts import LINE
from workbench.dashboard.text import lines_of, plain, shortened, wrapped
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import format_number, format_value, metric_name, shown, unit_of
from workbench.errors import UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis

_AXIS, _TOP, _HEADER, _GAP, _ROW = 54, 8, 26, 12, 62
_ON_ONE_LINE, _WITHOUT_UNIT = 3, 6
"""Levels across up to which a cell has its unit beside the value, and below it; the unit is in the caption anyway."""

_IN = 0.485
"""Half of a cell without a value, in cells: its outline must not touch its neighbours'."""
_HATCHING = {"shape": "x", "fgcolor": NEUTRAL, "bgcolor": "rgba(0,0,0,0)", "size": 8, "solidity": 0.25}

_COLOURS = "Cividis"
"""Made to look the same with and without red-green colour blindness (Nuñez et al., 2018)."""


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether a run of the grid recorded the metric."""
    recorded = bool(analysis.parameters) and metric in analysis.frame.columns
    return recorded and bool(data.grid(analysis, metric)["value"].notna().any())


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
    plan = plan_of(analysis, metric, x, y, facet)
    figure = go.Figure()
    bottom = _AXIS + LINE * (max(lines_of(_label(level)) for level in plan.x_levels) - 1)
    height = _draw(figure, plan) + _TOP + bottom
    figure.update_layout(margin={"t": _TOP, "b": bottom, "l": 10, "r": 14})
    return theme.finish(figure, title=_title(analysis, metric), description=_description(analysis, plan), height=height)


def _row(plan: Plan) -> int:
    """Pixels of one row of cells."""
    return max(_ROW, *(LINE * lines_of(_label(level)) + 10 for level in plan.y_levels))


def _draw(figure: go.Figure, plan: Plan) -> int:
    """Add every map, one below the other; returns the pixels they take."""
    header, row = _HEADER if plan.facets[0].heading else 0, _row(plan)
    body = row * len(plan.y_levels)
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


def _heading(facet: Facet, top: float) -> dict[str, Any]:
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "bottom"}
    return {**place, "text": f"<b>{plain(shortened(facet.heading, 36))}</b>", "showarrow": False}


def _map(plan: Plan, facet: Facet, axis: str) -> go.Heatmap:
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
        hoverongaps=True,
    )


def _holes(facet: Facet, axis: str) -> list[go.Scatter]:
    """What has no value: hatched where it did not fit into memory, a dotted outline where nothing finished."""
    empty = facet.counts == 0
    hatching = {"fill": "toself", "fillpattern": _HATCHING, "line": {"color": NEUTRAL, "width": 1.5}}
    dotted = {"line": {"color": NEUTRAL, "width": 1, "dash": "dot"}}
    looks = ((empty & (facet.refused > 0), hatching), (empty & (facet.refused == 0), dotted))
    return [_outlines(np.argwhere(cells).tolist(), axis, look) for cells, look in looks if cells.any()]


def _texts(plan: Plan, facet: Facet, axis: str) -> list[dict[str, Any]]:
    """Value and unit for every cell; what is the matter, in those without."""
    texts = []
    for (row, column), count in np.ndenumerate(facet.counts):
        median = float(facet.medians[row, column])
        note: dict[str, Any] = {"x": column, "y": row, "yref": axis, "showarrow": False}
        if count:
            text = _cell_text(plan, median, int(count), int(facet.refused[row, column]))
            note |= {"text": text, "font": {"color": _ink(plan.brightness(median))}}
        elif facet.refused[row, column]:
            wide = len(plan.x_levels) <= _ON_ONE_LINE
            note |= {"text": "<b>did not fit</b>" if wide else "<b>did<br>not fit</b>", "font": {"size": 12}}
            note |= {"templateitemname": theme.ON_PAGE, "visible": True}
        else:
            note |= {"text": "no run", "font": {"color": NEUTRAL}}
        texts.append(note)
    return texts


def _cell_text(plan: Plan, median: float, count: int, refused: int) -> str:
    """Value and unit, as far as the cells are wide enough; "8 of 10 runs" where runs are missing, and why."""
    value, unit = f"<b>{format_number(shown(plan.metric, median))}</b>", unit_of(plan.metric).symbol
    missing = f"{count} of {plan.complete}" if count < plan.complete else ""
    if refused:  # pooled configurations, of which some fitted
        return "<br>".join(filter(None, (f"{value} {unit}".rstrip(), f"{refused} did not fit")))
    if len(plan.x_levels) > _WITHOUT_UNIT:
        return "<br>".join(filter(None, (value, missing)))
    if len(plan.x_levels) > _ON_ONE_LINE:
        return "<br>".join(filter(None, (value, unit, missing)))
    return "<br>".join(filter(None, (f"{value} {unit}".rstrip(), f"{missing} runs" if missing else "")))


def _ink(share: float) -> str:
    """Black or white, whichever stands out more from the cell.

    By relative luminance (WCAG 2.2); both contrasts are equal, at 4.6:1, where it is 0.179.
    """
    return _inks()[round(100 * share)]


@cache
def _inks() -> list[str]:
    """The ink for each hundredth of the scale."""
    return [
        _ink_on(colour) for colour in sample_colorscale(_COLOURS, [at / 100 for at in range(101)], colortype="tuple")
    ]


def _ink_on(colour: tuple[float, float, float]) -> str:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def _hover_texts(plan: Plan, facet: Facet) -> list[list[str]]:
    return [
        [_hover_text(plan, facet, row, column) for column in range(len(plan.x_levels))]
        for row in range(len(plan.y_levels))
    ]


def _hover_text(plan: Plan, facet: Facet, row: int, column: int) -> str:
    lines = [
        f"{plan.x} = {show(plan.x_levels[column])}",
        f"{plan.y} = {show(plan.y_levels[row])}" if plan.y else "",
        facet.heading,
        f"median {format_value(plan.metric, facet.medians[row, column])} of {facet.counts[row, column]} runs",
        f"did not fit: {facet.said[row][column]}" if facet.said[row][column] else "",
    ]
    return "<br>".join(wrapped(line, 60) for line in lines if line)


def _outlines(cells: Sequence[Sequence[int]], axis: str, look: dict[str, Any]) -> go.Scatter:
    """The outlines of (row, column), one after the other with gaps between."""
    x = [at for _, column in cells for at in (*(column + step for step in (-_IN, _IN, _IN, -_IN, -_IN)), None)]
    y = [at for row, _ in cells for at in (*(row + step for step in (-_IN, -_IN, _IN, _IN, -_IN)), None)]
    return go.Scatter(x=x, y=y, yaxis=axis, mode="lines", hoverinfo="skip", showlegend=False, **look)


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


def _title(analysis: Analysis, metric: str) -> str:
    """The best median of a whole configuration, whatever is pooled in the maps."""
    frame = data.grid(analysis, metric).dropna(subset=["value"])
    names = [name for name in data.varied(analysis) if name in frame.columns]
    medians = frame.groupby(names, sort=False)["value"].median().reset_index()
    values = medians["value"].to_numpy()
    if len(values) > 1 and np.allclose(values, values[0], rtol=1e-9):
        return f"{metric_name(metric)}: the same median, {format_value(metric, values[0])}, in every combination"
    extreme, place = ("lowest", values.argmin()) if less_is_more(analysis, metric) else ("highest", values.argmax())
    levels = ", ".join(_told(analysis, name, str(medians[name].iloc[place])) for name in names)
    return f"{metric_name(metric)}: {extreme} median {format_value(metric, float(values[place]))} with {levels}"


def _told(analysis: Analysis, name: str, key: str) -> str:
    level = next((level for level in analysis.parameters[name] if data.level_key(level) == key), key)
    return f"{name}={show(level)}"


def _description(analysis: Analysis, plan: Plan) -> str:
    bright = "better" if data.objective_of(analysis, plan.metric) else "higher"
    scale = ", by factors (a logarithmic scale of colours)" if plan.by_factors else ""
    names = pooled(analysis, plan)
    others = f" Runs of all levels of {', '.join(names)} are pooled." if names else ""
    unit = f" in {symbol}" if (symbol := unit_of(plan.metric).symbol) else ""
    refused = any((facet.refused > 0).any() for facet in plan.facets)
    missing = any(((facet.counts == 0) & (facet.refused == 0)).any() for facet in plan.facets)
    hatched = " Hatched: it did not fit into memory." if refused else ""
    dotted = " Dotted outline: no run of it finished." if missing else ""
    return f"Median{unit} of the runs of each combination. Brighter is {bright}{scale}.{others}{hatched}{dotted}"
