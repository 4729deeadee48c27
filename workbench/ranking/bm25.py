"""BM25 over documents that come one after the other: an inverted index that is never built anew.

Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", in the variant of Lucene: the idf
has one added so that it is never negative, and the constant factor (k1 + 1) is left out (Kamphuis et al. 2020, "Which
BM25 Do You Mean?"). A term's part is below its idf, so the sum of the idfs is the most a query can reach. Knows terms,
not text.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from workbench.errors import InvalidSettings
from workbench.interfaces import FloatArray

_MANY = 64
"""Documents from which putting them in together pays."""


class Bm25Index:
    """Documents numbered from 0 in the order they came. Not thread-safe: whoever uses it holds a lock.

    Args:
        k1: how soon further occurrences of a term stop counting.
        b: how much longer documents are held back; 0: not at all, 1: in proportion.

    Raises:
        InvalidSettings: ``k1`` is negative or ``b`` is not between 0 and 1.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        if not (k1 >= 0 and 0 <= b <= 1):
            raise InvalidSettings(f"k1 must not be negative and b must be between 0 and 1; got {k1} and {b}.")
        self.k1, self.b = k1, b
        self._postings: dict[str, tuple[array[int], array[int]]] = {}
        self._lengths = array("i")
        self._total = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, terms: Iterable[str]) -> None:
        """One more document."""
        number, counts = len(self._lengths), Counter(terms)
        self._lengths.append(counts.total())
        self._total += self._lengths[-1]
        for term, count in counts.items():
            places, frequencies = self._posting(term)
            places.append(number)
            frequencies.append(count)

    def extend(self, documents: Sequence[Sequence[str]]) -> None:
        """Several more documents: as adding one after the other, and for very many five times as fast."""
        if len(documents) < _MANY:
            for terms in documents:
                self.add(terms)
            return
        first, lengths = len(self), [len(terms) for terms in documents]
        numbers = {term: number for number, term in enumerate(dict.fromkeys(chain.from_iterable(documents)))}
        of_terms = np.fromiter(map(numbers.__getitem__, chain.from_iterable(documents)), np.int64, sum(lengths))
        span = first + len(documents)
        # one number for a term in a document, so that sorting puts a term's documents side by side, in order
        pairs, counts = np.unique(of_terms * span + np.repeat(np.arange(first, span), lengths), return_counts=True)
        owners, places = np.divmod(pairs, span)
        borders = np.searchsorted(owners, np.arange(len(numbers) + 1))
        places, counts = places.astype(np.intc), counts.astype(np.intc)
        for term, start, end in zip(numbers, borders, borders[1:], strict=False):
            held_by, frequencies = self._posting(term)
            held_by.frombytes(places[start:end].tobytes())
            frequencies.frombytes(counts[start:end].tobytes())
        self._lengths.extend(lengths)
        self._total += sum(lengths)

    def add_to_last(self, terms: Iterable[str]) -> None:
        """The newest document goes on."""
        number, counts = len(self._lengths) - 1, Counter(terms)
        self._lengths[number] += counts.total()
        self._total += counts.total()
        for term, count in counts.items():
            places, frequencies = self._posting(term)
            if places and places[-1] == number:
                frequencies[-1] += count
            else:
                places.append(number)
                frequencies.append(count)

    def idf(self, term: str) -> float:
        """Weight of a term: ln(1 + (N - n + 0.5) / (n + 0.5)) with n of N documents holding it; 0: none does."""
        posting = self._postings.get(term)
        if posting is None:
            return 0.0
        count = len(posting[0])
        return math.log(1 + (len(self) - count + 0.5) / (count + 0.5))

    def scores(self, terms: Iterable[str]) -> FloatArray:
        """BM25 of every document for a query; a term given twice counts twice. Returns (documents,) float32."""
        found = np.zeros(len(self), np.float32)
        norms = self._norms()
        for term, times in Counter(terms).items():
            posting = self._postings.get(term)
            if posting is None:
                continue
            places = np.frombuffer(posting[0], np.int32)
            counts = np.frombuffer(posting[1], np.int32).astype(np.float32)
            found[places] += times * self.idf(term) * counts / (counts + norms[places])
        return found

    def most(self, terms: Iterable[str]) -> float:
        """What no document's score can exceed: the sum of the idfs."""
        return sum(self.idf(term) for term in terms)

    def frequencies(self, terms: Sequence[str]) -> FloatArray:
        """How often each term stands in each document: (terms, documents) float32."""
        table = np.zeros((len(terms), len(self)), np.float32)
        for row, term in zip(table, terms, strict=True):
            posting = self._postings.get(term)
            if posting is not None:
                row[np.frombuffer(posting[0], np.int32)] = np.frombuffer(posting[1], np.int32)
        return table

    def lengths(self) -> FloatArray:
        """Terms of each document: (documents,) float32."""
        lengths: FloatArray = np.array(self._lengths, np.float32)
        return lengths

    def _posting(self, term: str) -> tuple[array[int], array[int]]:
        """Documents that hold a term, in order, and how often; made if there is none."""
        posting = self._postings.get(term)
        if posting is None:
            posting = self._postings[term] = (array("i"), array("i"))
        return posting

    def _norms(self) -> FloatArray:
        mean = self._total / len(self) if self._total else 1.0
        norms: FloatArray = self.k1 * (1 - self.b + self.b / mean * self.lengths())
        return norms
