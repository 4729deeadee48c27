"""Whether a failed request is sent again, and when. stamina runs the attempts; here is only what it asks.

Full jitter after AWS's "Exponential Backoff And Jitter" (Brooker 2015): a uniform draw between 0 and the exponential
bound. ``Retry-After`` (RFC 9110, 10.2.3) goes before it. A budget (as in gRPC's retry throttling, A6) keeps retries
from multiplying the load of a server that is down.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from workbench.errors import EndpointError, EngineError, InvalidSettings

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed: timeouts, conflicts (a lock at the provider, as OpenAI uses 409),
overload and upstream failures. 529 is "overloaded" with several providers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how long apart.

    Attributes:
        attempts: of one request, the first included.
        base_s: bound of the first wait; doubled each time.
        max_s: bound of every wait.
        retry_after_max_s: a longer ``Retry-After`` is cut to this.
        budget: retries allowed per request sent, over all requests to a provider …
        budget_floor: … besides this many.
    """

    attempts: int = 5
    base_s: float = 0.25
    max_s: float = 8.0
    retry_after_max_s: float = 60.0
    budget: float = 0.25
    budget_floor: float = 20.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidSettings(f"attempts counts the first one too: at least 1, not {self.attempts}.")
        if min(self.base_s, self.max_s, self.retry_after_max_s, self.budget, self.budget_floor) < 0:
            raise InvalidSettings("A retry policy has no negative times or budgets.")

    def wait_s(self, attempt: int, retry_after: float | None, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the given attempt (from 1) failed.

        What the server asks for is a lower bound, so its jitter comes on top: else all who were told the same second
        would come at once.
        """
        jitter = draw() * min(self.max_s, self.base_s * 2.0 ** min(attempt - 1, 30))
        if retry_after is None:
            return jitter
        return min(retry_after + 0.1 * jitter, self.retry_after_max_s)


class RetryBudget:
    """Retries that may still be sent. Not thread-safe: it lives on the client's event loop."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._earn, self._most = policy.budget, policy.budget_floor
        self._left = policy.budget_floor

    def earn(self) -> None:
        """A request is sent for the first time."""
        self._left = min(self._left + self._earn, max(self._most, 1.0) * 10)

    def spend(self) -> bool:
        """Take one retry, if there is one."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Retryable(EngineError):
    """A failure before the first token, after which the request may be sent again.

    Attributes:
        error: what is raised if it is not.
        struck: it says something about the server's health (a 429 does not).
        final: waiting does not mend it in time; only another engine could help.
    """

    def __init__(self, error: EndpointError, *, struck: bool, final: bool = False) -> None:
        self.error, self.struck, self.final = error, struck, final
        super().__init__(str(error))


def parse_retry_after(value: str | None, *, now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait, from a ``Retry-After`` in seconds or as an HTTP date; ``None``: it says nothing usable."""
    if value is None:
        return None
    try:
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError):
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now())
