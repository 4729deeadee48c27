"""Every configuration against the baseline: ratio, interval, noise band, verdict."""

from __future__ import annotations

import math
from collections import Counter

import plotly.graph_objects as go

from workbench.dashboard import data, theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import shortened
from workbench.dashboard.units import format_ratio, format_share, metric_name
from workbench.errors import UsageError
from workbench.sweep.results import Analysis, Comparison

_AXIS, _LEGEND = 54, 34


def drawable(analysis: Analysis, metric: str) -> bool:
    """Whether anything was compared with a baseline."""
    return bool(data.comparisons(analysis, metric))


def forest(analysis: Analysis, metric: str) -> go.Figure:
    """Forest plot, sorted from best to worst.

    Raises:
        UsageError: nothing was compared on this metric.
    """
    rows = ranked(analysis, metric)
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
        shapes=_parts.noise_band(band, {"y": len(rows)}),
        annotations=labels.annotations(),
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": labels.right_margin()},
        showlegend=True,
    )
    return theme.finish(
        figure,
        title=_title(metric, rows),
        description=(
            f"Each row is one configuration divided by {reference}, block by block: the point is the typical ratio, "
            f"the bar its confidence interval. Grey is the noise band of ±{format_share(band)}. Sorted best first."
        ),
        height=height,
        narrow=labels.narrow(_AXIS + _LEGEND + 20),
        narrow_below=labels.wide_enough(),
    )


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
    if len(counts) == 1:
        told = {"worse": "worse than", "equivalent": "equivalent to", "inconclusive": "not yet told apart from"}
        return f"{name}: all {len(rows)} configurations are {told[rows[0].verdict]} {_reference(rows)}"
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{name}: no configuration is better than {_reference(rows)} ({listed})"
