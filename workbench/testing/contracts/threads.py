"""Running the same thing in several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
DEADLINE_S = 60.0


def at_once(count: int, work: Callable[[int], T]) -> list[T]:
    """Call ``work(0)`` … ``work(count - 1)`` in as many threads, started together; results in order.

    Raises:
        whatever the first failing one raised; TimeoutError when one hangs.
    """
    gate = threading.Barrier(count)

    def start(number: int) -> T:
        gate.wait(DEADLINE_S)
        return work(number)

    pool = ThreadPoolExecutor(count)
    try:
        futures = [pool.submit(start, number) for number in range(count)]
        return [future.result(DEADLINE_S) for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
