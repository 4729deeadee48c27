"""One run over time: its tokens, and what the machine read meanwhile, on the same clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _runs, _samples
from workbench.dashboard.text import plain, shortened, wrapped
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.dashboard.units import format_number, metric_name, shown, unit_of
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis

scope = "sweep"

FIRST, NEXT = "ttft_ms", "itl_ms"
"""Series whose samples are at the times of tokens: first ones, and all after them."""

_PANEL, _TOKENS, _GAP, _AXIS, _TOP, _RIGHT = 120, 130, 34, 54, 10, 14
_ACROSS = 1000  # pixels of the widest page: more points than that tell a screen nothing
_MOST_REQUESTS = 40
_FIRST = {"width": 1, "dash": "dot", "color": PALETTE[1]}
_FEW = 60  # up to so many readings each has a marker
_APART = 20.0  # series of one unit that differ by more have panels of their own
_COLOURS = PALETTE[:5]
_DASHES = ("solid", "dash", "dot")
_COUNTERS = ("energy_joules",)
_QUANTITIES = {"%": "in use", "W": "power", "MHz": "clock", "MiB": "memory", "°C": "temperature", "J": "energy"}
_FROM_ZERO = ("%", "W", "MiB")

_Series = tuple[_samples.Numbers, _samples.Numbers]
"""Seconds and values."""


def drawable(analysis: Analysis) -> bool:
    """Whether a finished run has samples over time."""
    return bool(_runs.with_samples(analysis))


def drawings(analysis: Analysis) -> list[dict[str, Any]]:
    """A few runs that stand for all: those of :func:`workbench.dashboard.figures._runs.telling`."""
    return [{"cell": one.cell, "why": one.why} for one in _runs.telling(analysis)]


def timeline(
    analysis: Analysis, *, cell: str | None = None, label: str | None = None, why: str | None = None
) -> go.Figure:
    """Tokens so far, first tokens as lines, and below a panel for each unit that the machine's readings have.

    Args:
        analysis: with samples.
        cell: which run, by its id; by default the one nearest the median of ``label``.
        label: which configuration; by default the recommended one, else the reference.
        why: what the run stands for, for the title.

    Raises:
        UnknownName: no such run or configuration.
        UsageError: no run has samples over time.
    """
    cell = _asked(analysis, cell, label)
    run = _run(analysis, cell)
    lines = [trace for row, panel in enumerate(run.panels) for trace in _traces(panel, row)]
    figure = go.Figure([*lines, *_firsts_named(run)])
    figure.update_layout(
        shapes=_firsts(run),
        margin={"t": _TOP, "b": _AXIS, "l": 10, "r": _RIGHT},
        showlegend=True,
        hovermode="x",
        **_axes(run),
    )
    return theme.finish(figure, title=_title(run, why), description=_description(run), height=run.height + _AXIS + _TOP)


@dataclass(frozen=True, slots=True)
class _Panel:
    """Series that share an axis.

    Attributes:
        unit: its symbol.
        series: name → (seconds, values in that unit).
        tokens: whether it is the one that counts tokens.
    """

    unit: str
    series: Mapping[str, _Series]
    tokens: bool = False

    @property
    def height(self) -> int:
        return _TOKENS if self.tokens else _PANEL


@dataclass(frozen=True, slots=True)
class _Run:
    """What is drawn.

    Attributes:
        name: the configuration.
        block: as people count.
        order: its place in the running order.
        panels: from top to bottom.
        firsts: seconds of first tokens.
        waits: the time to each of them, milliseconds.
        span: first and last second.
    """

    name: str
    block: str
    order: int
    panels: Sequence[_Panel]
    firsts: _samples.Numbers
    waits: _samples.Numbers
    span: tuple[float, float]

    @property
    def height(self) -> int:
        return sum(panel.height + _GAP for panel in self.panels)

    def domain(self, row: int) -> tuple[float, float]:
        top = sum(panel.height + _GAP for panel in self.panels[:row]) + _GAP
        return max(0.0, 1 - (top + self.panels[row].height) / self.height), 1 - top / self.height


def _asked(analysis: Analysis, cell: str | None, label: str | None) -> str:
    there = _runs.with_samples(analysis)
    if not there:
        raise UsageError(
            "No run has samples over time. Record them with the run: wb.record(..., series=monitor.series), the "
            "monitor being a wb.Monitor() open around what is measured."
        )
    if cell is not None:
        if cell not in there:
            raise UnknownName("run", cell, there)
        return cell
    names = {cell: data.names(analysis)[cell] for cell in there}
    if label is not None and label not in names.values():
        raise UnknownName("configuration", label, dict.fromkeys(names.values()))
    return str(_runs.default(analysis) if label is None else _runs.typical(analysis, label))


def _run(analysis: Analysis, cell: str) -> _Run:
    series = _samples.of_cell(analysis, cell)
    row = analysis.frame[analysis.frame["cell"].astype(str) == cell].iloc[0]
    at = np.concatenate([seconds for seconds, _ in series.values()])
    firsts, waits = series.get(FIRST, (np.empty(0), np.empty(0)))
    panels = [*_token_panel(series), *_machine_panels(series)]
    span = (min(0.0, float(at.min())), float(at.max()))
    block = data.block_name(row["block"])
    return _Run(data.names(analysis)[cell], block, int(row["order"]), panels, firsts, waits, span)


def _token_panel(series: Mapping[str, _Series]) -> list[_Panel]:
    at = np.sort(np.concatenate([series[name][0] for name in (FIRST, NEXT) if name in series] or [np.empty(0)]))
    counted = np.arange(1, len(at) + 1, dtype=float)
    return [_Panel("tokens", {"tokens so far": (at, counted)}, tokens=True)] if len(at) else []


def _machine_panels(series: Mapping[str, _Series]) -> list[_Panel]:
    """A panel a unit, in the order in which units are met; a series without one has a panel of its own.

    Left out: counters of energy, which only grow and show nothing that power does not show better, and what was never
    anything but 0 without a unit (a GPU that was never throttled).
    """
    grouped: dict[str, dict[str, _Series]] = {}
    for name, (at, values) in series.items():
        finite = values[np.isfinite(values)]
        if name in (FIRST, NEXT) or name.endswith(_COUNTERS) or not len(finite):
            continue
        symbol = unit_of(name).symbol
        if symbol or finite.any():
            thin = _samples.thinned(at, shown(name, 1.0) * values, _ACROSS)
            grouped.setdefault(symbol or metric_name(name), {})[name] = thin
    return [_Panel(unit, part) for unit, found in grouped.items() for part in _alike(found)]


def _alike(series: Mapping[str, _Series]) -> list[dict[str, _Series]]:
    """Series of one unit apart where the smaller would be a flat line beside the larger."""
    largest = {name: float(np.nanmax(np.abs(values))) for name, (_, values) in series.items()}
    groups: list[dict[str, _Series]] = []
    for name in sorted(series, key=lambda name: -largest[name]):
        top = largest[next(iter(groups[-1]))] if groups else 0.0
        if groups and top <= _APART * largest[name]:
            groups[-1][name] = series[name]
        else:
            groups.append({name: series[name]})
    return groups


def _traces(panel: _Panel, row: int) -> list[go.Scatter]:
    traces = [_line(panel, row, number, name) for number, name in enumerate(panel.series)]
    return [*traces, _ticks(panel, row)] if panel.tokens else traces


def _line(panel: _Panel, row: int, number: int, name: str) -> go.Scatter:
    at, values = panel.series[name]
    title = name if panel.tokens else metric_name(name)
    few = len(at) <= _FEW and not panel.tokens
    return go.Scatter(
        x=at,
        y=values,
        yaxis=_number("y", row),
        legend=_number("legend", row),
        mode="lines+markers" if few else "lines",
        name=plain(shortened(title, 40)),
        line={
            "color": _COLOURS[number % 5],
            "width": 2,
            "dash": _DASHES[number // 5 % 3],
            "shape": "hv" if panel.tokens else "linear",
        },
        marker={"size": 4},
        connectgaps=False,
        hovertemplate=f"{wrapped(title, 40)}: %{{y:,.4~g}} {plain(panel.unit)} at %{{x:.3f}} s<extra></extra>",
    )


def _ticks(panel: _Panel, row: int) -> go.Scatter:
    """A tick a token on the panel's floor; tokens on the same pixel share one."""
    at = next(iter(panel.series.values()))[0]
    kept = at[_samples.distinct(at, float(at[0]), float(at[-1]), _ACROSS)]
    return go.Scatter(
        x=kept,
        y=np.zeros(len(kept)),
        yaxis=_number("y", row),
        legend=_number("legend", row),
        mode="markers",
        name="a token",
        marker={"symbol": "line-ns-open", "size": 9, "color": NEUTRAL, "line": {"width": 1}},
        hoverinfo="skip",
    )


def _number(name: str, row: int) -> str:
    return name if row == 0 else f"{name}{row + 1}"


def _axes(run: _Run) -> dict[str, Any]:
    """Axes and, above each panel, its legend."""
    low, high = run.span
    margin = 0.01 * (high - low or 1.0)
    bottom = _number("y", len(run.panels) - 1)
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "time since the start of recording (s)"},
            "range": [low - margin, high + margin],
            "anchor": bottom,
        }
    }
    for row, panel in enumerate(run.panels):
        domain = run.domain(row)
        layout[_number("yaxis", row)] = {
            "title": {"text": wrapped(_quantity(panel.unit), 20)},
            "domain": domain,
            "anchor": "x",
            "nticks": 5,
            "separatethousands": True,
            "exponentformat": "none",
            "rangemode": "tozero" if panel.tokens or panel.unit in _FROM_ZERO else "normal",
        }
        layout[_number("legend", row)] = {
            "y": domain[1],
            "yanchor": "bottom",
            "x": 0,
            "orientation": "h",
            "font": {"size": 12},
        }
    return layout


def _quantity(unit: str) -> str:
    return f"{_QUANTITIES[unit]} ({unit})" if unit in _QUANTITIES else unit


def _firsts(run: _Run) -> list[dict[str, Any]]:
    """A line through all panels at each first token; of many, none but the ticks."""
    if len(run.firsts) > _MOST_REQUESTS:
        return []
    across = {"type": "line", "yref": "paper", "y0": 0, "y1": 1 - _GAP / run.height, "line": _FIRST}
    return [{**across, "x0": at, "x1": at} for at in run.firsts.tolist()]


def _firsts_named(run: _Run) -> list[go.Scatter]:
    """Their entry in the legend; of a single one with the time it took."""
    if not 0 < len(run.firsts) <= _MOST_REQUESTS:
        return []
    wait = float(run.waits[0])
    took = f" after {format_number(wait)} ms" if len(run.firsts) == 1 and np.isfinite(wait) else " of a request"
    return [go.Scatter(x=[None], y=[None], mode="lines", name=plain(f"first token{took}"), line=_FIRST)]


def _title(run: _Run, why: str | None) -> str:
    told = f" ({why})" if why else ""
    return f"{shortened(run.name, 60)}, block {run.block}{told}"


def _description(run: _Run) -> str:
    many = f"; the {len(run.firsts)} first tokens have no lines" if len(run.firsts) > _MOST_REQUESTS else ""
    return (
        f"One run, number {run.order + 1} of the sweep: tokens and the machine's readings on the same clock. Ticks are "
        f"tokens, dotted orange lines the first token of a request{many}. A gap is a reading that failed; where the "
        "machine has no such counter there is no panel."
    )
