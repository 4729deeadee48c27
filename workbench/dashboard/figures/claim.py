"""One claim: the claimed range, what makes no difference, and the measured figure with its interval.

Not about an :class:`~workbench.sweep.results.Analysis`, so no report draws it; the page of claims does.
"""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from workbench.dashboard import theme
from workbench.dashboard.figures import _parts
from workbench.dashboard.text import plain, wrapped
from workbench.dashboard.theme import BAND, VERDICTS
from workbench.dashboard.units import axis_title, metric_name, unit_of
from workbench.errors import UsageError
from workbench.sweep.findings.claims import ClaimResult, ClaimVerdict
from workbench.sweep.results import Verdict

LOOKS: dict[ClaimVerdict, Verdict] = {
    "confirmed": "better",
    "partly": "equivalent",
    "refuted": "worse",
    "inconclusive": "inconclusive",
}
"""Verdict of a claim → verdict whose colour and shape it has."""

CLAIMED = "rgba(0, 158, 115, 0.22)"
_PLOT, _AXIS = 44, 58


def drawable(result: ClaimResult) -> bool:
    """Whether something was measured."""
    return result.measured.estimate is not None and math.isfinite(result.measured.estimate)


def claim(result: ClaimResult) -> go.Figure:
    """The claimed range shaded, the measured figure with its interval as a point with a bar.

    Raises:
        UsageError: nothing was measured.
    """
    if not drawable(result):
        raise UsageError(f"Nothing was measured of {result.claim.says!r}. Run its sweep first: workbench claims --run.")
    figure = go.Figure(_point(result))
    axis = _axis(result)
    figure.update_layout(
        xaxis=axis,
        yaxis={"visible": False, "range": [-1, 1], "fixedrange": True},
        shapes=_shapes(result, axis),
        margin={"t": 4, "b": _AXIS, "l": 14, "r": 14},
        showlegend=False,
    )
    return theme.finish(
        figure,
        title=result.claim.says,
        description=f"Claimed {result.claimed}, measured {result.text}. Green: what was claimed.",
        height=_PLOT + _AXIS,
    )


def _scale(result: ClaimResult) -> float:
    """Shown value = recorded value × this; ratios are shown as they are."""
    return 1.0 if result.claim.is_ratio else unit_of(result.claim.metric).scale


def _point(result: ClaimResult) -> go.Scatter:
    seen, scale = result.measured, _scale(result)
    colour, symbol = VERDICTS[LOOKS[result.verdict]]
    estimate = scale * (seen.estimate or 0.0)
    bars = None
    if seen.low is not None and seen.high is not None:
        ends = {"array": [scale * seen.high - estimate], "arrayminus": [estimate - scale * seen.low]}
        bars = {"type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 5, **ends}
    return go.Scatter(
        x=[estimate],
        y=[0],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 12, "line": {"width": 2, "color": colour}},
        error_x=bars,
        text=[f"<b>{plain(result.text)}</b><br>claimed {plain(result.claimed)}<br>{wrapped(result.reason, 60)}"],
        hovertemplate="%{text}<extra></extra>",
    )


def _visible(result: ClaimResult) -> list[float]:
    """What has to lie within the axis, in shown units."""
    seen, asked = result.measured, result.claim
    no_effect = 1.0 if asked.is_ratio else asked.nothing
    values = (seen.estimate, seen.low, seen.high, asked.low, asked.high, no_effect)
    return [_scale(result) * value for value in values if value is not None]


def _axis(result: ClaimResult) -> dict[str, Any]:
    if result.claim.is_ratio:
        title = f"{metric_name(result.claim.metric)}: ratio with ÷ without it (log scale)"
        return _parts.ratio_axis(_visible(result), title)
    values = _visible(result)
    width = max(values) - min(values) or abs(values[0]) or 1.0
    reach = [min(values) - 0.15 * width, max(values) + 0.15 * width]
    return {"range": reach, "title": {"text": wrapped(axis_title(result.claim.metric), 60)}, "nticks": 7}


def _shapes(result: ClaimResult, axis: dict[str, Any]) -> list[dict[str, Any]]:
    asked, scale = result.claim, _scale(result)
    across = {"xref": "x", "yref": "y", "y0": -1, "y1": 1}
    ends = [10.0**end for end in axis["range"]] if asked.is_ratio else list(axis["range"])
    shapes: list[dict[str, Any]] = []
    near = asked.threshold
    if asked.is_ratio:
        band = result.measured.band
        noise = {"x0": 1 / (1 + band), "x1": 1 + band, "fillcolor": BAND, "line": {"width": 0}}
        shapes.append({**across, **noise, "type": "rect", "layer": "below"})
        shapes.append({**across, **_parts.unity("x")})
        near = 1.0 if near is None else near
    elif asked.nothing is not None:
        shapes.append({**across, **_parts.unity("x"), "x0": scale * asked.nothing, "x1": scale * asked.nothing})
        near = asked.nothing if near is None else near
    up = asked.direction == "maximize"
    far = asked.high if up else asked.low
    edge = (ends[1] if up else ends[0]) if far is None else scale * far
    claimed = {"x0": scale * (near or 0.0), "x1": edge, "fillcolor": CLAIMED, "line": {"width": 0}}
    return [*shapes, {**across, **claimed, "type": "rect", "layer": "below"}]
