"""How waits are distributed over single requests and single tokens: what share is over after how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _lines, _samples
from workbench.dashboard.figures._placing import Scale, log_ticks, scale_of
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import axis_title, format_number, metric_name, shown, unit_of
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis

scope = "sweep"

SERIES = {"ttft_ms": "requests", "itl_ms": "gaps between tokens"}
"""Series whose samples are single waits → what one sample is about."""

GUIDES = (0.5, 0.95, 0.99)

_HEIGHT, _AXIS, _RIGHT = 400, 54, 44
_RUG = 0.032  # height of one configuration's marks below the curves, as a share of the curves' height
_WIDE, _ACROSS = 900, 1400  # pixels below which less room is assumed; of the widest page
_FEW = 150  # up to so many samples of a configuration are also markers on its curve
_MOST_TICKS, _FEW_TICKS = 12, 6


def drawable(analysis: Analysis) -> bool:
    """Whether the waits of single requests or tokens were recorded."""
    return bool(drawings(analysis))


def drawings(analysis: Analysis) -> list[dict[str, Any]]:
    """One for first tokens, one for the gaps after them."""
    return [{"series": series} for series in SERIES if len(_samples.of_series(analysis, series))]


def ecdf(analysis: Analysis, *, series: str | None = None, most: int = _lines.MOST) -> go.Figure:
    """Empirical distribution functions, one line per configuration, the samples of all its runs together.

    Args:
        analysis: with samples.
        series: whose samples; by default the first of :data:`SERIES` that was recorded.
        most: so many configurations; of more, the reference, what is recommended, and the extremes.

    Raises:
        UnknownName: no such series.
        UsageError: no run recorded samples of it.
    """
    plot = _plot(analysis, series, most)
    names, top = list(plot.waits), _lines.legend_height(list(plot.waits), _WIDE)
    figure = go.Figure([trace for row, name in enumerate(names) for trace in _traces(plot, row, name)])
    figure.update_layout(
        xaxis=_x_axis(plot, _MOST_TICKS),
        yaxis=_y_axis(plot),
        shapes=[_guide(share) for share in GUIDES],
        annotations=[_guide_name(share) for share in GUIDES],
        margin={"t": top, "b": _AXIS, "l": 10, "r": _RIGHT},
        showlegend=True,
        hovermode="closest",
    )
    height = round(_HEIGHT * (1 + plot.floor)) + _AXIS + top
    fewer = {f"xaxis.{key}": value for key, value in _x_axis(plot, _FEW_TICKS).items() if key.startswith("tick")}
    return theme.finish(
        figure,
        title=_title(plot),
        description=_description(plot),
        height=height,
        narrow={**_lines.narrower(names, height, top), **fewer},
        narrow_below=_WIDE,
    )


@dataclass(frozen=True, slots=True)
class _Plot:
    """What is drawn.

    Attributes:
        series: whose samples.
        waits: configuration → all its samples, in the unit shown.
        there: how many configurations have samples.
        looks: configuration → look.
        reference: what others are compared with.
        scale: of the x axis.
    """

    series: str
    waits: Mapping[str, _samples.Numbers]
    there: int
    looks: Mapping[str, _lines.Look]
    reference: str | None
    scale: Scale

    @property
    def floor(self) -> float:
        """How far the marks reach below the curves, as a share of the curves' height."""
        return _RUG * (len(self.waits) + 1)


def _plot(analysis: Analysis, series: str | None, most: int) -> _Plot:
    series = series or next((one["series"] for one in drawings(analysis)), next(iter(SERIES)))
    samples = _samples.of_series(analysis, series)
    if samples.empty:
        _refuse(analysis, series)
    factor = shown(series, 1.0)
    all_waits = {
        str(name): factor * part.to_numpy(float) for name, part in samples.groupby("name", sort=False)["value"]
    }
    typical = {name: float(np.median(part)) for name, part in all_waits.items()}
    names = _lines.chosen(typical, _lines.foremost(analysis), most)
    waits = {name: all_waits[name] for name in sorted(names, key=lambda name: typical[name])}
    ends = [
        float(end) for part in waits.values() for end in (part.min(), part[part > 0].min(initial=np.inf), part.max())
    ]
    scale = scale_of([end for end in ends if np.isfinite(end)], may_be_log=True)
    reference = data.reference_of(analysis)
    return _Plot(series, waits, len(all_waits), _lines.looks(list(waits), reference), reference, scale)


def _refuse(analysis: Analysis, series: str) -> None:
    there = _samples.series_names(analysis)
    if there and series not in there and series not in SERIES:
        raise UnknownName("series", series, there)
    raise UsageError(
        f"No run recorded samples of {series!r}: there is no distribution to show. Record them with the run: "
        f'wb.record(..., series={{"{series}": [(seconds, value), ...]}}).'
    )


def _traces(plot: _Plot, row: int, name: str) -> list[go.Scatter]:
    waits, look = plot.waits[name], plot.looks[name]
    values, shares = _samples.steps(waits, _HEIGHT)
    curve = go.Scatter(
        x=_on_axis(plot.scale, np.append(values[:1], values)),  # the curve rises from 0 at the smallest value
        y=100 * np.append(0.0, shares),
        mode="lines+markers" if len(waits) <= _FEW else "lines",
        name=_lines.legend_name(name),
        legendgroup=f"line {row}",
        line={"shape": "hv", "color": look.colour, "width": 2, "dash": look.dash},
        marker={"size": 5, "color": look.colour, "symbol": look.symbol},
        hovertemplate=f"{wrapped(name, 50)}<br>%{{y:.1f}} % within %{{x:,.4~g}} {_unit(plot)}<extra></extra>",
    )
    return [curve, _marks(plot, row, waits, look)]


def _marks(plot: _Plot, row: int, waits: _samples.Numbers, look: _lines.Look) -> go.Scatter:
    """Every single sample, below the curves; samples that would fall on the same pixel as one mark."""
    places = np.log10(_on_axis(plot.scale, waits)) if plot.scale.log else waits
    kept = waits[_samples.distinct(places, plot.scale.low, plot.scale.high, _ACROSS)]
    return go.Scatter(
        x=_on_axis(plot.scale, kept),
        y=np.full(len(kept), -100 * _RUG * (row + 1)),
        mode="markers",
        legendgroup=f"line {row}",
        showlegend=False,
        marker={"symbol": "line-ns-open", "size": 8, "color": look.colour, "line": {"width": 1}},
        hoverinfo="skip",
    )


def _on_axis(scale: Scale, values: _samples.Numbers) -> _samples.Numbers:
    return np.where(values <= 0, scale.zero, values) if scale.log and scale.zero is not None else values


def _x_axis(plot: _Plot, most: int) -> dict[str, Any]:
    title = axis_title(plot.series)
    title = f"{title[:-1]}, log scale)" if plot.scale.log and title.endswith(")") else title
    axis: dict[str, Any] = {
        "title": {"text": wrapped(title, 60)},
        "range": [plot.scale.low, plot.scale.high],
        "nticks": most,
        "separatethousands": True,
        "exponentformat": "none",
    }
    if not plot.scale.log:
        return axis
    values, texts = log_ticks(plot.scale, most)
    return {**axis, "type": "log", "tickmode": "array", "tickvals": values, "ticktext": texts, "tickangle": 0}


def _y_axis(plot: _Plot) -> dict[str, Any]:
    return {
        "title": {"text": f"share of {SERIES.get(plot.series, 'samples')} (%)"},
        "range": [-100 * plot.floor, 102],
        "tickmode": "array",
        "tickvals": [0, 25, 50, 75, 100],
    }


def _guide(share: float) -> dict[str, Any]:
    line = {"width": 1, "dash": "dot", "color": NEUTRAL}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100 * share, "y1": 100 * share, "line": line}


def _guide_name(share: float) -> dict[str, Any]:
    place = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 6, "y": 100 * share, "yanchor": "middle"}
    return {**place, "text": f"p{100 * share:g}", "showarrow": False, "font": {"size": 12, "color": NEUTRAL}}


def _unit(plot: _Plot) -> str:
    return plain(unit_of(plot.series).symbol)


def _title(plot: _Plot) -> str:
    """The p95 of the best and the worst line: tails are what a distribution is looked at for."""
    tails = {name: float(np.quantile(part, 0.95)) for name, part in plot.waits.items()}
    best, worst = min(tails, key=lambda name: tails[name]), max(tails, key=lambda name: tails[name])
    told = [
        f"{format_number(tails[name])} {unit_of(plot.series).symbol} with {shortened(name, 72)}"
        for name in (best, worst)
    ]
    head = f"{metric_name(plot.series)}, every sample: 95 % are within"
    return f"{head} {told[0]}" if best == worst else f"{head} {told[0]}, and within {told[1]}"


def _description(plot: _Plot) -> str:
    count = sum(len(part) for part in plot.waits.values())
    return (
        f"Each line is one configuration, the samples of all its runs together ({count:,} in all): at each wait, the "
        f"share of {SERIES.get(plot.series, 'samples')} that took no longer. Further left is faster; dotted lines mark "
        "the median, p95 and p99. The marks below are the single samples. Curves and marks are drawn to the pixel. "
        "Samples of one run depend on one another, so small differences here are no evidence; the comparisons are."
        + _lines.left_out(len(plot.waits), plot.there)
    )
