"""Several memories as one: what was said last, what resembles the query, who stands how to whom.

Three ways of making one ranking of many: shares of the places (each part is sure of some), the weighted sum of
standardised scores (CombSUM, Fox and Shaw 1994, with z-scores), and reciprocal ranks (Cormack, Clarke and Büttcher
2009). What was said is kept once; see :mod:`workbench.memory.parts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Embedder, Recollection
from workbench.memory.base import Query
from workbench.memory.parts import PartsMemory, PartSpec, PartsTranscript

MOST_NOTES = 2
RRF_CONSTANT = 60  # Cormack et al.'s, found on TREC data and used everywhere since

Ranking = Sequence[Recollection]
"""What one part recalls, best first."""
Fused = list[tuple[int, float]]
"""(index, score), best first."""


class ComposedMemory(PartsMemory[PartsTranscript]):
    """Recalls what its parts recall, each message once, ``k`` altogether, and the first two of their notes.

    Every part is asked for ``k`` messages. A message that several recall gives its reasons together.

    Args:
        parts: memories that nobody has added to, which are closed with this one; names; or pairs (name, options).
        weights: one a part, above 0; ``None``: all alike.
        fusion: "shares": part i is sure of its share of ``k`` by ``weights`` (largest remainders), earlier parts
            choose first, and places that a part cannot fill go round; "score": weighted sum of z-scores over what each
            part recalls, and its lowest for what it does not; "rank": weighted sum of 1 / (60 + rank).
        embedder: shared by the parts that take one; ``None``: each has its own.
        folder: as for :class:`LoggedMemory`.

    Raises:
        InvalidSettings: no parts, or weights that do not fit them.
        UnknownName: a part or a fusion nobody knows.
    """

    name = "composed"

    def __init__(
        self,
        parts: Sequence[PartSpec] = ("buffer", "hybrid"),
        *,
        weights: Sequence[float] | None = None,
        fusion: Literal["shares", "score", "rank"] = "shares",
        embedder: Embedder | str | None = None,
        folder: Path | str | None = None,
    ) -> None:
        if isinstance(parts, str) or not parts:
            raise InvalidSettings(
                f"parts must be a list of one memory or more, like ['buffer', 'hybrid']; not {parts!r}."
            )
        if fusion not in _FUSIONS:
            raise UnknownName("fusion", fusion, _FUSIONS)
        self.weights = [1.0] * len(parts) if weights is None else [float(weight) for weight in weights]
        if len(self.weights) != len(parts) or not all(0 < weight < math.inf for weight in self.weights):
            raise InvalidSettings(f"weights must be {len(parts)} numbers above 0, one a part; not {weights!r}.")
        self.fusion = fusion
        super().__init__(parts, folder, embedder=embedder)

    def _snapshot(self, session: str, epoch: int) -> PartsTranscript:
        return PartsTranscript(session, epoch, self._snapshots(session, epoch))

    def _rank(self, snapshot: PartsTranscript, query: Query) -> list[Recollection]:
        found = [part._rank(inner, query) for part, inner in zip(self.parts, snapshot.parts, strict=True)]
        rankings = [_best_first(one) for one in found]
        reasons = _reasons(rankings)
        fused = _FUSIONS[self.fusion](rankings, self.weights, query.k)
        messages = [snapshot.recollection(index, score, reasons[index]) for index, score in fused[: query.k]]
        return [*_notes(found), *messages]


def by_shares(rankings: Sequence[Ranking], weights: Sequence[float], k: int) -> Fused:
    """Each part's best up to its share; the score is the reciprocal of the place in that part's ranking."""
    taken: dict[int, float] = {}
    for ranking, places in zip(rankings, _places(weights, k), strict=True):
        fresh = [item for item in _scored(ranking) if item[0] not in taken]
        taken.update(fresh[:places])
    # what is left over goes round: everybody's next, in turn
    turns = sorted((item for ranking in rankings for item in _scored(ranking)), key=lambda item: -item[1])
    for index, score in turns:
        if len(taken) >= k:
            break
        taken.setdefault(index, score)
    return sorted(taken.items(), key=lambda item: -item[1])


def by_score(rankings: Sequence[Ranking], weights: Sequence[float], k: int) -> Fused:  # noqa: ARG001
    """Weighted sum of z-scores; what a part does not recall counts as its lowest."""
    total = dict.fromkeys((_index(one) for ranking in rankings for one in ranking), 0.0)
    for ranking, weight in zip(rankings, weights, strict=True):
        if not ranking:
            continue
        scores = np.array([one.score for one in ranking])
        spread = float(scores.std())
        standard = (scores - scores.mean()) / (spread if spread > 0 else 1.0)
        own = dict(zip(map(_index, ranking), standard.tolist(), strict=True))
        lowest = min(own.values())
        for index in total:
            total[index] += weight * own.get(index, lowest)
    return _descending(total)


def by_rank(rankings: Sequence[Ranking], weights: Sequence[float], k: int) -> Fused:  # noqa: ARG001
    """Weighted sum of reciprocal ranks."""
    total: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for place, one in enumerate(ranking, 1):
            total[_index(one)] = total.get(_index(one), 0.0) + weight / (RRF_CONSTANT + place)
    return _descending(total)


_FUSIONS: dict[str, Callable[[Sequence[Ranking], Sequence[float], int], Fused]] = {
    "shares": by_shares,
    "score": by_score,
    "rank": by_rank,
}


def _places(weights: Sequence[float], k: int) -> list[int]:
    """``k`` places divided by weight: the method of largest remainders, earlier parts first among equals."""
    exact = [k * weight / sum(weights) for weight in weights]
    places = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda part: places[part] - exact[part])
    for part in by_remainder[: k - sum(places)]:
        places[part] += 1
    return places


def _best_first(found: Ranking) -> list[Recollection]:
    messages = [one for one in found if one.index is not None]
    return sorted(messages, key=lambda one: (-one.score, -_index(one)))


def _scored(ranking: Ranking) -> list[tuple[int, float]]:
    return [(_index(one), 1.0 / place) for place, one in enumerate(ranking, 1)]


def _descending(total: dict[int, float]) -> Fused:
    return sorted(total.items(), key=lambda item: (-item[1], -item[0]))


def _index(one: Recollection) -> int:
    if one.index is None:
        raise ValueError("A note has no place among the messages.")
    return one.index


def _reasons(rankings: Sequence[Ranking]) -> dict[int, str]:
    """Index → why the parts recalled it, each reason once."""
    reasons: dict[int, list[str]] = {}
    for ranking in rankings:
        for one in ranking:
            given = reasons.setdefault(_index(one), [])
            if one.reason not in given:
                given.append(one.reason)
    return {index: ", ".join(given) for index, given in reasons.items()}


def _notes(found: Sequence[Ranking]) -> list[Recollection]:
    """The first two notes, none with the same text as another."""
    by_text: dict[str, Recollection] = {}
    for ranking in found:
        for one in ranking:
            if one.index is None:
                by_text.setdefault(one.message.content, one)
    return list(by_text.values())[:MOST_NOTES]
