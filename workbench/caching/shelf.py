"""The questions of one scope and their vectors. Knows no values and no time. Not thread-safe."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench.interfaces import FloatArray
from workbench.ranking.dense import DenseIndex


class Shelf:
    """Texts that come and go, each with a vector of length 1; compared by brute force.

    Args:
        dimensions: of each vector.
    """

    def __init__(self, dimensions: int) -> None:
        self._index = DenseIndex(dimensions)
        self._texts: list[str | None] = []  # by place in the index; None: gone
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, text: str, vector: FloatArray) -> None:
        """Put a text there, in place of any before."""
        self.remove(text)
        self._places[text] = len(self._texts)
        self._texts.append(text)
        self._index.extend(vector[None])

    def remove(self, text: str) -> None:
        """Take a text away, if it is there. Its vector goes once half of all are of texts that are gone."""
        place = self._places.pop(text, None)
        if place is None:
            return
        self._texts[place] = None
        if len(self._texts) > 2 * len(self._places):
            self._tidy()

    def near(self, vector: FloatArray, least: float, most: int) -> Iterator[tuple[str, float]]:
        """Texts whose cosine with ``vector`` is at least ``least``, and their cosines: the nearest first."""
        cosines = self._index.scores(vector)
        (places,) = np.nonzero(cosines >= least)
        ordered = places[np.argsort(-cosines[places], kind="stable")]
        found = [(self._texts[place], float(cosines[place])) for place in ordered]
        yield from [(text, cosine) for text, cosine in found if text is not None][:most]

    def _tidy(self) -> None:
        kept = [place for place, text in enumerate(self._texts) if text is not None]
        vectors = self._index.vectors[kept].copy()
        self._texts = [self._texts[place] for place in kept]
        self._places = {text: place for place, text in enumerate(self._texts) if text is not None}
        self._index = DenseIndex(self._index.dimensions)
        self._index.extend(vectors)
