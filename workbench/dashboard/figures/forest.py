"""Every configuration against the baseline: ratio, interval, noise band, verdict."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import shortened
from workbench.dashboard.theme import NEUTRAL
from workbench.dashboard.units import format_ratio, format_share, metric_name
from workbench.errors import UsageError
from workbench.sweep.results import Analysis, Comparison

_AXIS, _LEGEND = 54, 34
_MOST = 30
"""Rows up to which all are shown; a report's table has every one."""


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether anything was compared with a baseline."""
    return bool(data.comparisons(analysis, metric))


def forest(analysis: Analysis, metric: str, *, most: int = _MOST) -> go.Figure:
    """Forest plot, sorted from best to worst.

    Args:
        analysis: what the sweep found.
        metric: what was compared.
        most: rows; of more comparisons the best and the worst are shown, half and half.

    Raises:
        UsageError: nothing was compared on this metric, or there is no room for two rows.
    """
    everything = ranked(analysis, metric)
    if most < 2:
        raise UsageError(f"A forest plot of {most} rows shows nothing. Give most=2 or more.")
    rows = everything if len(everything) <= most else [*everything[: most - most // 2], *everything[-(most // 2) :]]
    if not rows:
        raise UsageError(
            f"Nothing was compared on {metric!r}. Name it under objectives or quality, and give the sweep a baseline "
            "or at least two configurations."
        )
    name, reference, band = metric_name(metric), _reference(rows), _parts.widest_band(rows)
    labels = _parts.Rows([row.label for row in rows], [_parts.effect_text(row.effect) for row in rows])
    height = labels.height() + _AXIS + _LEGEND
    figure = go.Figure(_parts.verdict_traces(list(enumerate(rows))))
    figure.update_layout(
        xaxis=_parts.ratio_axis(
            [1 + band, 1 / (1 + band), *_extent(rows)], f"{name} ÷ {shortened(reference, 24)} (ratio, log scale)"
        ),
        yaxis=labels.axis(),
        shapes=[*_parts.noise_band(band, {"y": len(rows)}), *_cut(len(everything), len(rows))],
        annotations=labels.annotations(),
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": labels.right_margin()},
        showlegend=True,
    )
    return theme.finish(
        figure,
        title=_title(metric, everything),
        description=(
            f"Each row is one configuration divided by {reference}, block by block: the point is the typical ratio, "
            f"the bar its confidence interval. Grey is the noise band of ±{format_share(band)}. Sorted best first."
            f"{_left_out(len(everything), len(rows))}"
        ),
        height=height,
        narrow=labels.narrow(_AXIS + _LEGEND + 20),
        narrow_below=labels.wide_enough(),
    )


def _left_out(total: int, kept: int) -> str:
    if total == kept:
        return ""
    return (
        f" Of {total} configurations the {kept - kept // 2} best and the {kept // 2} worst are shown, above and below "
        f"the dashed line; the {total - kept} between are in the table of numbers."
    )


def _cut(total: int, kept: int) -> list[dict[str, Any]]:
    """A dashed line where rows are left out."""
    if total == kept:
        return []
    at, line = kept - kept // 2 - 0.5, {"width": 1.5, "color": NEUTRAL, "dash": "dash"}
    return [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at, "line": line}]


def ranked(analysis: Analysis, metric: str) -> list[Comparison]:
    """Comparisons from best to worst by the objective's direction (largest first without one); no data last."""
    objective = data.objective_of(analysis, metric)
    sign = 1 if objective and objective.direction == "minimize" else -1
    rows = data.comparisons(analysis, metric)
    return sorted(rows, key=lambda row: sign * row.effect.ratio if math.isfinite(row.effect.ratio) else math.inf)


def _extent(rows: list[Comparison]) -> list[float | None]:
    effects = [row.effect for row in rows]
    return [bound for effect in effects for bound in (effect.ratio, effect.low, effect.high)]


def _reference(rows: list[Comparison]) -> str:
    names = {row.reference for row in rows}
    return names.pop() if len(names) == 1 else "its reference"


def _title(metric: str, rows: list[Comparison]) -> str:
    counts, name = Counter(row.verdict for row in rows), metric_name(metric)
    if counts["better"]:
        best = next(row for row in rows if row.verdict == "better")
        worse = f", {counts['worse']} worse" if counts["worse"] else ""
        return (
            f"{name}: {counts['better']} of {len(rows)} better than {_reference(rows)}{worse}; "
            f"best {format_ratio(best.effect.ratio)} with {best.label}"
        )
    if len(rows) > 1 and len(counts) == 1:
        verdict, reference = rows[0].verdict, _reference(rows)
        if verdict == "inconclusive":
            return f"{name}: none of {len(rows)} configurations is told apart from {reference} yet"
        told = {"worse": "worse than", "equivalent": "equivalent to"}
        return f"{name}: all {len(rows)} configurations are {told[verdict]} {reference}"
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{name}: no configuration is better than {_reference(rows)} ({listed})"
