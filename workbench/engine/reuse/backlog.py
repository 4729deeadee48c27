"""Work for one background thread, bounded by the memory that waits with it. Knows nothing about the work."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger("workbench.engine")


class Backlog(Generic[T]):
    """Items handled one after the other on a thread of its own, which starts with the first item.

    Threads: any. What waits when the process ends without :meth:`close` is lost: the thread does not keep it alive.

    Args:
        handle: called on the thread with each item; what it raises is logged, and the next item is handled.
        limit_bytes: most bytes that wait, the item in hand included; one item may always wait, however large.
        name: of the thread.
    """

    def __init__(self, handle: Callable[[T], None], limit_bytes: int, name: str) -> None:
        self._handle, self._limit_bytes, self._name = handle, limit_bytes, name
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._closing = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def add(self, item: T, size: int, *, wait: bool = False) -> bool:
        """Queue an item.

        Args:
            item: what to handle.
            size: bytes it keeps in memory until then.
            wait: wait for room instead of refusing.

        Returns:
            False: there is no room, or the backlog is closed; the item was not queued.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closing or self._fits(size))
            if self._closing or not self._fits(size):
                return False
            self._waiting.append((item, size))
            self._bytes += size
            self._start()
            self._changed.notify_all()
            return True

    def flush(self) -> None:
        """Return once everything queued so far, and meanwhile, has been handled."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._bytes)

    def close(self) -> None:
        """Handle what is queued, then end the thread. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _fits(self, size: int) -> bool:
        return not self._bytes or self._bytes + size <= self._limit_bytes

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            item, size = taken
            try:
                self._handle(item)
            except Exception:
                log.exception("%s: one item failed; the next follows", self._name)
            del item, taken  # the state must not stay in memory until the next one comes
            with self._changed:
                self._bytes -= size
                self._changed.notify_all()

    def _take(self) -> tuple[T, int] | None:
        """The next item, once there is one; ``None`` when the backlog is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.popleft() if self._waiting else None
