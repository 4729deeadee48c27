"""How much the pieces of a conversation have to do with a query: by words, by meaning, by who speaks.

BM25 and the cosine of embeddings, standardised and added (see :mod:`workbench.ranking.fusion`). Knows texts and
messages; never a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.compression.reading import Reader
from workbench.interfaces import Embedder, FloatArray, Message
from workbench.ranking.bm25 import Bm25Index
from workbench.ranking.fusion import standardised
from workbench.ranking.speakers import Speakers, in_first_person
from workbench.ranking.words import terms, terms_of

_MOST_TERMS = 32
"""Of a query that count: the rarest. A page pasted as a query tells no more by all its words."""


@dataclass(frozen=True, slots=True)
class Said:
    """A piece's text and the message it is of, which says who speaks."""

    text: str
    message: Message


class Relevance:
    """Pieces of one conversation, made ready for queries.

    Args:
        said: the pieces, in order.
        reader: reads their terms.
    """

    def __init__(self, said: Sequence[Said], reader: Reader) -> None:
        self._said, self._reader = said, reader
        self._speakers = Speakers()
        for one in said:
            self._speakers.add(one.message)

    def by_words(self, query: str) -> FloatArray:
        """BM25 of every piece, standardised: (pieces,)."""
        index = Bm25Index(0.9, 0.4)
        index.extend([self._reader.terms(one.text) for one in self._said])
        return standardised(index.scores(self._asked(query, index)))

    def by_meaning(self, query: str, embedder: Embedder) -> FloatArray:
        """Cosine of every piece with the query as one of the speakers would put it, standardised: (pieces,)."""
        asked = embedder.embed_query(in_first_person(query, self._speakers.names()))
        # not @: BLAS would take the threads that an engine is decoding with
        return standardised(np.einsum("ij,j->i", embedder.embed([one.text for one in self._said]), asked))

    def by_speaker(self, query: str) -> FloatArray:
        """1 where somebody speaks whom the query names, else 0: (pieces,)."""
        return self._speakers.named(query)[0]

    def _asked(self, query: str, index: Bm25Index) -> list[str]:
        """The query's terms without the speakers' names, unless it has no others: they tell who, not what about."""
        asked, names = list(dict.fromkeys(terms(query))), set(terms_of(self._speakers.names()))
        asked = [term for term in asked if term not in names] or asked
        return sorted(asked, key=index.idf, reverse=True)[:_MOST_TERMS]
