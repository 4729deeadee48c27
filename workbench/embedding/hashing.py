"""Feature hashing: vectors without a model, the baseline every embedding model has to beat.

The hashing trick of Weinberger et al. 2009 (arXiv 0902.2206): each feature adds its weight, with a sign drawn by its
hash, to the component its hash names. Features are words, and n-grams of the characters of words for what is inflected
or misspelt (fastText's subwords, Bojanowski et al. 2017, arXiv 1607.04606).
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workbench.errors import InvalidSettings
from workbench.interfaces import FloatArray

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_ALGORITHM = 1  # part of the fingerprint: raise it whenever the same text gets another vector


class HashingEmbedder:
    """Hashes words and their character n-grams. Deterministic; needs no model. Implements :class:`Embedder`.

    Args:
        dimensions: length of the vectors.
        ngrams: shortest and longest character n-gram.
        word_weight: what a whole word weighs against all of its n-grams together.

    Raises:
        InvalidSettings: a value out of its range.
    """

    name = "hashing"
    max_tokens: int | None = None

    def __init__(self, dimensions: int = 512, *, ngrams: tuple[int, int] = (3, 5), word_weight: float = 1.0) -> None:
        if dimensions < 1 or not 1 <= ngrams[0] <= ngrams[1] or word_weight < 0:
            raise InvalidSettings(
                "dimensions and n-gram lengths must be at least 1, the shorter n-gram first, and word_weight not below "
                f"0; got {dimensions}, {ngrams} and {word_weight}."
            )
        self.dimensions, self.ngrams, self.word_weight = dimensions, ngrams, word_weight

    @property
    def fingerprint(self) -> str:
        """Made of the algorithm's version and every setting."""
        return f"hashing-{_ALGORITHM}-{self.dimensions}-{self.ngrams[0]}-{self.ngrams[1]}-{self.word_weight!r}"

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of texts: (len(texts), dimensions) float32, L2 norm 1."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            self._fill(row, text)
        return vectors

    def embed_query(self, text: str) -> FloatArray:
        """Vector of a query: (dimensions,) float32; the same as of a passage."""
        vector: FloatArray = self.embed([text])[0]
        return vector

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Never: every text counts to its end."""
        return [False] * len(texts)

    def close(self) -> None:
        """Nothing to free."""

    def _fill(self, row: FloatArray, text: str) -> None:
        """Write the vector of ``text`` into ``row`` (dimensions,)."""
        for word, count in Counter(_WORD.findall(_normalised(text))).items():
            # sublinear term frequency (Manning et al. 2008, section 6.4.1): the tenth "the" says little
            places, weights = _features(word, self.dimensions, self.ngrams, self.word_weight)
            np.add.at(row, places, (1.0 + np.log(count)) * weights)
        length = float(np.linalg.norm(row))
        if length > 0:
            row /= length
        else:
            row[0] = 1.0  # a text without words still has a direction: all such texts share it


def _normalised(text: str) -> str:
    """Spellings that look alike made equal (NFKC), and upper case folded."""
    return unicodedata.normalize("NFKC", text).casefold()


@functools.lru_cache(maxsize=50_000)
def _features(
    word: str, dimensions: int, ngrams: tuple[int, int], word_weight: float
) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Where a word's features go and what they add there: (n,) indices and (n,) signed weights."""
    grams = _grams(word, ngrams)
    # 63 bits of the hash choose the component, the last one the sign
    codes = np.array([_hash(feature) for feature in (word, *grams)], np.uint64)
    weights = np.full(len(codes), max(1, len(grams)) ** -0.5, np.float32)
    weights[0] = word_weight
    signs = np.where(codes & np.uint64(1), np.float32(1), np.float32(-1))
    return ((codes >> np.uint64(1)) % np.uint64(dimensions)).astype(np.intp), weights * signs


def _grams(word: str, ngrams: tuple[int, int]) -> list[str]:
    """Character n-grams of a word, its borders marked so that a gram of a word's middle never equals a word."""
    marked = f"<{word}>"
    return [
        marked[start : start + size]
        for size in range(ngrams[0], ngrams[1] + 1)
        for start in range(len(marked) - size + 1)
    ]


def _hash(feature: str) -> int:
    # not hash(): Python's is salted anew in every process
    return int.from_bytes(hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
