"""Answers under the exact key they were kept with, the least recently used going first."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from workbench.errors import InvalidSettings, UsageError
from workbench.interfaces import CacheStats


@dataclass(frozen=True, slots=True)
class _Entry:
    value: str
    size_bytes: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Computation:
    """A value on its way and the thread that makes it."""

    thread: int
    result: Future[str] = field(default_factory=Future)


class ExactCache:
    """A byte-bounded LRU cache in memory, with an age limit. Implements :class:`workbench.interfaces.Cache`.

    Args:
        max_bytes: UTF-8 bytes of keys and values together.
        ttl_s: seconds an entry lives after it was put; ``None``: for ever.
        clock: seconds, never running backwards.

    Raises:
        InvalidSettings: a limit is not above 0.
    """

    def __init__(
        self, max_bytes: int = 64 * 2**20, ttl_s: float | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_bytes < 1 or (ttl_s is not None and not ttl_s > 0):
            raise InvalidSettings(f"max_bytes and ttl_s must be above 0, not {max_bytes!r} and {ttl_s!r}.")
        self.max_bytes, self.ttl_s = max_bytes, ttl_s
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # least recently used first
        self._bytes = self._hits = self._misses = 0
        self._computing: dict[str, _Computation] = {}
        self._lock = threading.Lock()

    @property
    def stats(self) -> CacheStats:
        """Counters so far. Expired entries count as held until they are looked up or pushed out."""
        with self._lock:
            return CacheStats(hits=self._hits, misses=self._misses, entries=len(self._entries), bytes=self._bytes)

    def get(self, key: str) -> str | None:
        """The value, or ``None``: a miss."""
        with self._lock:
            return self._look_up(key)

    def put(self, key: str, value: str) -> None:
        """Keep a value; the least recently used go when the budget is spent."""
        with self._lock:
            self._keep(key, value)

    def get_or_compute(self, key: str, compute: Callable[[], str]) -> str:
        """The value, computed and kept if missing.

        ``compute`` runs in the thread that asked first, without the lock; the others wait for its result.

        Raises:
            UsageError: ``compute`` asks for the very key it computes, and would wait for itself.
        """
        with self._lock:
            value = self._look_up(key)
            if value is not None:
                return value
            running = self._computing.get(key)
            mine = running or _Computation(threading.get_ident())
            self._computing[key] = mine
        if running is None:
            return self._compute(key, compute, mine.result)
        if running.thread == threading.get_ident():
            raise UsageError(f"The computation of {key!r} asks for {key!r} itself. Compute it without the cache.")
        return running.result.result()

    def clear(self) -> None:
        """Drop every entry; the counters stay."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def close(self) -> None:
        """Drop every entry. Idempotent."""
        self.clear()

    def _compute(self, key: str, compute: Callable[[], str], result: Future[str]) -> str:
        try:
            value = compute()
        except BaseException as error:  # an interrupt too: those who wait must not wait for ever
            with self._lock:
                del self._computing[key]
            result.set_exception(error)
            raise
        with self._lock:
            self._keep(key, value)
            del self._computing[key]
        result.set_result(value)
        return value

    def _look_up(self, key: str) -> str | None:
        entry = self._entries.get(key)
        if entry is not None and self._clock() >= entry.expires_at:
            self._drop(key)
            entry = None
        if entry is None:
            self._misses += 1
            return None
        self._hits += 1
        self._entries.move_to_end(key)
        return entry.value

    def _keep(self, key: str, value: str) -> None:
        size = _bytes(key) + _bytes(value)
        if key in self._entries:
            self._drop(key)
        if size > self.max_bytes:
            return
        lives_s = float("inf") if self.ttl_s is None else self.ttl_s
        self._entries[key] = _Entry(value, size, self._clock() + lives_s)
        self._bytes += size
        while self._bytes > self.max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        self._bytes -= self._entries.pop(key).size_bytes


def _bytes(text: str) -> int:
    """UTF-8 length; a lone surrogate, which UTF-8 cannot hold, counts as it would be escaped."""
    return max(1, len(text.encode("utf-8", "surrogatepass")))
