"""What every cache here does with its store: one lock, counters, and going on when the disk does not.

Knows stores and errors, not how an entry is found.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from workbench.caching.entry import Row, Store
from workbench.caching.memory_store import MemoryStore
from workbench.caching.once import Once
from workbench.caching.sqlite_store import SqliteStore
from workbench.errors import InvalidSettings, NotSaved, StorageError, StorageFull, StoreCorrupt
from workbench.interfaces import CacheStats

T = TypeVar("T")

MAX_BYTES = 64 * 2**20

_OPEN: weakref.WeakSet[StoredCache] = weakref.WeakSet()  # each begins anew in a forked child
_OF_THE_PARENT: list[Store] = []  # in a child: held, because a connection that is dropped is closed


class StoredCache(ABC):
    """A store in memory or in a file, its lock and its counters.

    A full disk costs nothing but what would have been kept: a :class:`NotSaved` warning, once until there is room
    again. A file that turns out damaged while it is used is left alone, with the same warning; from then on entries are
    kept in memory.

    Args:
        path: the SQLite file; ``None``: in memory, gone when closed.
        max_bytes: UTF-8 bytes of keys and values together.
        ttl_s: seconds an entry lives after it was put; ``None``: for ever.
        clock: seconds; by default wall-clock time for a file, and a clock that is never set back in memory.
        max_entries: most entries; ``None``: as many as ``max_bytes`` holds.

    Raises:
        InvalidSettings: a limit is not above 0.
        StoreCorrupt: the file is damaged or something else; says what to do.
    """

    def __init__(
        self,
        path: Path | str | None,
        max_bytes: int,
        ttl_s: float | None,
        clock: Callable[[], float] | None,
        max_entries: int | None = None,
    ) -> None:
        if max_bytes < 1 or (ttl_s is not None and not ttl_s > 0):
            raise InvalidSettings(f"max_bytes and ttl_s must be above 0, not {max_bytes!r} and {ttl_s!r}.")
        self.path, self.max_bytes, self.ttl_s = None if path is None else Path(path), max_bytes, ttl_s
        self.max_entries, self._clock = max_entries, clock
        self._warned = False
        self._hits = self._misses = 0
        self._lock, self._once = threading.RLock(), Once[str]()
        self._store = self._opened()
        _OPEN.add(self)

    @property
    def stats(self) -> CacheStats:
        """Look-ups of this object; entries and bytes held now. Expired ones count until they are met."""
        with self._lock:
            entries, size = self._safely(self._store.size, (0, 0))
            return CacheStats(hits=self._hits, misses=self._misses, entries=entries, bytes=size)

    @abstractmethod
    def get(self, key: str) -> str | None:
        """The value, or ``None``: a miss."""

    @abstractmethod
    def put(self, key: str, value: str) -> None:
        """Keep a value."""

    def get_or_compute(self, key: str, compute: Callable[[], str]) -> str:
        """The value, computed and kept if missing; for those who ask with the same words at once it is computed once.

        ``compute`` runs in the thread that asked first, without the lock; the others wait for its result.

        Raises:
            UsageError: ``compute`` asks for the very key it computes, and would wait for itself.
        """

        def compute_and_keep() -> str:
            value = compute()
            self.put(key, value)
            return value

        return self._once.value(key, lambda: self.get(key), compute_and_keep)

    def clear(self) -> None:
        """Drop every entry; the counters stay."""
        with self._lock:
            self._safely(self._store.clear, None)

    def close(self) -> None:
        """Write the last uses and close the file; what is only in memory is gone. Idempotent."""
        with self._lock:
            self._safely(self._store.close, None)
            _OPEN.discard(self)

    def _counted(self, found: T | None) -> T | None:
        """The result of a look-up, counted."""
        if found is None:
            self._misses += 1
        else:
            self._hits += 1
        return found

    def _opened(self) -> Store:
        if self.path is not None:
            try:
                return SqliteStore(
                    self.path,
                    self.max_bytes,
                    self.ttl_s,
                    max_entries=self.max_entries,
                    clock=self._clock or time.time,
                )
            except StorageFull as error:
                self._warn(error)
        return self._in_memory()

    def _begin_anew(self) -> None:
        """In a forked child: locks nobody holds, and a connection of its own.

        The parent's is neither used nor closed here (https://sqlite.org/howtocorrupt.html, 2.6).
        """
        self._lock, self._once = threading.RLock(), Once[str]()
        if isinstance(self._store, SqliteStore):
            _OF_THE_PARENT.append(self._store)
            self._store = self._in_memory()
            self._store = self._safely(self._opened, self._store)

    def _in_memory(self) -> Store:
        clock = self._clock or time.monotonic
        return MemoryStore(self.max_bytes, self.ttl_s, max_entries=self.max_entries, clock=clock)

    def _put(self, row: Row) -> list[str]:
        """Keep an entry; keys of what is not kept (any more). After a success the next full disk is news again."""
        gone = self._safely(lambda: self._store.put(row), None)
        self._warned = self._warned and gone is None
        return [row.key] if gone is None else gone

    def _safely(self, action: Callable[[], T], otherwise: T) -> T:
        """Do something with the store; where the disk fails, say so once and go on."""
        try:
            result = action()
        except StorageError as error:
            self._warn(error)
            if isinstance(error, StoreCorrupt):  # what the file says can no longer be trusted
                damaged, self._store = self._store, self._in_memory()
                with contextlib.suppress(StorageError):
                    damaged.close()
            return otherwise
        return result

    def _warn(self, error: StorageError) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"Answers are not kept on disk: {error}", NotSaved, stacklevel=6)


def _begin_in_child() -> None:
    """Each cache that is open, in a child that was just forked."""
    for cache in list(_OPEN):
        cache._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
