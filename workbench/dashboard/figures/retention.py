"""What compression leaves of the evidence: against the rate, and against the time it takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.dashboard import theme
from workbench.dashboard.figures._placing import Scale, log_ticks
from workbench.dashboard.text import plain
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.errors import UnknownName, UsageError

COLUMNS = ("strategy", "rate", "kept", "low", "high", "ms")
_HEIGHT, _AXIS, _LEGEND = 380, 54, 34
_NARROW_BELOW = 620
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
_MARGIN = 0.08  # decades on either side of the times
_MOST_TICKS = 6
_APART = 0.008  # of the largest rate, between two strategies' bars
_SHORTEST_MS = 0.05  # what is quicker is drawn there: a logarithm needs a beginning


def retention_figure(frame: pd.DataFrame, *, baseline: str = "random") -> go.Figure:
    """Share of the evidence kept: on the left against the rate, on the right against the time of a compression.

    Args:
        frame: a row for each strategy and rate with the columns ``strategy``, ``rate`` (budget over the whole),
            ``kept`` (0 to 1), ``low`` and ``high`` (its interval; NaN or ``None``: not known) and ``ms``.
        baseline: a strategy drawn in grey and dashed: what the others have to beat.

    Raises:
        UnknownName: a column is missing.
        UsageError: there are no rows.
    """
    for column in COLUMNS:
        if column not in frame.columns:
            raise UnknownName("column", column, map(str, frame.columns))
    if frame.empty:
        raise UsageError("There is nothing to draw. Score a strategy at a rate first.")
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.06)
    apart = _APART * frame["rate"].max()
    others = [name for name in dict.fromkeys(frame["strategy"]) if name != baseline]
    for number, name in enumerate([*others, *({baseline} & set(frame["strategy"]))]):
        rows = frame[frame["strategy"] == name].sort_values("rate")
        for place, trace in enumerate(_traces(str(name), rows, number, number * apart, name == baseline), 1):
            figure.add_trace(trace, row=1, col=place)
    figure.update_layout(
        xaxis=_rates(frame),
        xaxis2=_times(frame),
        yaxis={"title": {"text": "evidence kept"}, "range": [-0.02, 1.05], "tickformat": ".0%"},
        yaxis2={"range": [-0.02, 1.05]},
        margin={"t": _LEGEND, "b": _AXIS, "l": 62, "r": 14},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        showlegend=True,
        hovermode="closest",
    )
    return theme.finish(
        figure,
        title="How much of the evidence each strategy keeps, for the tokens and for the time it takes",
        description="Left: share of the labelled evidence that is left, against the budget as a share of the whole "
        "conversation; bars are 95 % intervals. Right: the same points against the median time of a compression. Up "
        "and to the left is better in both; what does not beat the dashed grey line is no better than chance.",
        height=_HEIGHT + _AXIS + _LEGEND,
        narrow={"xaxis.title.text": "budget", "xaxis2.title.text": "ms (log)"},
        narrow_below=_NARROW_BELOW,
    )


def _traces(
    name: str, rows: pd.DataFrame, number: int, moved: float, is_baseline: bool
) -> tuple[go.Scatter, go.Scatter]:
    colour = NEUTRAL if is_baseline else PALETTE[number % len(PALETTE)]
    look: dict[str, Any] = {
        "name": plain(name),
        "legendgroup": name,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 1.5, "dash": "dash" if is_baseline else "solid"},
        "marker": {"color": colour, "size": 9, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
        "customdata": np.column_stack([rows["rate"], rows["ms"]]),
        "hovertemplate": f"<b>{plain(name)}</b><br>%{{y:.1%}} kept at %{{customdata[0]:.0%}} of the tokens"
        "<br>%{customdata[1]:.3g} ms<extra></extra>",
        "y": rows["kept"],
    }
    low, high = (pd.to_numeric(rows[end], errors="coerce") for end in ("low", "high"))
    bars = {
        "type": "data",
        "symmetric": False,
        "array": (high - rows["kept"]).fillna(0.0),
        "arrayminus": (rows["kept"] - low).fillna(0.0),
        "thickness": 1,
        "width": 3,
    }
    left = go.Scatter(x=rows["rate"] + moved, error_y=bars, **look)
    return left, go.Scatter(x=rows["ms"].clip(lower=_SHORTEST_MS), **{**look, "showlegend": False})


def _rates(frame: pd.DataFrame) -> dict[str, Any]:
    rates = sorted(set(frame["rate"]))
    return {
        "title": {"text": "budget (share of the tokens)"},
        "tickvals": rates,
        "ticktext": [f"{rate:.0%}" for rate in rates],
        "range": [0, max(rates) * 1.1],
    }


def _times(frame: pd.DataFrame) -> dict[str, Any]:
    """The axis of times: logarithmic, with ticks within a decade too, since strategies often lie closer than that."""
    exponents = np.log10(pd.to_numeric(frame["ms"]).clip(lower=_SHORTEST_MS))
    scale = Scale(math.floor(10 * exponents.min()) / 10 - _MARGIN, math.ceil(10 * exponents.max()) / 10 + _MARGIN, True)
    values, texts = log_ticks(scale, _MOST_TICKS)
    return {
        "title": {"text": "time of one compression (ms, log scale)"},
        "type": "log",
        "range": [scale.low, scale.high],
        "tickvals": values,
        "ticktext": texts,
    }
