"""What feedback says about the candidates of a recall: about a message itself, for this query, and about its like.

Relevance feedback (Rocchio 1971) kept per message instead of moved into the query. Every value is a mean shrunk towards
0 by one neutral vote, so it lies within (-1, 1) however often or loudly feedback is given, and it fades with what is
said since: old feedback is about an old conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.interfaces import FloatArray

FEATURES = ("own", "asked", "near")
"""Columns of :meth:`Credit.features`."""

Floats = npt.NDArray[np.float64]
Vectors = Callable[[Sequence[int]], FloatArray]
"""Indices of messages → (n, dimensions) float32, of length 1."""

_NEAR_POWER = 3  # cosine³: 0.9 counts 0.73, 0.5 counts 0.13: only what is nearly alike shares credit
_ASKED_POWER = 2


class Credit:
    """The feedback of one session. Not thread-safe.

    Args:
        half_life: messages said since after which feedback counts half.
    """

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self._indices: list[int] = []
        self._values: list[float] = []
        self._said: list[int] = []
        self._queries: list[FloatArray | None] = []
        self._stacked: FloatArray | None = None

    def __len__(self) -> int:
        return len(self._values)

    def give(self, index: int, value: float, said: int, query: FloatArray | None) -> None:
        """Take feedback on message ``index``, given when ``said`` messages had been said.

        ``query`` is the vector (dimensions,) of what it had been recalled for; ``None``: unknown.
        """
        self._indices.append(index)
        self._values.append(value)
        self._said.append(said)
        self._queries.append(query)
        self._stacked = None

    def features(self, candidates: Sequence[int], query: FloatArray, said: int, vectors: Vectors) -> Floats:
        """(len(candidates), 3): own, asked, near; zeros without feedback."""
        found = np.zeros((len(candidates), len(FEATURES)))
        if not self._values or not candidates:
            return found
        fading = 0.5 ** ((said - np.array(self._said)) / self.half_life)
        values = np.array(self._values)
        known, places = np.unique(np.array(self._indices), return_inverse=True)
        own = _shrunk_mean(places, fading, values, len(known))
        asked = _shrunk_mean(places, fading * self._likeness(query), values, len(known))
        row = {int(index): place for place, index in enumerate(known)}
        for at, index in enumerate(candidates):
            if index in row:
                found[at, :2] = own[row[index]], asked[row[index]]
        found[:, 2] = _near(candidates, known, own, vectors)
        return found

    def _likeness(self, query: FloatArray) -> Floats:
        """How much each feedback's query resembles this one, in [0, 1]."""
        if self._stacked is None:
            unknown = np.zeros_like(query)
            self._stacked = np.stack([unknown if one is None else one for one in self._queries])
        return np.asarray(np.clip(self._stacked @ query, 0.0, 1.0) ** _ASKED_POWER, np.float64)


def _shrunk_mean(places: npt.NDArray[np.intp], weights: Floats, values: Floats, size: int) -> Floats:
    """Weighted mean of the values at each place and one more of 0."""
    total = np.bincount(places, weights * values, size)
    return np.asarray(total / (1.0 + np.bincount(places, weights, size)), np.float64)


def _near(candidates: Sequence[int], known: npt.NDArray[Any], own: Floats, vectors: Vectors) -> Floats:
    """Credit of other messages, by likeness of the text."""
    cosines = np.asarray(vectors(candidates), np.float64) @ np.asarray(vectors(known.tolist()), np.float64).T
    likeness = np.clip(cosines, 0.0, 1.0) ** _NEAR_POWER
    likeness[np.array(candidates)[:, None] == known[None, :]] = 0.0  # its own credit is another feature
    return np.asarray(likeness @ own / (1.0 + likeness.sum(1)), np.float64)
