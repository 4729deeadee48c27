"""Which parameters decide a metric: each one's share of the variance between configurations, interactions too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard import theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import plain, wrapped
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.dashboard.units import format_share, metric_name
from workbench.errors import UsageError
from workbench.sweep.results import Analysis, Importance

_AXIS, _LEGEND = 54, 34
_MOST = 12
_HALF_BAR = 12
"""Pixels of half a bar on a phone, where its label stands above it."""
_KINDS = (("parameter", PALETTE[0]), ("interaction", PALETTE[4]))


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether the shares of several parameters are known: a single one decides everything, which says nothing."""
    return len(_ranked(analysis, metric)) > 1


def importance(analysis: Analysis, metric: str) -> go.Figure:
    """A bar for each parameter and each interaction, the most important on top.

    Raises:
        UsageError: nothing is known about what decides this metric.
    """
    found = _ranked(analysis, metric)
    if not found:
        raise UsageError(
            f"What decides {metric!r} is not known. Name it under objectives or quality, and vary a parameter."
        )
    rows = found[:_MOST]
    labels = _parts.Rows([row.parameter for row in rows], [_share_text(row) for row in rows])
    figure = go.Figure([bars for kind, colour in _KINDS for bars in _bars(rows, kind, colour)])
    figure.update_layout(
        xaxis=_axis(rows),
        yaxis=labels.axis(),
        annotations=labels.annotations(),
        bargap=0.45,
        barmode="overlay",
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": labels.right_margin()},
        showlegend=True,
    )
    return theme.finish(
        figure,
        title=_title(metric, found),
        description=_description(found),
        height=labels.height() + _AXIS + _LEGEND,
        narrow={**labels.narrow(_AXIS + _LEGEND + 20, clearance=_HALF_BAR + 4), "bargap": 0.68},
        narrow_below=labels.wide_enough(),
    )


def _ranked(analysis: Analysis, metric: str) -> list[Importance]:
    found = [one for one in analysis.importances if one.metric == metric]
    return sorted(found, key=lambda one: -one.share)


def _kind(row: Importance) -> str:
    return "interaction" if " × " in row.parameter else "parameter"


def _bars(rows: Sequence[Importance], kind: str, colour: str) -> list[go.Bar]:
    chosen = [(place, row) for place, row in enumerate(rows) if _kind(row) == kind]
    if not chosen:
        return []
    return [
        go.Bar(
            x=[100 * row.share for _, row in chosen],
            y=[place for place, _ in chosen],
            orientation="h",
            name=kind,
            marker={"color": colour, "line": {"width": 0}},
            error_x=_intervals([row for _, row in chosen]),
            text=[f"<b>{wrapped(row.parameter, 50)}</b><br>{plain(_share_text(row))}" for _, row in chosen],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )
    ]


def _intervals(rows: Sequence[Importance]) -> dict[str, Any] | None:
    if all(row.low is None or row.high is None for row in rows):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if row.high is None else 100 * max(row.high - row.share, 0.0) for row in rows],
        "arrayminus": [None if row.low is None else 100 * max(row.share - row.low, 0.0) for row in rows],
        "color": NEUTRAL,
        "thickness": 2,
        "width": 4,
    }


def _axis(rows: Sequence[Importance]) -> dict[str, Any]:
    largest = max(max(row.share, row.high or 0.0) for row in rows)
    return {
        "title": {"text": wrapped("Share of the variance between configurations (%)", 60)},
        "range": [0, min(100.0, max(1.0, 104 * largest))],
        "showgrid": True,
    }


def _share_text(row: Importance) -> str:
    """As in "62 % [55 %, 70 %]"."""
    if row.low is None or row.high is None:
        return f"{format_share(row.share)} [no interval]"
    return f"{format_share(row.share)} [{format_share(row.low)}, {format_share(row.high)}]"


def _title(metric: str, rows: Sequence[Importance]) -> str:
    name, first = metric_name(metric), rows[0]
    if len(rows) == 1:
        return f"{name}: {first.parameter} accounts for {format_share(first.share)} of the differences"
    return (
        f"{name}: {first.parameter} accounts for {format_share(first.share)} of the differences between "
        f"configurations, {rows[1].parameter} for {format_share(rows[1].share)}"
    )


def _description(rows: Sequence[Importance]) -> str:
    rest = sum(row.share for row in rows[_MOST:])
    left_out = f" Left out: {len(rows) - _MOST} more, {format_share(rest)} together." if len(rows) > _MOST else ""
    return (
        "Share of the variance of this metric between configurations that is one parameter's doing, or that of "
        "several together beyond what each does alone (×). Bars over the ends are 95 % intervals, blocks resampled."
        f"{left_out}"
    )
