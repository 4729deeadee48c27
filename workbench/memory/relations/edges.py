"""Edges as they are found: who, whom, which type, denied or not; made into records without repeats or contradictions.

Knows nothing of sentences.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from workbench.memory.relations.records import SENTIMENT, Relation


@dataclass(slots=True)
class Edges:
    """The edges of a note, by (source, target, type), with the clause each came from."""

    found: dict[tuple[int, int, str], tuple[str, float]] = field(default_factory=dict)
    last: list[tuple[int, int, str]] = field(default_factory=list)

    def add(
        self,
        sources: Iterable[int],
        targets: Iterable[int],
        kind: str,
        evidence: str,
        *,
        denied: bool = False,
        mutual: bool = False,
        strength: float = 0.7,
    ) -> None:
        """Every source towards every target; a denied trust is distrust, anything else denied is nothing."""
        if denied:
            if kind != "trust":
                return
            kind = "distrust"
        sources, targets = list(sources), list(targets)
        pairs = [(s, t) for s in sources for t in targets if s != t]
        if mutual:
            pairs += [(t, s) for s, t in pairs]
        self.last = [(s, t, kind) for s, t in pairs] or self.last
        for source, target in pairs:
            self.found.setdefault((source, target, kind), (evidence, strength))

    def records(self, names: list[str]) -> list[Relation]:
        """The edges as records, in the order they were found."""
        return [
            Relation(
                names[source],
                names[target],
                kind,
                round(SENTIMENT[kind] * (0.7 + 0.3 * strength), 3),
                strength,
                evidence,
            )
            for (source, target, kind), (evidence, strength) in self.found.items()
        ]
