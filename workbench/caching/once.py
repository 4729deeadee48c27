"""One computation per key, however many ask for it at once. Knows keys and results, not what is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from workbench.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Computation(Generic[T]):
    """A value on its way and the thread that makes it."""

    thread: int
    result: Future[T] = field(default_factory=Future)


@dataclass(slots=True)
class _Desk(Generic[T]):
    """Where those meet who ask for the same key; gone with the last of them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    askers: int = 0
    running: _Computation[T] | None = None


class Once(Generic[T]):
    """Whoever asks first computes, in its own thread and without a lock; the others wait for its result.

    Threads: any. Other keys wait neither for a computation nor for a look-up.
    """

    def __init__(self) -> None:
        self._desks: dict[Hashable, _Desk[T]] = {}
        self._lock = threading.Lock()

    def value(self, key: Hashable, look_up: Callable[[], T | None], compute: Callable[[], T]) -> T:
        """What ``look_up`` finds, else what ``compute`` gives; it has to be kept by ``compute`` itself.

        Raises:
            UsageError: ``compute`` asks for the very key it computes, and would wait for itself.
            Exception: what ``compute`` raised, to all who wait.
        """
        with self._desk(key) as desk:
            with desk.lock:  # the look-up too: between a miss and the computation, another may have finished
                found = look_up()
                if found is not None:
                    return found
                running = desk.running
                mine = desk.running = running or _Computation(threading.get_ident())
            if running is None:
                return self._compute(desk, compute, mine.result)
        if running.thread == threading.get_ident():
            raise UsageError(f"The computation of {key!r} asks for {key!r} itself. Compute it without the cache.")
        return running.result.result()

    @contextmanager
    def _desk(self, key: Hashable) -> Iterator[_Desk[T]]:
        with self._lock:
            desk = self._desks.setdefault(key, _Desk())
            desk.askers += 1
        try:
            yield desk
        finally:
            with self._lock:
                desk.askers -= 1
                if not desk.askers:
                    del self._desks[key]

    def _compute(self, desk: _Desk[T], compute: Callable[[], T], result: Future[T]) -> T:
        try:
            value = compute()
        except BaseException as error:  # an interrupt too: those who wait must not wait for ever
            with desk.lock:
                desk.running = None
            result.set_exception(error)
            raise
        with desk.lock:
            desk.running = None
        result.set_result(value)
        return value
