"""Words and meaning together: BM25 and the cosine of embeddings, fused, with what was said next to a match.

Fusion after Bruch et al. 2023 ("An Analysis of Fusion Functions for Hybrid Retrieval"); see
:mod:`workbench.ranking.fusion`. In a conversation an answer often shares nothing with the query but stands after
the question that does, so part of a message's score goes to its neighbours in the same sitting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Embedder, FloatArray, Recollection
from workbench.memory.base import Query
from workbench.memory.ranking.indexed import IndexedMemory, best
from workbench.memory.ranking.snapshot import IndexedTranscript, shifted
from workbench.memory.vectors import DEFAULT_EMBEDDER
from workbench.ranking.decay import check_half_life, remaining
from workbench.ranking.fusion import Fusion, logistic, reciprocal_ranks, weighted_sum


@dataclass(frozen=True, slots=True)
class _Channels:
    """What each way of looking says about every message, (messages,) each; ``most`` is BM25's upper bound."""

    words: FloatArray
    meaning: FloatArray
    speaker: FloatArray
    most: float


class HybridMemory(IndexedMemory[IndexedTranscript]):
    """Recalls what shares words or meaning with the query, wherever in the session it was said.

    Args:
        embedder: a registered name, or an embedder, which is not closed with the memory. Not used, nor loaded, when
            ``dense_weight`` is 0: then words alone decide.
        folder: as for :class:`LoggedMemory`; vectors are kept there, too.
        fusion: "zscore", "calibrated" or "rrf".
        dense_weight: share of the meaning; the words have the rest.
        speaker_weight: what it is worth that a message is by somebody the query names, beside a weight of 1 for words
            and meaning together.
        neighbour_weight: how much of the better neighbour's score in the same sitting is added to a message's own.
        half_life_s: after so many seconds a score is worth half; ``None``: nothing fades.
        k1: of BM25: how soon further occurrences of a word stop counting.
        b: of BM25: how much longer messages are held back.
        open_sessions: as for :class:`LoggedMemory`.

    Raises:
        InvalidSettings: a value out of its range.
        UnknownName: no such fusion or embedder.
    """

    name = "hybrid"

    def __init__(
        self,
        embedder: Embedder | str = DEFAULT_EMBEDDER,
        folder: Path | str | None = None,
        *,
        fusion: Fusion = "zscore",
        dense_weight: float = 0.6,
        speaker_weight: float = 0.25,
        neighbour_weight: float = 0.5,
        half_life_s: float | None = None,
        k1: float = 0.9,
        b: float = 0.4,
        open_sessions: int = 32,
    ) -> None:
        if fusion not in get_args(Fusion):
            raise UnknownName("fusion", str(fusion), get_args(Fusion))
        _check_share("dense_weight", dense_weight, 1)
        _check_share("speaker_weight", speaker_weight, math.inf)
        _check_share("neighbour_weight", neighbour_weight, math.inf)
        check_half_life(half_life_s)
        IndexedTranscript("", 0, (), k1, b)  # BM25 refuses what it cannot do before any file is opened
        self.fusion, self.dense_weight, self.speaker_weight = fusion, dense_weight, speaker_weight
        self.neighbour_weight, self.half_life_s, self.k1, self.b = neighbour_weight, half_life_s, k1, b
        super().__init__([embedder] if dense_weight else [], folder, open_sessions=open_sessions)

    def _snapshot(self, session: str, epoch: int) -> IndexedTranscript:
        return IndexedTranscript(session, epoch, [one.dimensions for one in self.embedders], self.k1, self.b)

    def _rank(self, snapshot: IndexedTranscript, query: Query) -> list[Recollection]:
        channels = self._channels(snapshot, query.text)
        own = self._fused(channels)
        near = self._nearby(snapshot, own)
        weight = np.float32(self.neighbour_weight)
        scores: FloatArray = ((own + weight * near) / (1 + weight)).astype(np.float32)
        if self.half_life_s is not None:
            positive = logistic(scores) if self.fusion == "zscore" else scores
            scores = positive * remaining(snapshot.moments(), self.half_life_s)
        reasons = _Reasons(channels, own, near)
        return [
            snapshot.recollection(index, float(scores[index]), reasons.of(index))
            for index in best(scores, snapshot.allowed(query.since, query.until), query.k)
        ]

    def _channels(self, snapshot: IndexedTranscript, text: str) -> _Channels:
        asked = snapshot.terms_asked(text)
        return _Channels(
            words=snapshot.lexical.scores(asked),
            meaning=self._meaning(snapshot, text),
            speaker=snapshot.speakers.named(text)[0],
            most=snapshot.lexical.most(asked),
        )

    def _meaning(self, snapshot: IndexedTranscript, text: str) -> FloatArray:
        """Cosine of every message with the query: (messages,); 0 where words alone decide."""
        if not self.embedders:
            return np.zeros(len(snapshot), np.float32)
        snapshot.embed(self.embedders)
        return snapshot.dense[0].scores(snapshot.query_vectors(text, self.embedders)[0])

    def _fused(self, channels: _Channels) -> FloatArray:
        """One score a message: (messages,)."""
        parts = (channels.words, channels.meaning, channels.speaker)
        weights = (1 - self.dense_weight, self.dense_weight, self.speaker_weight)
        if self.fusion == "zscore":
            return weighted_sum(parts, weights)
        if self.fusion == "rrf":
            return reciprocal_ranks(parts, weights)
        return self._calibrated(channels)

    def _calibrated(self, channels: _Channels) -> FloatArray:
        share = channels.words / channels.most if channels.most else channels.words
        both = (1 - self.dense_weight) * share + self.dense_weight * channels.meaning
        return logistic(_SLOPE * (both + _SPEAKER_SHARE * self.speaker_weight * channels.speaker - _MIDDLE))

    def _nearby(self, snapshot: IndexedTranscript, scores: FloatArray) -> FloatArray:
        """The better neighbour's score in the same sitting; 0 for none."""
        sittings = snapshot.sitting_numbers()
        near: FloatArray = np.maximum(shifted(scores, sittings, -1), shifted(scores, sittings, 1))
        return near


# Slope and middle of the logistic over the weighted mean of BM25's share and the cosine, and a name's worth on that
# scale: set by hand so that half of a query's words with a cosine of 0.5 is an even chance, not fitted to data.
_SLOPE, _MIDDLE, _SPEAKER_SHARE = 10.0, 0.5, 0.2


@dataclass(frozen=True, slots=True)
class _Reasons:
    """Why a message came back, for the reader."""

    channels: _Channels
    own: FloatArray
    near: FloatArray

    def of(self, index: int) -> str:
        if self.near[index] > self.own[index]:
            return "next to a message that matches the query"
        if self.channels.words[index] > 0:
            return "shares words with the query"
        if self.channels.speaker[index] > 0:
            return "by somebody the query names"
        return "similar in meaning to the query" if self.channels.meaning.any() else "nothing fits better"


def _check_share(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most or math.isinf(value):
        upper = f" and {most:g}" if math.isfinite(most) else ""
        raise InvalidSettings(f"{name} must be {'between 0' if upper else 'at least 0'}{upper}, not {value}.")


__all__: Sequence[str] = ["HybridMemory"]
