"""Where the time of turns goes: one bar a row, one colour a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from workbench.dashboard import theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import plain
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.errors import UsageError

ORDER = ("queue", "cache", "recall", "compress", "tools", "prefill", "decode", "background")
"""The stages of a turn as they usually come; others follow in the order in which they are met."""

BACKGROUND, OTHER = ORDER[-1], "rest"
"""Work nobody waits for; what no stage accounts for."""

_COLOURS = dict(zip(ORDER, (NEUTRAL, "#F0E442", *PALETTE[2:4], "#E69F00", *PALETTE[:2], "#56B4E9"), strict=True))
_PATTERNS = {BACKGROUND: "/", OTHER: "."}
_AXIS, _TOP = 54, 62


def stages_figure(rows: Mapping[str, Mapping[str, float]], *, title: str | None = None) -> go.Figure:
    """Stacked horizontal bars.

    Args:
        rows: what a bar stands for → stage → milliseconds.
        title: what is seen, in one sentence; ``None``: the largest stage is named.

    Raises:
        UsageError: there is nothing to show.
    """
    if not rows:
        raise UsageError("No turn was traced: there is nothing to show. Do something inside the block.")
    names = list(rows)
    stages = _stages(rows)
    totals = [_waited(rows[name]) for name in names]
    labels = _parts.Rows([plain(name) for name in names], [_ms(total) for total in totals])
    figure = go.Figure([_bar(stage, [rows[name].get(stage) for name in names]) for stage in stages])
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        xaxis={"title": {"text": "time (ms)"}, "showgrid": True, "nticks": 7, "rangemode": "tozero"},
        yaxis=labels.axis(),
        annotations=labels.annotations(),
        legend={"traceorder": "normal"},
        margin={"t": _TOP, "b": _AXIS, "l": 10, "r": labels.right_margin()},
    )
    return theme.finish(
        figure,
        title=title or _title(rows, stages),
        description="Each bar is one row's time, stage by stage. The sum at the right leaves out what is hatched: work "
        "in the background, which nobody waits for.",
        height=labels.height() + _AXIS + _TOP,
        narrow=labels.narrow(_AXIS + _TOP + 20, clearance=18),
        narrow_below=labels.wide_enough(),
    )


def _stages(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    met = list(dict.fromkeys(stage for row in rows.values() for stage, took in row.items() if took > 0))
    return [stage for stage in ORDER if stage in met] + [stage for stage in met if stage not in ORDER]


def _bar(stage: str, values: Sequence[float | None]) -> go.Bar:
    colour = NEUTRAL if stage == OTHER else _COLOURS.get(stage, "#882255")
    return go.Bar(
        x=values,
        y=list(range(len(values))),
        orientation="h",
        name=plain(stage),
        marker={"color": colour, "pattern": {"shape": _PATTERNS.get(stage, "")}},
        hovertemplate=f"{plain(stage)}: %{{x:,.1f}} ms<extra></extra>",
    )


def _title(rows: Mapping[str, Mapping[str, float]], stages: Sequence[str]) -> str:
    sums = {stage: sum(row.get(stage, 0.0) for row in rows.values()) for stage in stages if stage != BACKGROUND}
    total = sum(sums.values())
    if not total:
        return f"{len(rows)} rows, none of which took any time"
    largest = max(sums, key=lambda stage: sums[stage])
    return f"{sums[largest] / total:.0%} of the time goes to {largest}"


def _waited(row: Mapping[str, float]) -> float:
    """Milliseconds somebody waits for."""
    return sum(took for stage, took in row.items() if stage != BACKGROUND)


def _ms(value: float) -> str:
    return f"{value / 1e3:,.2f} s" if value >= 1e3 else f"{value:,.1f} ms"
