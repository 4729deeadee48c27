"""Circuit breaker (Nygard, *Release It!*): a server that fails is left alone for a while, then tried with one request.

Why not pybreaker: its ``call`` judges a coroutine function by whether it *returned a coroutine*, so every request is a
success; its asynchronous variant needs Tornado; and while half open it admits whoever comes, not one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from workbench.errors import InvalidSettings

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a breaker opens and how long it stays so.

    Attributes:
        failures: so many in a row open it; with more requests under way, as many as those: where a server answers
            slowly and fails quickly, the failures among very many requests all come before the first success.
        open_s: seconds it then stays open; doubled by every trial that fails.
        open_max_s: but never longer than this.
    """

    failures: int = 5
    open_s: float = 5.0
    open_max_s: float = 60.0

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.open_s <= self.open_max_s:
            raise InvalidSettings("A breaker needs failures ≥ 1 and 0 < open_s ≤ open_max_s.")


@dataclass(frozen=True, slots=True)
class Passage:
    """What a request was let through with.

    Attributes:
        trial: its fate decides over a breaker that is half open.
        opened: how often the breaker had opened before.
    """

    trial: bool
    opened: int


class Breaker:
    """The breaker of one server. Not thread-safe: it lives on the client's event loop.

    Args:
        settings: when it opens.
        clock: seconds, monotonic.
    """

    def __init__(self, settings: BreakerSettings | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings or BreakerSettings()
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._open_s = self.settings.open_s
        self._trying = False
        self._opened = 0

    @property
    def state(self) -> State:
        """Closed: all pass. Open: none. Half open: one passes, and its fate decides."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half_open"

    @property
    def opens_in_s(self) -> float:
        """Seconds until a request may pass again."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    @property
    def admits(self) -> bool:
        """Whether a request may pass now."""
        return self.state == "closed" or (self.state == "half_open" and not self._trying)

    def begin(self) -> Passage:
        """A request passes. The trial owes a verdict (:meth:`forget` if there is none)."""
        trial = self.state == "half_open"
        self._trying = self._trying or trial
        return Passage(trial, self._opened)

    def succeeded(self) -> None:
        """The server answered as it should: close."""
        self._failures, self._open_until, self._trying = 0, None, False
        self._open_s = self.settings.open_s

    def failed(self, passage: Passage, under_way: int = 0) -> None:
        """The server did not. Failures of requests that were under way when it opened count no more.

        Args:
            passage: of the request.
            under_way: other requests whose fate is open.
        """
        if passage.opened != self._opened:
            return
        if self._open_until is not None:  # the trial failed
            self._open_s = min(2 * self._open_s, self.settings.open_max_s)
        self._failures += 1
        if self._open_until is not None or self._failures >= max(self.settings.failures, under_way):
            self._open_until = self._clock() + self._open_s
            self._opened += 1
            self._trying = False

    def forget(self, passage: Passage) -> None:
        """A request has ended. After a trial without a verdict (cancelled, or itself at fault) the next one tries."""
        if passage.trial and passage.opened == self._opened:
            self._trying = False
