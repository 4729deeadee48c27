"""Vectors of documents that come one after the other, compared with a query's by brute force.

At the 10,000 messages a conversation may have, one matrix product (4 million multiplications at 384 dimensions) takes
about a millisecond; an approximate index would be slower to keep up to date and miss some. Knows vectors, not text.
"""

from __future__ import annotations

import numpy as np

from workbench.interfaces import FloatArray


class DenseIndex:
    """Vectors of length 1, numbered from 0. Not thread-safe: whoever uses it holds a lock.

    Args:
        dimensions: of each vector.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._room: FloatArray = np.zeros((0, dimensions), np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def vectors(self) -> FloatArray:
        """What is held: (vectors, dimensions) float32. A view: valid until the next :meth:`extend`."""
        view: FloatArray = self._room[: self._count]
        return view

    def extend(self, vectors: FloatArray) -> None:
        """Append (n, dimensions) vectors. The room doubles when it is full, so a vector is moved once on average."""
        needed = self._count + len(vectors)
        if needed > len(self._room):
            room = np.zeros((max(needed, 2 * len(self._room)), self.dimensions), np.float32)
            room[: self._count] = self.vectors
            self._room = room
        self._room[self._count : needed] = vectors
        self._count = needed

    def scores(self, query: FloatArray) -> FloatArray:
        """Cosine of every vector with ``query`` (dimensions,): (vectors,) float32."""
        # not @: BLAS shares a product out among threads; beside an engine's they wait for one another (8 ms, not 1.3)
        cosines: FloatArray = np.einsum("ij,j->i", self.vectors, query)
        return cosines
