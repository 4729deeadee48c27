"""What the extractor returns: one typed, directed edge and the clause it was read from.

Knows nothing of sentences or of graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Every type of edge there is, with the sentiment it carries in [-1, 1].
SENTIMENT: Final[dict[str, float]] = {
    "trust": 0.6,
    "distrust": -0.6,
    "love": 0.9,
    "hate": -0.9,
    "fear": -0.5,
    "alliance": 0.5,
    "rivalry": -0.4,
    "friendship": 0.7,
    "family": 0.3,
    "debt": -0.1,
    "respect": 0.6,
}

#: The types that hold both ways by nature, unless the text is one-sided about them.
SYMMETRIC: Final[frozenset[str]] = frozenset({"alliance", "rivalry", "friendship", "family"})


@dataclass(frozen=True, slots=True)
class Relation:
    """`source` holds the attitude `type` towards `target`, as `evidence` (the words of one clause) says.

    `sentiment` is in [-1, 1] (what the source feels for the target), `strength` in [0, 1] (how emphatic the words are).
    """

    source: str
    target: str
    type: str
    sentiment: float = 0.0
    strength: float = 0.5
    evidence: str = ""
