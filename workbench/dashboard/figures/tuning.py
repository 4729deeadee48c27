"""Figures of a tune: how the search went, what each change did, and speed against quality.

Knows a :class:`~workbench.tuning.results.TuneResult` and nothing of pages. Trials are the search's, a few noisy pairs
each; what is decided is decided by the finalists, which were measured afresh.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

import plotly.graph_objects as go

from workbench.dashboard import theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import wrapped
from workbench.dashboard.units import format_ratio
from workbench.errors import UsageError
from workbench.tuning.results import Row, TrialRecord, TuneResult

NAMES = ("history", "levels", "trade")
"""Figures there are, in the order a report shows them."""

_SYMBOLS = {"measured": "circle", "given up": "x-thin-open"}
_AXIS, _LEGEND = 54, 34
_HEIGHT = 340


def available(result: TuneResult) -> tuple[str, ...]:
    """Names of the figures that have something to show."""
    shown = {"history": bool(_measured(result)), "levels": bool(_by_level(result)), "trade": bool(_priced(result))}
    return tuple(name for name in NAMES if shown[name])


def draw(name: str, result: TuneResult) -> go.Figure:
    """Draw one figure.

    Raises:
        UsageError: nothing was measured that it could show.
    """
    if name not in available(result):
        raise UsageError(
            f"This tune has nothing to show for {name!r}. It has: {', '.join(available(result)) or 'none'}."
        )
    return {"history": history, "levels": levels, "trade": trade}[name](result)


def history(result: TuneResult) -> go.Figure:
    """Every trial in running order, and the best so far."""
    trials = _measured(result)
    figure = go.Figure([_points(trials, state) for state in _SYMBOLS] + [_incumbent(result, trials)])
    ratios = [ratio for _, ratio in trials]
    figure.update_layout(
        yaxis=_parts.ratio_axis(ratios, "speed ÷ untouched default (ratio, log scale)"),
        xaxis={"title": {"text": "trial"}, "rangemode": "tozero"},
        shapes=[{**_parts.unity("y"), "x0": 0, "x1": 1, "xref": "paper", "type": "line"}],
        margin={"t": _LEGEND, "b": _AXIS, "l": 60, "r": 12},
        showlegend=True,
    )
    best = max(trials, key=lambda one: one[1])
    return theme.finish(
        figure,
        title=f"{len(result.trials)} trials; fastest in the search: {format_ratio(best[1])}, {best[0].candidate.label}",
        description=(
            "Each point is one trial: the mean of its pairs with the untouched default, moments apart. A cross was "
            "given up early. The line is the best that came through all its pairs. The best of many noisy trials "
            "is always too good: the final decides."
        ),
        height=_HEIGHT,
    )


def levels(result: TuneResult) -> go.Figure:
    """The trials of each level of each dimension, and their median."""
    found = _by_level(result)
    labels = _parts.Rows(
        [f"{dimension}: {level}" for dimension, level in found],
        [f"median {format_ratio(statistics.median(ratios))}, n={len(ratios)}" for ratios in found.values()],
    )
    figure = go.Figure(list(_strips(list(found.values()))))
    height = labels.height() + _AXIS + _LEGEND
    every = [ratio for ratios in found.values() for ratio in ratios]
    figure.update_layout(
        xaxis=_parts.ratio_axis(every, "speed ÷ untouched default (ratio, log scale)"),
        yaxis=labels.axis(),
        annotations=labels.annotations(),
        shapes=_parts.noise_band(result.floor or 0.01, {"y": len(found)}),
        margin={"t": _LEGEND, "b": _AXIS, "l": 10, "r": labels.right_margin()},
        showlegend=True,
    )
    return theme.finish(
        figure,
        title=f"What each change went with, in {len(_measured(result))} trials",
        description=(
            "Trials by the level they had in each dimension; the bar is the median. Levels were not tried equally "
            "often nor in the same company: the search goes where it is fast. Grey is the noise of this machine."
        ),
        height=height,
        narrow=labels.narrow(_AXIS + _LEGEND + 20),
        narrow_below=labels.wide_enough(),
    )


def trade(result: TuneResult) -> go.Figure:
    """Speed against what it costs in quality, with the limit."""
    figure = go.Figure([_priced_trials(result), _default_point(), *_finalists(result)])
    ratios: list[float | None] = [ratio for _, _, ratio in _priced(result)]
    ratios += [bound for row in result.rows for bound in (row.speed.low, row.speed.high)]
    figure.update_layout(
        xaxis={"title": {"text": "mean KL divergence from the untouched model (nats a token)"}, "rangemode": "tozero"},
        yaxis=_parts.ratio_axis(ratios, "speed ÷ untouched default (ratio, log scale)"),
        shapes=_limit(result),
        margin={"t": _LEGEND, "b": _AXIS, "l": 60, "r": 12},
        showlegend=True,
    )
    return theme.finish(
        figure,
        title=_trade_title(result),
        description=(
            "Up is faster, right is further from what the untouched model says. Small points are trials of the search, "
            "large ones finalists with their interval. Right of the dashed line nothing is allowed."
        ),
        height=_HEIGHT + 40,
    )


def _measured(result: TuneResult) -> list[tuple[TrialRecord, float]]:
    pairs = ((one, one.ratio(result.workload)) for one in result.trials if one.state in _SYMBOLS)
    return [(one, ratio) for one, ratio in pairs if ratio is not None]


def _points(trials: Sequence[tuple[TrialRecord, float]], state: str) -> go.Scatter:
    chosen = [(one, ratio) for one, ratio in trials if one.state == state]
    return go.Scatter(
        x=[one.number + 1 for one, _ in chosen],
        y=[ratio for _, ratio in chosen],
        mode="markers",
        name=state,
        marker={
            "symbol": _SYMBOLS[state],
            "size": 9,
            "color": theme.BLUE if state == "measured" else theme.NEUTRAL,
            "line": {"width": 2, "color": theme.BLUE if state == "measured" else theme.NEUTRAL},
        },
        text=[_hover(one, ratio) for one, ratio in chosen],
        hovertemplate="%{text}<extra></extra>",
    )


def _incumbent(result: TuneResult, trials: Sequence[tuple[TrialRecord, float]]) -> go.Scatter:
    xs, ys, best = [], [], -math.inf
    for one, ratio in trials:
        if one.state == "measured":
            best = max(best, ratio)
            xs.append(one.number + 1)
            ys.append(best)
    if xs:
        xs.append(max(len(result.trials), xs[-1]))
        ys.append(best)
    line = {"shape": "hv", "color": theme.PALETTE[2], "width": 2}
    return go.Scatter(x=xs, y=ys, mode="lines", name="best so far", line=line, hoverinfo="skip")


def _hover(trial: TrialRecord, ratio: float) -> str:
    lines = [f"<b>{wrapped(trial.candidate.label, 60)}</b>", f"{format_ratio(ratio)} in {len(trial.pairs)} pairs"]
    if trial.quality:
        lines.append(wrapped(str(trial.quality), 70))
    return "<br>".join([*lines, wrapped(trial.reason, 70)] if trial.reason else lines)


def _by_level(result: TuneResult) -> dict[tuple[str, str], list[float]]:
    """(dimension, level) → ratios, for dimensions of which more than one level was measured."""
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one, ratio in _measured(result):
        for dimension, level in one.levels.items():
            found[dimension][str(level)].append(ratio)
    return {
        (dimension, level): ratios
        for dimension, by_level in found.items()
        if len(by_level) > 1
        for level, ratios in by_level.items()
    }


def _strips(ratios: Sequence[Sequence[float]]) -> Iterator[go.Scatter]:
    rows = [(ratio, row) for row, some in enumerate(ratios) for ratio in some]
    yield go.Scatter(
        x=[ratio for ratio, _ in rows],
        y=[row for _, row in rows],
        mode="markers",
        name="trial",
        marker={"color": theme.BLUE, "size": 8, "opacity": 0.6},
        hovertemplate="%{x:.3g}×<extra></extra>",
    )
    yield go.Scatter(
        x=[statistics.median(some) for some in ratios],
        y=list(range(len(ratios))),
        mode="markers",
        name="median",
        marker={"symbol": "line-ns-open", "size": 18, "color": theme.PALETTE[1], "line": {"width": 3}},
        hovertemplate="median %{x:.3g}×<extra></extra>",
    )


def _priced(result: TuneResult) -> list[tuple[TrialRecord, float, float]]:
    """(trial, KL, ratio) of trials that came through and whose quality is known; the default's kernels cost nothing."""
    return [
        (one, one.quality.kl if one.quality else 0.0, ratio)
        for one, ratio in _measured(result)
        if one.state == "measured" and (one.quality is not None or one.candidate.numerics.changes == 0)
    ]


def _priced_trials(result: TuneResult) -> go.Scatter:
    points = _priced(result)
    return go.Scatter(
        x=[kl for _, kl, _ in points],
        y=[ratio for _, _, ratio in points],
        mode="markers",
        name="trial",
        marker={"color": theme.BLUE, "size": 8, "opacity": 0.6},
        text=[_hover(one, ratio) for one, _, ratio in points],
        hovertemplate="%{text}<extra></extra>",
    )


def _default_point() -> go.Scatter:
    marker = {"symbol": "diamond", "size": 12, "color": theme.NEUTRAL}
    return go.Scatter(x=[0], y=[1], mode="markers", name="untouched default", marker=marker, hoverinfo="name")


def _finalists(result: TuneResult) -> Iterator[go.Scatter]:
    for chosen, name, colour in ((True, "chosen", theme.PALETTE[2]), (False, "finalist", theme.PALETTE[4])):
        rows = [row for row in result.rows if row.chosen == chosen and row.speed.low is not None]
        if rows:
            yield _finalist_points(rows, name, colour)


def _finalist_points(rows: Sequence[Row], name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[row.quality.kl if row.quality else 0.0 for row in rows],
        y=[row.speed.ratio for row in rows],
        mode="markers",
        name=name,
        marker={"symbol": "star" if name == "chosen" else "square", "size": 14, "color": colour},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(row.speed.high or row.speed.ratio) - row.speed.ratio for row in rows],
            "arrayminus": [row.speed.ratio - (row.speed.low or row.speed.ratio) for row in rows],
            "color": colour,
            "thickness": 2,
        },
        text=[
            f"<b>{wrapped(row.candidate.label, 60)}</b><br>{wrapped(_parts.effect_text(row.speed), 60)}" for row in rows
        ],
        hovertemplate="%{text}<extra></extra>",
    )


def _limit(result: TuneResult) -> list[dict[str, object]]:
    if result.limit.max_kl is None:
        return []
    line = {"width": 1.5, "dash": "dash", "color": theme.NEUTRAL}
    return [
        {
            "type": "line",
            "x0": result.limit.max_kl,
            "x1": result.limit.max_kl,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": line,
        }
    ]


def _trade_title(result: TuneResult) -> str:
    row = result.chosen
    if row is None:
        return "Speed against quality: nothing was surely faster within the limit"
    kl = row.quality.kl if row.quality else 0.0
    name, ratio = row.candidate.label, format_ratio(row.speed.ratio)
    return f"Speed against quality: {name} is {ratio} as fast at a mean KL of {kl:.3g}"
