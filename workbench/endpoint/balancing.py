"""The servers an engine may ask, which of them is asked next, and whether each of them is well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import httpx

from workbench.endpoint.bodies import ERROR_BYTES, read_some
from workbench.endpoint.breaker import Breaker, BreakerSettings, Passage, State
from workbench.endpoint.providers import PROVIDERS, Provider
from workbench.endpoint.secrets import Bearer, Key

HEALTH_TTL_S = 15.0
HEALTH_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHealth:
    """How one server is.

    Attributes:
        url: its address.
        healthy: what the last look said; ``None``: nobody has looked.
        breaker: state of its circuit breaker.
        running: requests under way there.
        resting_s: seconds until it wants to be asked again (``Retry-After``).
    """

    url: str
    healthy: bool | None
    breaker: State
    running: int
    resting_s: float


class Instance:
    """One server. All engines of a process share it; its state lives on the client's loop.

    Attributes:
        running: requests under way.
        served: requests begun so far; of two equally busy the less used is taken.
        healthy: what the last look, or the last request, said.
    """

    def __init__(self, url: str, provider: Provider, key: Key, breaker: BreakerSettings) -> None:
        self.url, self.provider, self.key = url, provider, key
        self.base = httpx.URL(url)
        self.chat = httpx.URL(f"{url}/chat/completions")
        self.completions = httpx.URL(f"{url}/completions")
        self.root = url.removesuffix("/v1")
        self.auth = Bearer(key)
        self.breaker = Breaker(breaker)
        self.running = self.served = 0
        self.healthy: bool | None = None
        self._looked_at = -float("inf")
        self._looking: asyncio.Task[None] | None = None
        self._rests_until = -float("inf")

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two of them the same. A provider of one's own may have a known one's name, and other ways."""
        known = PROVIDERS.get(self.provider.name) is self.provider
        return (
            self.url,
            self.provider.name if known else repr(self.provider),
            self.key.variable or "",
            repr(self.breaker.settings),
        )

    @property
    def resting_s(self) -> float:
        """Seconds until it wants to be asked again."""
        return max(0.0, self._rests_until - time.monotonic())

    def rest(self, seconds: float) -> None:
        """Leave it alone for a while, as it asked."""
        self._rests_until = max(self._rests_until, time.monotonic() + seconds)

    def answered(self) -> None:
        """A request went well: no need to look."""
        self.healthy, self._looked_at = True, time.monotonic()
        self.breaker.succeeded()

    def failed(self, passage: Passage) -> None:
        """A request did not."""
        self.breaker.failed(passage, self.running - 1)

    def is_stale(self) -> bool:
        """Whether nobody knows how it is."""
        return time.monotonic() - self._looked_at > HEALTH_TTL_S

    def look_aside(self, http: httpx.AsyncClient) -> None:
        """Find out in the background, once at a time."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self.look(http))

    async def look(self, http: httpx.AsyncClient) -> None:
        """Find out: any answer below 500 means that somebody is there."""
        health = self.provider.health
        url = f"{self.root}{health}" if health else f"{self.url}/models"
        try:
            async with (
                asyncio.timeout(HEALTH_TIMEOUT_S),
                http.stream("GET", url, auth=self.auth, timeout=HEALTH_TIMEOUT_S) as answer,
            ):
                await read_some(answer, ERROR_BYTES)  # so that the connection can be used again
                self.healthy = answer.status_code < 500
        except (httpx.HTTPError, TimeoutError):
            self.healthy = False
        self._looked_at = time.monotonic()

    def report(self) -> InstanceHealth:
        """How it is."""
        return InstanceHealth(
            url=self.url,
            healthy=self.healthy,
            breaker=self.breaker.state,
            running=self.running,
            resting_s=self.resting_s,
        )


def usable(instances: Sequence[Instance]) -> list[Instance]:
    """Those whose breaker admits a request."""
    return [one for one in instances if one.breaker.admits]


def choose(instances: Sequence[Instance], tried: Collection[Instance] = ()) -> Instance | None:
    """The least loaded of those that admit a request now and do not rest; untried and healthy ones first."""
    free = [one for one in usable(instances) if one.resting_s <= 0]
    if not free:
        return None
    return min(free, key=lambda one: (one in tried, one.healthy is False, one.running, one.served))


def refresh(instances: Sequence[Instance], http: httpx.AsyncClient) -> None:
    """Look, in the background, after those of several that nobody has heard of lately."""
    if len(instances) > 1:
        for one in instances:
            if one.is_stale():
                one.look_aside(http)
