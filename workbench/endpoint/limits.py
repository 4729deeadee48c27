"""What one provider is asked at most: requests and tokens a minute, and how many at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from workbench.errors import InvalidSettings

_WINDOW_S = 6.0
"""A bucket of a tenth of a minute's rate: in no minute more than 1.1 × the rate passes. A bucket of a whole minute
would let twice the rate pass in the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one provider. ``None``: none.

    Attributes:
        concurrency: requests under way at once; ``None``: as many as the provider's pool has connections.
        requests_per_minute: requests sent a minute.
        tokens_per_minute: prompt tokens (as counted or estimated) plus ``max_tokens`` a minute.
    """

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        for name in ("concurrency", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidSettings(f"{name} must be above 0, or None for no limit; not {value!r}.")


class Gate:
    """Lets requests pass as fast as limits allow, first come first served. Lives on the client's event loop."""

    def __init__(self, limits: Limits, most: int) -> None:
        self._places = asyncio.Semaphore(min(limits.concurrency or most, most))
        self._requests = _bucket(limits.requests_per_minute)
        self._tokens = _bucket(limits.tokens_per_minute)
        self._order = asyncio.Lock()

    @property
    def counts(self) -> bool:
        """Whether there is a rate to keep; else :meth:`rate` need not be asked."""
        return self._requests is not None or self._tokens is not None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the places of requests that are under way at once."""
        async with self._places:
            yield

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The turn to ask for the rate: aiolimiter lets small amounts overtake, and large ones would have none."""
        async with self._order:
            yield

    async def rate(self, tokens: int) -> None:
        """Wait, in one's turn, until a request of that many tokens may be sent; each attempt asks anew."""
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            await _acquire(self._tokens, tokens)


def _bucket(per_minute: float | None) -> AsyncLimiter | None:
    if per_minute is None:
        return None
    size = max(1.0, per_minute * _WINDOW_S / 60)
    return AsyncLimiter(size, 60 * size / per_minute)


async def _acquire(bucket: AsyncLimiter, amount: float) -> None:
    """More than the bucket holds is taken in several helpings."""
    while amount > 0:
        helping = min(amount, bucket.max_rate)
        await bucket.acquire(helping)
        amount -= helping
