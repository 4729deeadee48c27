"""Where the time goes, of turns or of a sweep's runs: one bar a row, one colour a stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _lines, _parts
from workbench.dashboard.text import plain
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis

scope = "sweep"

ORDER = ("queue", "cache", "recall", "compress", "tools", "prefill", "decode", "background")
"""The stages of a turn as they usually come; others follow in the order in which they are met."""

BACKGROUND, OTHER = ORDER[-1], "rest"
"""Work nobody waits for; what no stage accounts for."""

_COLOURS = dict(zip(ORDER, (NEUTRAL, "#F0E442", *PALETTE[2:4], "#E69F00", *PALETTE[:2], "#56B4E9"), strict=True))
_FURTHER = (*PALETTE[:5], "#56B4E9", "#F0E442")
"""For stages nobody foresaw; after these they come again, hatched."""

_PATTERNS = {BACKGROUND: "/", OTHER: "."}
_AXIS, _TOP = 54, 62
_MS = {"_ms": 1.0, "_s": 1e3}
_TOTALS = ("total_ms", "e2e_ms", "total_s", "e2e_s")
_MOST_BARS = 24


def drawable(analysis: Analysis) -> bool:
    """Whether the runs named metrics that are stages of one whole, and recorded at least one of them as a time."""
    return bool(_times(analysis))


def stages(analysis: Analysis, *, total: str | None = None, most: int = _MOST_BARS) -> go.Figure:
    """The stages that a sweep's runs recorded, a bar per configuration: medians over its runs.

    Args:
        analysis: with ``stages``.
        total: the metric that is the whole; what the stages leave of it is shown as :data:`OTHER`. By default the first
            that was recorded of total_ms, e2e_ms, total_s, e2e_s.
        most: so many bars; of more, the reference, what is recommended, and the extremes.

    Raises:
        UnknownName: no such metric.
        UsageError: no run named stages, or none is a time.
    """
    metrics = _times(analysis)
    if not metrics:
        raise UsageError(
            "No run says which of its metrics are stages of one whole. Name them in the notebook: "
            'wb.record(..., info={"stages": ["load_ms", "prefill_ms"]}).'
        )
    there = data.metrics(analysis)
    if total is not None and total not in there:
        raise UnknownName("metric", total, there)
    total = total or next((metric for metric in _TOTALS if metric in there and metric not in metrics), None)
    medians = _medians(analysis, metrics, total)
    totals = dict(medians.sum(axis=1))
    names = sorted(_lines.chosen(totals, _lines.foremost(analysis), most), key=lambda name: totals[name])
    rows = {name: {stage: took for stage, took in medians.loc[name].items() if took > 0} for name in names}
    rest = f' "{OTHER}" is what they leave of {total}.' if OTHER in medians else ""
    return stages_figure(
        rows,
        order=list(medians),
        description="Each bar is one configuration: the medians of its stages over all its runs, in the order they "
        f"happen; their sum is at the right.{rest}{_lines.left_out(len(names), len(medians))}",
    )


def _times(analysis: Analysis) -> list[str]:
    """The stages that are times and were recorded, in the order they happen."""
    there = data.metrics(analysis)
    return [metric for metric in analysis.stages if metric in there and metric.endswith(tuple(_MS))]


def _medians(analysis: Analysis, metrics: Sequence[str], total: str | None) -> pd.DataFrame:
    """Median milliseconds: configurations × stages, what is left of the total last; a stage nobody recorded is 0."""
    frame = pd.DataFrame({_stage_name(metric): _in_ms(analysis, metric) for metric in metrics})
    if total is not None:
        rest = _in_ms(analysis, total) - frame.sum(axis=1)
        if (rest.dropna() > 0).mean() > 0.5:  # stages that overlap leave no rest
            frame[OTHER] = rest.clip(lower=0)
    names = analysis.frame["cell"].astype(str).map(data.names(analysis))
    return frame.groupby(names, sort=False).median().fillna(0.0).dropna(how="all")


def _in_ms(analysis: Analysis, metric: str) -> pd.Series:
    suffix = next(suffix for suffix in _MS if metric.endswith(suffix))
    return _MS[suffix] * pd.to_numeric(analysis.frame[metric], errors="coerce").replace([np.inf, -np.inf], np.nan)


def _stage_name(metric: str) -> str:
    """As stages of turns are called: "prefill_ms" → "prefill"."""
    suffix = next(suffix for suffix in _MS if metric.endswith(suffix))
    return metric.removesuffix(suffix).replace("_", " ")


def stages_figure(
    rows: Mapping[str, Mapping[str, float]],
    *,
    title: str | None = None,
    description: str | None = None,
    order: Sequence[str] = ORDER,
) -> go.Figure:
    """Stacked horizontal bars.

    Args:
        rows: what a bar stands for → stage → milliseconds.
        title: what is seen, in one sentence; ``None``: the largest stage is named.
        description: how to read it; ``None``: as the bars of turns are.
        order: of the stages; others follow in the order in which they are met.

    Raises:
        UsageError: there is nothing to show.
    """
    if not rows:
        raise UsageError("No turn was traced: there is nothing to show. Do something inside the block.")
    names = list(rows)
    stages = _stages(rows, order)
    looks = _looks(stages)
    totals = [_waited(rows[name]) for name in names]
    labels = _parts.Rows([plain(name) for name in names], [_ms(total) for total in totals])
    figure = go.Figure([_bar(stage, looks[stage], [rows[name].get(stage) for name in names]) for stage in stages])
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        xaxis={
            "title": {"text": "time (ms)"},
            "showgrid": True,
            "nticks": 7,
            "rangemode": "tozero",
            "separatethousands": True,
        }
        | {"exponentformat": "none"},
        yaxis=labels.axis(),
        annotations=labels.annotations(),
        legend={"traceorder": "normal"},
        margin={"t": _TOP, "b": _AXIS, "l": 10, "r": labels.right_margin()},
    )
    return theme.finish(
        figure,
        title=title or _title(rows, stages),
        description=description
        or "Each bar is one row's time, stage by stage. The sum at the right leaves out what is hatched: work in the "
        "background, which nobody waits for.",
        height=labels.height() + _AXIS + _TOP,
        # bars no thicker than what a row leaves below its text
        narrow={**labels.narrow(_AXIS + _TOP + 20, clearance=18), "bargap": 0.62},
        narrow_below=labels.wide_enough(),
    )


def _stages(rows: Mapping[str, Mapping[str, float]], order: Sequence[str]) -> list[str]:
    met = list(dict.fromkeys(stage for row in rows.values() for stage, took in row.items() if took > 0))
    return [stage for stage in order if stage in met] + [stage for stage in met if stage not in order]


def _looks(stages: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and pattern of each stage; no two are alike."""
    known = {stage: (_COLOURS.get(stage, NEUTRAL), _PATTERNS.get(stage, "")) for stage in (*ORDER, OTHER)}
    used = {known[stage] for stage in stages if stage in known}
    free = [(colour, pattern) for pattern in ("", "x", "\\", "+") for colour in _FURTHER]
    spare = (look for look in free if look not in used)
    return {stage: known[stage] if stage in known else next(spare, (NEUTRAL, "x")) for stage in stages}


def _bar(stage: str, look: tuple[str, str], values: Sequence[float | None]) -> go.Bar:
    colour, pattern = look
    return go.Bar(
        x=values,
        y=list(range(len(values))),
        orientation="h",
        name=plain(stage),
        marker={"color": colour, "pattern": {"shape": pattern}},
        hovertemplate=f"{plain(stage)}: %{{x:,.1f}} ms<extra></extra>",
    )


def _title(rows: Mapping[str, Mapping[str, float]], stages: Sequence[str]) -> str:
    sums = {stage: sum(row.get(stage, 0.0) for row in rows.values()) for stage in stages if stage != BACKGROUND}
    total = sum(sums.values())
    if not total:
        return f"{len(rows)} rows, none of which took any time"
    largest = max(sums, key=lambda stage: sums[stage])
    return f"{100 * sums[largest] / total:.0f} % of the time goes to {largest}"


def _waited(row: Mapping[str, float]) -> float:
    """Milliseconds somebody waits for."""
    return sum(took for stage, took in row.items() if stage != BACKGROUND)


def _ms(value: float) -> str:
    return f"{value / 1e3:,.2f} s" if value >= 1e3 else f"{value:,.1f} ms"
