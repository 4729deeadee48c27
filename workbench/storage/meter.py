"""How often a piece of work asks a database, and for how long: counted where it is asked, read where it is wanted."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Reads and transactions so far, and the time they took, waiting for the connection included."""

    queries: int = 0
    elapsed_ms: float = 0.0


_METER: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("meter", default=None)


@contextmanager
def metering() -> Iterator[Meter]:
    """Count what this thread (or task) asks of any database inside the block. An inner block counts for the outer."""
    meter, outer = Meter(), _METER.get()
    token = _METER.set(meter)
    try:
        yield meter
    finally:
        _METER.reset(token)
        if outer is not None:
            outer.queries += meter.queries
            outer.elapsed_ms += meter.elapsed_ms


@contextmanager
def metered() -> Iterator[None]:
    """A read or a transaction."""
    meter = _METER.get()
    if meter is None:
        yield
        return
    started = time.perf_counter()
    try:
        yield
    finally:
        meter.queries += 1
        meter.elapsed_ms += 1e3 * (time.perf_counter() - started)
