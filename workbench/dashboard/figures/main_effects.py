"""What each parameter does on its own: its levels as ratios to its first level, one panel per parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import lines_of, plain, shortened, wrapped
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import format_ratio, format_share, metric_name
from workbench.errors import UsageError
from workbench.sweep.design.planning import show
from workbench.sweep.results import Analysis, MainEffect

_AXIS, _LEGEND, _HEADER, _ROW = 54, 34, 30, 44
_LABEL_WIDTH = 22


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether there is a parameter with more than one level and runs of it."""
    return bool(data.main_effects(analysis, metric))


@dataclass(frozen=True, slots=True)
class _Panel:
    """One parameter: its first level, then its effects; y = 0 is the first level, the axis reversed."""

    parameter: str
    effects: Sequence[MainEffect]
    number: int
    domain: tuple[float, float]

    @property
    def axis(self) -> str:
        return "y" if self.number == 1 else f"y{self.number}"

    @property
    def labels(self) -> list[Any]:
        return _levels(self.effects)


def main_effects(analysis: Analysis, metric: str) -> go.Figure:
    """Main effects, parameters in the order of the specification.

    Raises:
        UsageError: no parameter has two levels with runs.
    """
    effects = data.main_effects(analysis, metric)
    if not effects:
        raise UsageError(f"No parameter has an effect on {metric!r} to show: give one at least two levels.")
    panels, plot_height = _panels(effects)
    comparisons = [effect.comparison for levels in effects.values() for effect in levels]
    band = _parts.widest_band(comparisons)
    bounds = [(item.effect.ratio, item.effect.low, item.effect.high) for item in comparisons]
    figure = go.Figure([trace for panel in panels for trace in _traces(panel)])
    figure.add_traces(_parts.verdict_legend(item.verdict for item in comparisons))
    figure.update_layout(
        xaxis=_parts.ratio_axis(
            [1 + band, 1 / (1 + band), *(bound for triple in bounds for bound in triple)],
            f"{metric_name(metric)} ÷ first level (ratio, log scale)",
        )
        | {"anchor": panels[-1].axis},
        shapes=_parts.noise_band(band, {panel.axis: len(panel.labels) for panel in panels}),
        annotations=[*_headers(panels), *(note for panel in panels for note in _notes(panel))],
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": 14},
        **{panel.axis.replace("y", "yaxis"): _axis(panel) for panel in panels},
    )
    return theme.finish(
        figure,
        title=_title(metric, effects),
        description=(
            "Each level of a parameter against its first level, everything else equal, averaged within blocks: "
            f"point and confidence interval. Grey is the noise band of ±{format_share(band)}."
        ),
        height=plot_height + _AXIS + _LEGEND,
    )


def _panels(effects: Mapping[str, Sequence[MainEffect]]) -> tuple[list[_Panel], int]:
    """Panels from top to bottom, each a header and one row per level, and the pixels they take together."""
    row = max(
        _ROW, *(_parts.LINE * lines_of(_label(level)) + 10 for levels in effects.values() for level in _levels(levels))
    )
    heights = [row * len(_levels(levels)) for levels in effects.values()]
    total = sum(heights) + _HEADER * len(heights)
    panels, top = [], 1.0
    for number, ((parameter, levels), height) in enumerate(zip(effects.items(), heights, strict=True), start=1):
        top -= _HEADER / total
        bottom = max(top - height / total, 0.0)
        panels.append(_Panel(parameter, levels, number, (bottom, top)))
        top = bottom
    return panels, total


def _levels(effects: Sequence[MainEffect]) -> list[Any]:
    return [effects[0].reference_level, *(effect.level for effect in effects)]


def _label(level: Any) -> str:
    return wrapped(show(level), _LABEL_WIDTH)


def _traces(panel: _Panel) -> list[go.Scatter]:
    reference = go.Scatter(
        x=[1],
        y=[0],
        yaxis=panel.axis,
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 16, "color": NEUTRAL, "line": {"width": 3}},
        text=[
            f"{wrapped(panel.parameter, 40)} = {wrapped(panel.labels[0], 40)}: the level the others are compared with"
        ],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    rows = [(float(row), effect.comparison) for row, effect in enumerate(panel.effects, start=1)]
    return [reference, *_parts.verdict_traces(rows, panel.axis, legend=False)]


def _axis(panel: _Panel) -> dict[str, Any]:
    return {
        "domain": panel.domain,
        "anchor": "x",
        "range": [len(panel.labels) - 0.5, -0.5],
        "tickmode": "array",
        "tickvals": list(range(len(panel.labels))),
        "ticktext": [_label(level) for level in panel.labels],
        "ticklabelstandoff": 6,
        "showgrid": False,
        "fixedrange": True,
        "showline": True,
    }


def _headers(panels: Sequence[_Panel]) -> list[dict[str, Any]]:
    """The parameter above each panel."""
    place = {"x": 0, "xref": "paper", "xanchor": "left", "yref": "paper", "yanchor": "bottom", "showarrow": False}
    return [
        {**place, "y": panel.domain[1], "text": f"<b>{plain(shortened(panel.parameter, 36))}</b>"} for panel in panels
    ]


def _notes(panel: _Panel) -> list[dict[str, Any]]:
    """Each effect in words, above the right end of its row."""
    texts = ["reference", *(_parts.effect_text(effect.comparison.effect) for effect in panel.effects)]
    place = {"x": 1, "xref": "paper", "xanchor": "right", "yref": panel.axis, "yshift": 15, "showarrow": False}
    return [{**place, "y": row, "text": plain(text), "font": {"size": 12}} for row, text in enumerate(texts)]


def _title(metric: str, effects: Mapping[str, Sequence[MainEffect]]) -> str:
    name = metric_name(metric)
    decided = [e for levels in effects.values() for e in levels if e.comparison.verdict in ("better", "worse")]
    if not decided:
        inconclusive = any(e.comparison.verdict == "inconclusive" for levels in effects.values() for e in levels)
        if inconclusive:
            return f"{name}: no effect of any parameter is established yet"
        return f"{name}: no parameter makes a difference beyond the noise"
    largest = max(decided, key=lambda effect: abs(math.log(effect.comparison.effect.ratio)))
    ratio, verdict = format_ratio(largest.comparison.effect.ratio), largest.comparison.verdict
    return (
        f"{name}: {largest.parameter} matters most; {show(largest.level)} is {ratio} "
        f"{show(largest.reference_level)} ({verdict})"
    )
