"""Pieces several figures are made of: the ratio axis, the noise band, points with intervals, rows with long labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard.text import lines_of, plain, wrapped
from workbench.dashboard.theme import BAND, NEUTRAL, VERDICTS
from workbench.dashboard.units import format_ratio, format_share
from workbench.sweep.results import Comparison, Effect, Verdict

LINE = 17
"""Pixels of one line of label text."""

_LEAST_PLOT = 250

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_MOST_TICKS = 6


def ratio_axis(ratios: Iterable[float | None], title: str, *, least: float = 0.02) -> dict[str, Any]:
    """A log axis for ratios with ticks people know (0.9x, 1x, 1.1x), symmetric about nothing, always showing 1.

    Args:
        ratios: what has to be visible; ``None``, NaN and what is not positive is left out.
        title: plain text.
        least: the axis reaches at least this far on either side of 1.
    """
    finite = [ratio for ratio in ratios if ratio is not None and math.isfinite(ratio) and ratio > 0]
    low, high = min([*finite, 1 - least]), max([*finite, 1 + least])
    margin = 0.06 * math.log(high / low)
    low, high = low * math.exp(-margin), high * math.exp(margin)
    ticks = _ratio_ticks(low, high)
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": _tick_texts(ticks),
        "tickangle": 0,
        "title": {"text": wrapped(title, 60)},
        "showgrid": True,
    }


def _ratio_ticks(low: float, high: float) -> list[float]:
    if high / low <= 2.5:
        step = next((step for step in _STEPS if (high - low) / step <= _MOST_TICKS), _STEPS[-1])
        first, last = math.ceil((low - 1) / step), math.floor((high - 1) / step)
        return [round(1 + k * step, 6) for k in range(first, last + 1)]
    base = next((base for base in (2.0, 10.0) if math.log(high / low, base) <= _MOST_TICKS + 1), 1000.0)
    first, last = math.ceil(math.log(low, base)), math.floor(math.log(high, base))
    return [base**k for k in range(first, last + 1)]


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    return [f"{tick:.4g}×" for tick in ticks]


def noise_band(band: float, panels: Mapping[str, int]) -> list[dict[str, Any]]:
    """Shapes: the zone of no difference, [1/(1+band), 1+band] on the x axis, and the line at 1.

    Args:
        band: half-width as a share.
        panels: y axis -> its rows, lying at 0, 1, ...; a shape reaches one row beyond either end and is clipped there.
    """
    shapes: list[dict[str, Any]] = []
    for axis, rows in panels.items():
        # plotly.js 4.1 fails on "between" with a reference to an axis' domain, so these are data coordinates
        across = {"xref": "x", "yref": axis, "y0": -1, "y1": rows}
        zone = {"x0": 1 / (1 + band), "x1": 1 + band, "fillcolor": BAND, "line": {"width": 0}}
        shapes += [{**across, **zone, "type": "rect", "layer": "below"}, {**across, **unity("x")}]
    return shapes


def unity(axis: str) -> dict[str, Any]:
    """The line at ratio 1, over the grid lines and under the points."""
    line = {"width": 1.5, "color": NEUTRAL}
    return {"type": "line", f"{axis}0": 1, f"{axis}1": 1, "line": line, "layer": "between"}


def widest_band(comparisons: Iterable[Comparison]) -> float:
    """The half-width to shade; they are all the same within one metric and family."""
    return max((comparison.band for comparison in comparisons if math.isfinite(comparison.band)), default=0.0)


def effect_text(effect: Effect) -> str:
    """An effect as in a paper: "1.12x [1.08, 1.16], n=10"."""
    if not math.isfinite(effect.ratio):
        return f"no data, n={effect.n}"
    return f"{format_ratio(effect.ratio)} {interval_text(effect)}, n={effect.n}"


def interval_text(effect: Effect) -> str:
    """An interval in brackets, or that there is none."""
    if effect.low is None or effect.high is None:
        return "[no interval]"
    digits = 3 if abs(effect.ratio - 1) < 0.01 else 2
    return f"[{effect.low:.{digits}f}, {effect.high:.{digits}f}]"


def hover_text(comparison: Comparison) -> str:
    """Everything known about one comparison, for plotly."""
    effect = comparison.effect
    level = "" if effect.level is None else f" ({100 * effect.level:.1f} % confidence)"
    p = "—" if comparison.p_holm is None else f"{comparison.p_holm:.3g}"
    medians = (
        "ratio of medians {:.3g} [{:.3g}, {:.3g}] (bootstrap)".format(*item) if (item := comparison.medians) else ""
    )
    lines = [
        f"<b>{wrapped(comparison.label, 60)}</b>",
        f"{plain(effect_text(effect))}{plain(level)} against {wrapped(comparison.reference, 60)}",
        f"verdict: {comparison.verdict}; Holm-adjusted p = {p}; noise band ±{plain(format_share(comparison.band))}",
        medians,
        wrapped(comparison.reason, 70),
    ]
    return "<br>".join(line for line in lines if line)


def verdict_traces(rows: Sequence[tuple[float, Comparison]], yaxis: str = "y", legend: bool = True) -> list[go.Scatter]:
    """Points with intervals, a trace for each verdict that occurs, so that the legend explains colour and shape.

    Args:
        rows: (y position, comparison).
        yaxis: which y axis they belong to.
        legend: whether they appear in the legend.
    """
    traces: list[go.Scatter] = []
    named: set[str] = set()
    for verdict in VERDICTS:
        for bounded in (True, False):  # apart: plotly draws an absent interval as one of length 0, with its caps
            chosen = [row for row in rows if row[1].verdict == verdict and _is_shown(row[1].effect, bounded)]
            if chosen:
                trace = _points(verdict, chosen, bounded)
                traces.append(trace.update(yaxis=yaxis, showlegend=legend and verdict not in named))
                named.add(verdict)
    return traces


def _is_shown(effect: Effect, bounded: bool) -> bool:
    return math.isfinite(effect.ratio) and (effect.low is not None and effect.high is not None) == bounded


def _points(verdict: Verdict, rows: Sequence[tuple[float, Comparison]], bounded: bool) -> go.Scatter:
    colour = VERDICTS[verdict][0]
    effects = [comparison.effect for _, comparison in rows]
    return go.Scatter(
        x=[effect.ratio for effect in effects],
        y=[y for y, _ in rows],
        mode="markers",
        name=verdict,
        legendgroup=verdict,
        marker=_marker(verdict),
        error_x=_error_bars(effects, colour) if bounded else None,
        text=[hover_text(comparison) for _, comparison in rows],
        hovertemplate="%{text}<extra></extra>",
    )


def _marker(verdict: Verdict) -> dict[str, Any]:
    colour, symbol = VERDICTS[verdict]
    return {"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": colour}}


def verdict_legend(present: Iterable[Verdict]) -> list[go.Scatter]:
    """Legend entries without points, in the fixed order of the verdicts."""
    wanted = set(present)
    return [
        go.Scatter(x=[None], y=[None], mode="markers", name=verdict, legendgroup=verdict, marker=_marker(verdict))
        for verdict in VERDICTS
        if verdict in wanted
    ]


def _error_bars(effects: Sequence[Effect], colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [effect.high - effect.ratio for effect in effects if effect.high is not None],
        "arrayminus": [effect.ratio - effect.low for effect in effects if effect.low is not None],
        "color": colour,
        "thickness": 2,
        "width": 4,
    }


def room_for(notes: Iterable[str]) -> int:
    """Pixels that notes in the right margin take."""
    return 20 + 7 * max((len(note) for note in notes), default=0)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with labels: beside the plot where there is room, above each row on a phone.

    Attributes:
        labels: plain text, one per row, first row on top; row ``i`` lies at y = ``i`` on a reversed axis.
        notes: plain text at the right end of each row, or nothing.
        width: characters a line of a label may have.
    """

    labels: Sequence[str]
    notes: Sequence[str] = ()
    width: int = 42

    def height(self, least: int = 30) -> int:
        """Pixels of all rows together."""
        return len(self.labels) * self._row(least)

    def _row(self, least: int) -> int:
        most = max((lines_of(wrapped(label, self.width)) for label in self.labels), default=1)
        return max(least, LINE * most + 10)

    def axis(self) -> dict[str, Any]:
        """The y axis."""
        return {
            "range": [len(self.labels) - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": list(range(len(self.labels))),
            "ticktext": [wrapped(label, self.width) for label in self.labels],
            "ticklabelstandoff": 6,
            "showgrid": False,
            "fixedrange": True,
        }

    def annotations(self) -> list[dict[str, Any]]:
        """The notes, to the right of the plot."""
        return [
            {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "y": row, "yref": "y", "text": plain(note)}
            | {"showarrow": False, "align": "left", "font": {"size": 12}}
            for row, note in enumerate(self.notes)
        ]

    def right_margin(self) -> int:
        """Pixels the notes take."""
        return room_for(self.notes)

    def wide_enough(self) -> int:
        """Pixels of width that hold labels, notes and a plot beside each other."""
        longest = max((len(label) for label in self.labels), default=0)
        return _LEAST_PLOT + 7 * min(longest, self.width) + self.right_margin()

    def narrow(self, other_height: int, clearance: int = 8) -> dict[str, Any]:
        """What changes on a phone: labels and notes move above their row.

        Args:
            other_height: pixels of the figure without its rows.
            clearance: pixels a row's points reach above its middle.
        """
        texts = [self._stacked(row) for row in range(len(self.labels))]
        most = max((lines_of(text) for text in texts), default=1)
        row_height = LINE * most + 2 * clearance + 10
        below = (clearance + 6) / row_height
        annotations = [
            {
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "y": row,
                "yref": "y",
                "yanchor": "bottom",
                "yshift": clearance,
            }
            | {"text": text, "showarrow": False, "align": "left", "font": {"size": 12}}
            for row, text in enumerate(texts)
        ]
        return {
            "annotations": annotations,
            "height": other_height + row_height * len(self.labels),
            "margin.l": 8,
            "margin.r": 12,
            # the lower part of a row is for its point, the upper for its text
            "yaxis.range": [len(self.labels) - 1 + below, -1 + below],
            "yaxis.showticklabels": False,
        }

    def _stacked(self, row: int) -> str:
        label = wrapped(self.labels[row], 44)
        return f"{label}<br>{plain(self.notes[row])}" if self.notes else label
