"""One session's messages, indexed for search: words, vectors, speakers and sittings.

Words are indexed as soon as messages come; vectors whenever somebody hands them over, which may be later, from another
thread. Knows nothing of scores and of how they are put together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workbench.interfaces import Embedder, FloatArray
from workbench.memory.transcript import Transcript
from workbench.ranking.bm25 import Bm25Index
from workbench.ranking.dense import DenseIndex
from workbench.ranking.speakers import Speakers, in_first_person
from workbench.ranking.words import terms, terms_of

_MOST_TERMS = 32


class IndexedTranscript(Transcript):
    """A transcript with an inverted index and one vector index for each embedder.

    Args:
        session: its name.
        epoch: of the journal.
        dimensions: of each embedder's vectors.
        k1: of BM25.
        b: of BM25.
    """

    def __init__(self, session: str, epoch: int, dimensions: Sequence[int], k1: float = 0.9, b: float = 0.4) -> None:
        super().__init__(session, epoch)
        self.lexical = Bm25Index(k1, b)
        self.dense = tuple(DenseIndex(size) for size in dimensions)
        self.speakers = Speakers()
        self._sittings: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self._moments: npt.NDArray[np.float64] = np.zeros(0)

    def grown(self, first: int) -> None:
        """Index the words of new messages."""
        self.lexical.extend([terms(message.content) for message in self.messages[first:]])
        for message in self.messages[first:]:
            self.speakers.add(message)

    def unembedded(self, most: int) -> list[str]:
        """Texts of the oldest messages without vectors, at most so many."""
        first = min((len(index) for index in self.dense), default=len(self))
        return [message.content for message in self.messages[first : first + most]]

    def embed(self, embedders: Sequence[Embedder], upto: int | None = None) -> None:
        """Give the messages before ``upto`` (``None``: all) the vectors they lack."""
        for index, embedder in zip(self.dense, embedders, strict=True):
            texts = [message.content for message in self.messages[len(index) : upto]]
            if texts:
                index.extend(embedder.embed(texts))

    def terms_asked(self, query: str) -> list[str]:
        """Terms of a query, each once, without the speakers' names unless it has no others; the rarest 32."""
        asked = list(dict.fromkeys(terms(query)))
        names = set(terms_of(self.speakers.names()))
        asked = [term for term in asked if term not in names] or asked
        return sorted(asked, key=self.lexical.idf, reverse=True)[:_MOST_TERMS] if len(asked) > _MOST_TERMS else asked

    def query_vectors(self, query: str, embedders: Sequence[Embedder]) -> list[FloatArray]:
        """A query's vectors, one for each embedder; the speakers' names are left to those who look at speakers."""
        text = in_first_person(query, self.speakers.names())
        return [embedder.embed_query(text) for embedder in embedders]

    def sitting_numbers(self) -> npt.NDArray[np.intp]:
        """The sitting of each message: (messages,)."""
        if len(self._sittings) < len(self):
            self._sittings = np.append(self._sittings, self.sittings[len(self._sittings) :]).astype(np.intp)
        return self._sittings

    def moments(self) -> npt.NDArray[np.float64]:
        """When each message was said, in seconds since 1970: (messages,)."""
        if len(self._moments) < len(self):
            self._moments = np.append(self._moments, self.times[len(self._moments) :])
        return self._moments

    def allowed(self, since: float | None, until: float | None) -> npt.NDArray[np.intp]:
        """Indices of the messages said in ``[since, until)``."""
        times = self.moments()
        inside = np.ones(len(times), bool) if since is None else times >= since
        if until is not None:
            inside &= times < until
        return np.flatnonzero(inside)

    def starts(self) -> npt.NDArray[np.intp]:
        """Where each sitting begins: (sittings,)."""
        return np.flatnonzero(np.diff(self.sitting_numbers(), prepend=-1))


def shifted(values: FloatArray, sittings: npt.NDArray[np.intp], by: int) -> FloatArray:
    """Value of the message ``by`` places further on in the same sitting; 0 where there is none. Along the last axis."""
    moved = np.zeros_like(values)
    if abs(by) >= values.shape[-1]:
        return moved
    here, there = (slice(None, -by), slice(by, None)) if by > 0 else (slice(-by, None), slice(None, by))
    moved[..., here] = np.where(sittings[here] == sittings[there], values[..., there], 0)
    return moved
