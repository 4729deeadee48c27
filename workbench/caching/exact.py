"""Answers under the exact key they were kept with, the least recently used going first, in memory or in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workbench.caching.entry import Row
from workbench.caching.kept import MAX_BYTES, StoredCache


class ExactCache(StoredCache):
    """A byte-bounded LRU cache with an age limit. Implements :class:`workbench.interfaces.Cache`.

    With a ``path`` it survives a restart, and several processes may open the same file; ``ttl_s`` then counts
    wall-clock time. A full disk costs nothing but the persistence (a :class:`NotSaved` warning, once).

    Args:
        path: the SQLite file; ``None``: in memory.
        ttl_s: seconds an entry lives after it was put; ``None``: for ever.
        max_bytes: UTF-8 bytes of keys and values together.
        clock: seconds; for tests.

    Raises:
        InvalidSettings: a limit is not above 0.
        StoreCorrupt: the file is damaged or something else; says what to do.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        ttl_s: float | None = None,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(path, max_bytes, ttl_s, clock)

    def get(self, key: str) -> str | None:
        """The value, or ``None``: a miss."""
        with self._lock:
            return self._counted(self._safely(lambda: self._store.get(key), None))

    def put(self, key: str, value: str) -> None:
        """Keep a value; the least recently used go when the budget is spent."""
        with self._lock:
            self._put(Row(key, value))

    def hits_of(self, key: str) -> int:
        """How often an entry was found since it was put; with a file also before a restart and by other processes."""
        with self._lock:
            return self._safely(lambda: self._store.hits_of(key), 0)
