"""Entries in memory, the least recently used going first. Gone with the process. Not thread-safe."""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from workbench.caching.entry import Row, entry_bytes


@dataclass(slots=True)
class _Entry:
    row: Row
    size_bytes: int
    expires_at: float
    hits: int = 0


class MemoryStore:
    """Implements :class:`workbench.caching.entry.Store`.

    Args:
        max_bytes: of all entries together, counted by :func:`workbench.caching.entry.entry_bytes`.
        ttl_s: seconds an entry lives after it was put; ``None``: for ever.
        max_entries: most entries; ``None``: as many as ``max_bytes`` holds.
        clock: seconds, never running backwards.
    """

    def __init__(
        self,
        max_bytes: int,
        ttl_s: float | None = None,
        *,
        max_entries: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes, self._max_entries, self._clock = max_bytes, max_entries or sys.maxsize, clock
        self._lives_s = float("inf") if ttl_s is None else ttl_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._bytes = 0

    def get(self, key: str) -> str | None:
        """The value; an expired one is dropped."""
        entry = self._entries.get(key)
        if entry is not None and self._clock() >= entry.expires_at:
            self.drop(key)
            return None
        if entry is None:
            return None
        entry.hits += 1
        self._entries.move_to_end(key)
        return entry.row.value

    def put(self, row: Row) -> list[str]:
        """Keep an entry; keys of those that had to go."""
        self.drop(row.key)
        size = entry_bytes(row)
        if size > self._max_bytes:
            return [row.key]
        gone = []
        self._entries[row.key] = _Entry(row, size, self._clock() + self._lives_s)
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
            gone.append(next(iter(self._entries)))
            self.drop(gone[-1])
        return gone

    def drop(self, key: str) -> None:
        """Drop an entry, if it is there."""
        entry = self._entries.pop(key, None)
        self._bytes -= entry.size_bytes if entry else 0

    def hits_of(self, key: str) -> int:
        """How often an entry was found since it was put."""
        entry = self._entries.get(key)
        return entry.hits if entry else 0

    def size(self) -> tuple[int, int]:
        """Entries and bytes; expired entries count as held until they are looked up or pushed out."""
        return len(self._entries), self._bytes

    def since(self, mark: int) -> tuple[int, list[Row]]:
        """Entries put by others after ``mark``: there are none in memory."""
        return mark, []

    def clear(self) -> None:
        """Drop every entry."""
        self._entries.clear()
        self._bytes = 0

    def close(self) -> None:
        """Drop every entry. Idempotent."""
        self.clear()
