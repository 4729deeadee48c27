"""How central a piece is among all: PageRank on the graph of what is alike.

LexRank (Erkan and Radev 2004, "LexRank: Graph-based Lexical Centrality as Salience in Text Summarization") and TextRank
(Mihalcea and Tarau 2004) with embeddings in place of word overlap; for a query, the walk starts again at what answers
it (Otterbacher, Erkan and Radev 2005, "Using Random Walks for Question-focused Sentence Retrieval"). Knows vectors and
scores, no text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workbench.interfaces import FloatArray

_NEIGHBOURS = 16
"""Edges that leave a piece, to those most alike: the whole graph of 10,000 pieces would take 400 MB."""
_ROWS = 512
_DAMPING = 0.85
_STEPS = 40


def centrality(vectors: FloatArray, restart: FloatArray | None = None) -> FloatArray:
    """Logarithm of each piece's PageRank times their number, (pieces,): 0 is the mean's.

    Args:
        vectors: (pieces, dimensions), each of length 1.
        restart: where the walk starts again, (pieces,), none negative; ``None``: anywhere.
    """
    count = len(vectors)
    if count < 2:
        return np.zeros(count, np.float32)
    places, weights = _alike(vectors)
    start = np.full(count, 1 / count) if restart is None or not restart.any() else restart / restart.sum()
    ranks = start
    for _ in range(_STEPS):
        passed = np.bincount(places.ravel(), (weights * ranks[:, None]).ravel(), minlength=count)
        # a piece like no other passes nothing on: its share starts again
        ranks = start * (1 - _DAMPING * passed.sum()) + _DAMPING * passed
    logs: FloatArray = np.log(np.maximum(ranks * count, 1e-9)).astype(np.float32)
    return logs


def _alike(vectors: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """For each piece those most alike, and their shares, which add up to 1 or 0: (pieces, neighbours) each."""
    count = len(vectors)
    most = min(_NEIGHBOURS, count - 1)
    places = np.zeros((count, most), np.intp)
    weights = np.zeros((count, most), np.float32)
    for first in range(0, count, _ROWS):
        cosines = vectors[first : first + _ROWS] @ vectors.T
        rows = np.arange(len(cosines))
        cosines[rows, first + rows] = -1
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        places[first : first + len(rows)] = nearest
        weights[first : first + len(rows)] = np.maximum(0, np.take_along_axis(cosines, nearest, axis=1))
    totals = weights.sum(axis=1, keepdims=True)
    shares: FloatArray = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    return places, shares
