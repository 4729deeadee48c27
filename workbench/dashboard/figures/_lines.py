"""Configurations drawn as lines: which of them where all would be too many, and how they are told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.dashboard import data
from workbench.dashboard.text import plain, shortened
from workbench.dashboard.theme import NEUTRAL, PALETTE
from workbench.sweep.results import Analysis

MOST = 8
"""Lines that a reader can still tell apart."""

# Okabe and Ito's yellow is too pale for a line on white, and their sky blue too near the other one.
_COLOURS = PALETTE[:5]
_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "x", "triangle-down", "star")

_LEGEND_ROW, _LETTER, _KEY, _NAME = 20, 7.2, 48, 52


@dataclass(frozen=True, slots=True)
class Look:
    """How one configuration is drawn.

    Attributes:
        colour: of line and marker.
        dash: of the line.
        symbol: of the marker.
    """

    colour: str
    dash: str
    symbol: str


def looks(names: Sequence[str], reference: str | None) -> dict[str, Look]:
    """A look for each name, different in shape as well as in colour; the reference is grey."""
    others = [name for name in names if name != reference]
    found = {
        name: Look(_COLOURS[n % 5], _DASHES[n // 5 % 3], _SYMBOLS[n % len(_SYMBOLS)]) for n, name in enumerate(others)
    }
    return {name: found.get(name, Look(NEUTRAL, "solid", "circle-open")) for name in names}


def chosen(typical: Mapping[str, float], first: Sequence[str], most: int = MOST) -> list[str]:
    """The names to draw, in the order of ``typical``.

    Args:
        typical: every name → its typical value.
        first: names that come first; of the others the lowest and the highest by turns.
        most: how many.
    """
    first = [name for name in first if name in typical]
    ranked = sorted((name for name in typical if math.isfinite(typical[name])), key=lambda name: typical[name])
    ends = [name for pair in zip(ranked, reversed(ranked), strict=True) for name in pair]
    wanted = set(list(dict.fromkeys([*first, *ends]))[:most])
    return [name for name in typical if name in wanted]


def foremost(analysis: Analysis) -> list[str]:
    """Labels of the reference and of what is recommended, objective by objective."""
    labels = [data.reference_of(analysis)]
    for one in analysis.recommendations:
        won = one.evidence is not None and one.evidence.verdict in ("better", "equivalent")
        if one.conclusive:
            labels.append(one.evidence.label if won and one.evidence else data.reference_of(analysis))
    return [label for label in dict.fromkeys(labels) if label is not None]


def legend_name(name: str) -> str:
    """A configuration in a legend: one line, inert."""
    return plain(shortened(name, _NAME))


def legend_height(names: Sequence[str], width: float) -> int:
    """Pixels a horizontal legend takes; where one row does not hold all, plotly makes columns of equal width."""
    entries = [_KEY + _LETTER * min(len(name), _NAME) for name in names]
    columns = len(entries) if sum(entries) <= width else max(1, int(width // max(entries, default=1)))
    return _LEGEND_ROW * max(1, -(-len(entries) // max(columns, 1))) + 12


def narrower(names: Sequence[str], height: int, top: int, width: float = 560) -> dict[str, Any]:
    """What changes where there is less room: the legend takes more rows.

    Args:
        names: of the legend.
        height: pixels of the figure when wide.
        top: pixels of its upper margin when wide.
        width: pixels the legend has when narrow.
    """
    more = legend_height(names, width)
    return {"margin.t": more, "height": height - top + more}


def left_out(drawn: int, there: int) -> str:
    """That not everything is drawn, as a sentence for a caption; empty where it is."""
    if drawn == there:
        return ""
    return (
        f" {drawn} of {there} configurations are drawn: the reference, what is recommended, and the lowest and highest "
        "of the others."
    )
