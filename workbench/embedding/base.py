"""What embedding models share: prefixes, batches of like length, unit length, a fingerprint, loading on first use.

Knows texts and vectors, never which library computes them: that is a :class:`Runner`'s, one for each library.
"""

from __future__ import annotations

import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Sized
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from workbench.errors import InvalidSettings, UsageError
from workbench.interfaces import FloatArray

_ALGORITHM = 1  # part of every fingerprint: raise it whenever the same model gives the same text another vector
_SHORT = 32  # tokens; below, a further batch costs more than the padding it saves
_AT_ONCE = 2048  # texts prepared at a time, which bounds the memory a request takes


class Runner(Protocol):
    """A loaded model. Threads: any."""

    def prepared(self, texts: Sequence[str]) -> list[Any]:
        """What the model reads of each text, cut to the tokens that count."""
        ...

    def forward(self, batch: Sequence[Any]) -> FloatArray:
        """Vectors of what :meth:`prepared` gave: (len(batch), dimensions), of any length."""
        ...

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones included, nothing cut."""
        ...

    def close(self) -> None:
        """Free the model. Idempotent."""
        ...


class ModelEmbedder(ABC):
    """An embedding model. Threads: any. Implements :class:`workbench.interfaces.Embedder`.

    Nothing is loaded before the first text. Batches are made of texts of like length, so that little is padded.

    Args:
        name: for people.
        dimensions: length of the vectors.
        max_tokens: tokens that count, special ones included.
        batch_size: texts computed at once, at most.
        query_prefix: put before a query.
        passage_prefix: put before a passage.

    Raises:
        InvalidSettings: a value out of its range.
    """

    def __init__(
        self,
        *,
        name: str,
        dimensions: int,
        max_tokens: int | None,
        batch_size: int,
        query_prefix: str = "",
        passage_prefix: str = "",
    ) -> None:
        if batch_size < 1 or (max_tokens is not None and max_tokens < 3):
            raise InvalidSettings(
                "batch_size must be at least 1 and max_tokens at least 3, room for one token between the two that "
                f"mark a text's ends; got {batch_size} and {max_tokens}."
            )
        self.name, self.dimensions, self.max_tokens = name, dimensions, max_tokens
        self.batch_size, self.query_prefix, self.passage_prefix = batch_size, query_prefix, passage_prefix
        self._closed = False
        self._runner: Runner | None = None
        self._opening = threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the weights and of every setting that changes a vector; the batch size is none of those."""
        facts = {
            **self._facts(),
            "algorithm": _ALGORITHM,
            "max_tokens": self.max_tokens,
            "query": self.query_prefix,
            "passage": self.passage_prefix,
        }
        told = json.dumps(facts, sort_keys=True).encode()
        return f"{type(self).__name__}-{hashlib.blake2b(told, digest_size=16).hexdigest()}"

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages: (len(texts), dimensions) float32, L2 norm 1."""
        return self._vectors([self.passage_prefix + text for text in texts])

    def embed_query(self, text: str) -> FloatArray:
        """Vector of a query: (dimensions,) float32."""
        query: FloatArray = self._vectors([self.query_prefix + text])[0]
        return query

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are longer than ``max_tokens``, as passages."""
        limit = self.max_tokens
        if limit is None or not texts:
            return [False] * len(texts)
        return [count > limit for count in self.load().counts([clean(self.passage_prefix + text) for text in texts])]

    def load(self) -> Runner:
        """Load the model now rather than with the first text.

        Raises:
            UsageError: the embedder is closed.
        """
        with self._opening:
            if self._closed:
                raise UsageError(f"The embedder {self.name!r} is closed. Make a new one.")
            if self._runner is None:
                self._runner = self._open()
            return self._runner

    def close(self) -> None:
        """Free the model. Idempotent."""
        with self._opening:
            self._closed = True
            if self._runner is not None:
                self._runner.close()
                self._runner = None

    def _vectors(self, texts: Sequence[str]) -> FloatArray:
        vectors: FloatArray = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), _AT_ONCE):
            runner = self.load()
            prepared = runner.prepared([clean(text) for text in texts[start : start + _AT_ONCE]])
            for places in self._batches(prepared):
                rows = runner.forward([prepared[place] for place in places])
                vectors[[start + place for place in places]] = unit(rows)
        return vectors

    def _batches(self, prepared: Sequence[Sized]) -> Iterator[list[int]]:
        """Places in ``prepared``, longest first: if the longest batch finds no memory, none was computed in vain.

        A batch is padded to its longest text, so one that is less than half as long begins another batch.
        """
        batch: list[int] = []
        for place in sorted(range(len(prepared)), key=lambda place: -len(prepared[place])):
            size, longest = len(prepared[place]), len(prepared[batch[0]]) if batch else 0
            if len(batch) == self.batch_size or (longest > _SHORT and 2 * size < longest):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    @abstractmethod
    def _facts(self) -> Mapping[str, Any]:
        """What, besides the settings of this class, decides about a vector; JSON values."""

    @abstractmethod
    def _open(self) -> Runner:
        """Load the model."""


def clean(text: str) -> str:
    """A text that UTF-8 can hold: a lone surrogate becomes U+FFFD, the replacement character."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def unit(rows: FloatArray) -> FloatArray:
    """(n, dimensions) with every row at L2 norm 1; a row of zeros gets a direction of its own."""
    rows = np.array(rows, np.float32)
    rows[~rows.any(axis=1), 0] = 1.0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows
