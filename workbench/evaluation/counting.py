"""An embedder that counts what it is asked to embed, so that a scorecard can tell what a memory really computed.

Put below a cache, it sees only what the cache did not have.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from workbench.interfaces import Embedder
from workbench.interfaces.generation import FloatArray


class CountingEmbedder:
    """Another embedder, counted. Implements :class:`workbench.interfaces.Embedder`. Threads: any.

    Args:
        embedder: does the work; closed with this one.

    Attributes:
        passages: texts embedded so far.
        queries: queries embedded so far.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.inner = embedder
        self.name, self.dimensions, self.max_tokens = embedder.name, embedder.dimensions, embedder.max_tokens
        self.passages = self.queries = 0
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """The other embedder's: counting changes no vector."""
        return self.inner.fingerprint

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages."""
        with self._lock:
            self.passages += len(texts)
        return self.inner.embed(texts)

    def embed_query(self, text: str) -> FloatArray:
        """Vector of a query."""
        with self._lock:
            self.queries += 1
        return self.inner.embed_query(text)

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are too long."""
        return self.inner.truncated(texts)

    def close(self) -> None:
        """Free the model."""
        self.inner.close()
