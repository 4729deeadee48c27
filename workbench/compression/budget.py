"""Counting what a conversation takes, and finding how much of it fits. Knows no strategy."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from workbench.interfaces import Engine, Message

CountTokens = Callable[[Sequence[Message]], int]

_USER = Message.user("Hello.")


class TokenCounter:
    """Tokens of conversations: exact for the whole, about right for one message more. Threads: any.

    Args:
        count_tokens: tokens a conversation takes, or an engine that counts them. More messages must not take fewer.
        remembered: messages whose cost is kept; the least recently asked for goes.
    """

    def __init__(self, count_tokens: CountTokens | Engine, *, remembered: int = 65_536) -> None:
        self._count: CountTokens = count_tokens if callable(count_tokens) else count_tokens.count_tokens
        self._remembered = remembered
        self._costs: OrderedDict[tuple[str | None, ...], int] = OrderedDict()
        self._bare: int | None = None
        self._lock = threading.Lock()

    def __call__(self, messages: Sequence[Message]) -> int:
        """Exactly; 0 for none."""
        return self._count(messages) if messages else 0

    def cost(self, message: Message) -> int:
        """Tokens one more such message adds, about: its neighbours may change it by a few. At least 1."""
        calls = json.dumps(message.tool_calls, sort_keys=True, default=str) if message.tool_calls else None
        key = (message.role, message.content, message.name, calls, message.tool_call_id)
        with self._lock:
            known = self._costs.get(key)
            if known is not None:
                self._costs.move_to_end(key)
                return known
        if self._bare is None:
            self._bare = self._count([_USER])
        found = max(1, self._count([_USER, message]) - self._bare)
        with self._lock:
            self._costs[key] = found
            while len(self._costs) > self._remembered:
                self._costs.popitem(last=False)
        return found


def most_that_fits(limit: int, fits: Callable[[int], bool], guess: int = 1) -> int:
    """The largest count up to ``limit`` that fits, given that 0 does and that more never fit where fewer do not.

    Starts at ``guess`` and doubles its steps before it halves them, so that a good guess costs two or three trials and
    what is far too long is never tried.
    """
    low, high = _bracket(limit, fits, min(max(1, guess), limit))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _bracket(limit: int, fits: Callable[[int], bool], guess: int) -> tuple[int, int]:
    """A count that fits and a larger one that does not; ``limit + 1`` never does."""
    if limit < 1:
        return 0, 1
    step = 1
    if fits(guess):
        low = guess
        while low < limit:
            trial = min(limit, low + step)
            if not fits(trial):
                return low, trial
            low, step = trial, 2 * step
        return limit, limit + 1
    high = guess
    while high > 1:
        trial = max(1, high - step)
        if fits(trial):
            return trial, high
        high, step = trial, 2 * step
    return 0, high


def most_within(limit: int, tokens_of: Callable[[int], int], budget: int, guess: int = 1) -> int:
    """The largest count up to ``limit`` whose tokens are within ``budget``, given that those of 0 are.

    As :func:`most_that_fits`, where each trial says how many tokens it came to: trials go where a straight line meets
    the budget (regula falsi), every third to the middle, so that thousands of small pieces take a handful of counts.
    """
    low, high = 0, limit + 1
    below, above = tokens_of(0), None
    first, trial, trials = below, guess, 0
    while high - low > 1:
        trial = min(max(trial, low + 1), high - 1)
        found, trials = tokens_of(trial), trials + 1
        if found <= budget:
            low, below = trial, found
        else:
            high, above = trial, found
        slope = (below - first) / low if above is None and low else ((above or found) - below) / (high - low)
        middle = above is not None and trials % 3 == 0
        trial = (low + high) // 2 if middle else low + int((budget - below) / max(slope, 1e-9))
    return low
