"""Keeping what answers the query, word for word: messages ranked by words, meaning and where they stand.

With a query a message is worth what it has in common with it, and what stands around it; without one, what it tells for
its length. Sentences of a message are ranked by themselves only where the message is long for the budget: on labelled
meetings, whole turns keep more of the evidence than sentences do.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain
from typing import Literal, get_args

import numpy as np

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import CountTokens
from workbench.compression.centrality import centrality
from workbench.compression.context import in_context
from workbench.compression.information import information
from workbench.compression.pieces import Piece, Split, best_pieces, pieces, rebuild, sentences, words
from workbench.compression.reading import Reader
from workbench.compression.relevance import Relevance, Said
from workbench.embedding.cache import CachedEmbedder
from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Embedder, Engine, FloatArray, Message
from workbench.ranking.fusion import standardised
from workbench.registry import embedders

Rank = Literal["hybrid", "embedding", "graph", "words"]

_LONG_SHARE = 0.5
"""Of the budget: a message that takes more is ranked in parts."""
_USED = 0.95
"""Of the budget: where less is used, what did not fit is taken apart further."""
_MEANING = 0.6
"""Share of the meaning beside the words."""
_BESIDE = 0.25
_SPEAKER = 0.25
_ASKS = 0.3
"""What a question is worth less: it is seldom the answer."""
_EARLY = 0.2
"""Without a query: how much the first piece is ahead of the middle, since what comes first is built upon."""


class ExtractiveCompressor(BaseCompressor):
    """Keeps the best pieces, as many as fit. What is kept is unchanged, and in its order.

    The weights were set by hand on labelled conversations and meetings, one set for all. They weigh standardised
    scores, so they hold for any length of conversation and any embedder.

    Args:
        count_tokens: as for :class:`BaseCompressor`.
        embedder: a registered name, or an embedder, which stays its owner's; loaded when it is first needed. Vectors
            are kept in memory, so that a text is embedded once however often it is compressed. ``None``: words alone.
        rank: "hybrid" (words and meaning), "words" (no embedder is loaded: thousands of messages in some 100 ms),
            "embedding" (meaning alone) or "graph" (random walk over what is alike, starting at what has the meaning).
            Without a query "hybrid" and "words" rank by information, for which no embedder is loaded either; the other
            two by centrality, which is there to be compared: it keeps no more evidence than chance does.

    Raises:
        UnknownName: no such rank or embedder; the latter when it is first needed.
        InvalidSettings: "embedding" or "graph" without an embedder.
    """

    name = "extractive"

    def __init__(
        self,
        count_tokens: CountTokens | Engine,
        *,
        embedder: Embedder | str | None = "all-minilm-l6-v2",
        rank: Rank = "hybrid",
    ) -> None:
        if rank not in get_args(Rank):
            raise UnknownName("rank", str(rank), get_args(Rank))
        if embedder is None and rank in ("embedding", "graph"):
            raise InvalidSettings(f"rank={rank!r} needs an embedder. Give one, or take rank='words'.")
        super().__init__(count_tokens)
        self.rank: Rank = "words" if embedder is None else rank
        self._given, self._reader = embedder, Reader()
        self._made: CachedEmbedder | None = None
        self._lock = threading.Lock()

    @property
    def embedder(self) -> CachedEmbedder:
        """The embedder behind its cache; made now if it was not needed before.

        Raises:
            InvalidSettings: there is none.
        """
        with self._lock:
            if self._made is None:
                if self._given is None:
                    raise InvalidSettings("This compressor was made with embedder=None and ranks by words alone.")
                self._made = _cached(self._given)
            return self._made

    def close(self) -> None:
        """Free the vectors, and the embedder if it was given by name. Idempotent; the next need makes it anew."""
        with self._lock:
            if self._made is not None and self._made is not self._given:
                self._made.close()
            self._made = None

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:
        longest = self._longest(messages, budget_tokens)
        found = pieces(messages, lambda text: _parts(text, longest))
        scores = self.scores(messages, found, query)
        # of equals, the newest
        ordered = [found[place] for place in np.lexsort((-np.arange(len(found)), -scores))]
        kept = best_pieces(messages, ordered, budget_tokens, self.counter)
        for split in (sentences, words):
            shorter = rebuild(messages, kept)
            if self.counter([one.message for one in shorter]) >= _USED * budget_tokens:
                return shorter
            ordered = _finer(messages, ordered, kept, split)
            kept = best_pieces(messages, ordered, budget_tokens, self.counter)
        return rebuild(messages, kept)

    def scores(self, messages: Sequence[Message], found: Sequence[Piece], query: str | None = None) -> FloatArray:
        """What each piece is worth: (pieces,) float32, comparable within one call only.

        Args:
            messages: the conversation.
            found: its pieces, in order.
            query: what is to be answered; ``None`` or no word: nothing in particular.
        """
        said = [Said(piece.text(messages), messages[piece.places[0]]) for piece in found]
        lengths = np.array([len(one.text.split()) for one in said], np.float32)
        if query is None or not query.strip():
            early = np.linspace(_EARLY, -_EARLY, len(said), dtype=np.float32)
            return in_context(self._worth([one.text for one in said]), lengths) + early
        relevance = Relevance(said, self._reader)
        asking = np.array([one.text.rstrip().endswith("?") for one in said], np.float32)
        own = in_context(self._answers(said, relevance, query), lengths, beside=_BESIDE)
        scores: FloatArray = own + _SPEAKER * relevance.by_speaker(query) - _ASKS * asking
        return scores

    def _answers(self, said: Sequence[Said], relevance: Relevance, query: str) -> FloatArray:
        """How much each piece by itself has to do with the query."""
        if self.rank == "words":
            return relevance.by_words(query)
        meaning = relevance.by_meaning(query, self.embedder)
        if self.rank == "graph":
            vectors = self.embedder.embed([one.text for one in said])
            return standardised(centrality(vectors, np.maximum(0, meaning) ** 2))
        if self.rank == "embedding":
            return meaning
        fused: FloatArray = (1 - _MEANING) * relevance.by_words(query) + _MEANING * meaning
        return fused

    def _worth(self, texts: Sequence[str]) -> FloatArray:
        """What each piece by itself is worth when nothing is asked."""
        if self.rank in ("hybrid", "words"):
            return information(texts, self._reader)
        vectors = self.embedder.embed(texts)
        if self.rank == "graph":
            return standardised(centrality(vectors))
        return standardised(np.einsum("ij,j->i", vectors, vectors.mean(axis=0)))

    def _longest(self, messages: Sequence[Message], budget_tokens: int) -> int:
        """Characters of the longest message that is not ranked in parts."""
        characters = sum(len(message.content) for message in messages)
        return int(_LONG_SHARE * budget_tokens * characters / max(1, self.counter(messages)))


def _cached(embedder: Embedder | str) -> CachedEmbedder:
    if isinstance(embedder, CachedEmbedder):
        return embedder
    if isinstance(embedder, str):
        return CachedEmbedder(embedders.create(embedder), owns=True)
    return CachedEmbedder(embedder)


def _parts(text: str, longest: int) -> list[tuple[int, int]]:
    """Sentences of a text that is longer; one that is itself longer, as lines of whole words."""
    if len(text) <= longest:
        return []
    spans = sentences(text)
    return list(chain.from_iterable(_lines(text, span, max(1, longest)) for span in spans))


def _lines(text: str, span: tuple[int, int], longest: int) -> list[tuple[int, int]]:
    """A stretch of text in stretches of whole words, none longer unless a word is."""
    if span[1] - span[0] <= longest:
        return [span]
    lines: list[tuple[int, int]] = []
    for start, end in words(text[slice(*span)]):
        start, end = start + span[0], end + span[0]
        if lines and end - lines[-1][0] <= longest:
            lines[-1] = (lines[-1][0], end)
        else:
            lines.append((start, end))
    return lines


def _finer(messages: Sequence[Message], ordered: Sequence[Piece], kept: Sequence[Piece], split: Split) -> list[Piece]:
    """What is kept, then the other pieces in their order, taken apart where they can be."""
    whole = set(kept)
    rest = chain.from_iterable(_apart(messages, piece, split) for piece in ordered if piece not in whole)
    return [*kept, *rest]


def _apart(messages: Sequence[Message], piece: Piece, split: Split) -> list[Piece]:
    first = messages[piece.places[0]]
    if len(piece.places) > 1 or first.tool_calls or first.tool_call_id is not None:
        return [piece]
    start = 0 if piece.span is None else piece.span[0]
    spans = split(piece.text(messages))
    return [Piece(piece.places, (start + low, start + high)) for low, high in spans] or [piece]
