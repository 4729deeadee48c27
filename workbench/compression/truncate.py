"""Cutting every long message to the same length: all that was said is begun, nothing is told to its end.

Knows no sentence and no meaning; what stays is the words given, and a mark where some are gone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import CountTokens, most_that_fits
from workbench.compression.units import protected, units
from workbench.errors import InvalidSettings
from workbench.interfaces import Engine, Message

MARK = "\u2026"
_KEEPS = ("start", "end", "both")
_STEPS = 8  # trials of the limit a token: some messages reach their next word sooner than others
_LONGEST_WORD = 24  # what has no space for so long is cut anywhere


class TruncateCompressor(BaseCompressor):
    """One limit for all messages that may be touched, as high as the budget allows; shorter ones are unchanged.

    What is left of the budget goes to the newest of those cut, a word each. Tool calls and their answers stay word for
    word. If cutting to ``least_tokens`` is not enough, the oldest go altogether. Counts O(log n) conversations, once
    more for each tool call too long to stay at all, and each message once in the compressor's lifetime.

    Args:
        count_tokens: as for :class:`BaseCompressor`.
        keep: the part of a message that stays: its "start", its "end", or half of each ("both").
        least_tokens: to how many tokens of text a message may be cut before any goes altogether.

    Raises:
        InvalidSettings: an unknown ``keep``, or ``least_tokens`` below 1.
    """

    name = "truncate"

    def __init__(
        self,
        count_tokens: CountTokens | Engine,
        *,
        keep: Literal["start", "end", "both"] = "start",
        least_tokens: int = 4,
    ) -> None:
        if keep not in _KEEPS:
            raise InvalidSettings(f"keep must be one of {', '.join(_KEEPS)}, not {keep!r}.")
        if least_tokens < 1:
            raise InvalidSettings(f"least_tokens must be at least 1, not {least_tokens}.")
        super().__init__(count_tokens)
        self.keep, self.least_tokens = keep, least_tokens

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:  # noqa: ARG002 - the query does not matter to this strategy
        fixed = protected(messages)

        def made(free: Collection[tuple[int, ...]], limit: Callable[[int], float]) -> list[Kept]:
            places = sorted(fixed.union(*free))
            single = {unit[0] for unit in free if len(unit) == 1}
            return [
                Kept(place, self._cut(messages[place], limit(place)) if place in single else messages[place])
                for place in places
            ]

        def fits(free: Collection[tuple[int, ...]], limit: Callable[[int], float]) -> bool:
            return self.counter([one.message for one in made(free, limit)]) <= budget_tokens

        free = self._staying(messages, lambda units: fits(units, lambda _: self.least_tokens))
        single = [unit[0] for unit in free if len(unit) == 1]
        longest = max((self.counter.cost(messages[place]) for place in single), default=0)
        steps = most_that_fits(_STEPS * longest, lambda steps: fits(free, lambda _: self._limit(steps)), _STEPS)
        low, high = self._limit(steps), self._limit(steps + 1)

        def limit_with(newest: int) -> Callable[[int], float]:
            lucky = set(single[len(single) - newest :])
            return lambda place: high if place in lucky else low

        newest = most_that_fits(len(single), lambda count: fits(free, limit_with(count)))
        return made(free, limit_with(newest))

    def _limit(self, steps: int) -> float:
        return max(float(self.least_tokens), steps / _STEPS)

    def _staying(
        self, messages: Sequence[Message], fits: Callable[[Sequence[tuple[int, ...]]], bool]
    ) -> list[tuple[int, ...]]:
        """The newest units that fit when each is cut as far as it goes; what cannot fit alone is out anyway."""
        able, count = units(messages), 1
        while True:
            count = most_that_fits(len(able), lambda newest: fits(able[len(able) - newest :]), count)
            first = len(able) - count
            if first == 0 or len(able[first - 1]) == 1 or fits([able[first - 1]]):
                return able[first:]
            del able[first - 1]

    def _cut(self, message: Message, limit: float) -> Message:
        """The message with about ``limit`` tokens of its text."""
        text = message.content
        if message.tool_calls or message.tool_call_id is not None:  # they stay as they are
            return message
        tokens = self.counter.cost(message) - self.counter.cost(dataclasses.replace(message, content=""))
        if tokens <= limit:
            return message
        shorter = _part(text, int(len(text) * max(0.0, limit - 1) / tokens), self.keep)
        return message if len(shorter) >= len(text) else dataclasses.replace(message, content=shorter)


def _part(text: str, length: int, keep: str) -> str:
    """About ``length`` characters of a text and the mark of the cut; words stay whole."""
    if keep == "both":
        return f"{_head(text, (length + 1) // 2)} {MARK} {_tail(text, length // 2)}".strip()
    return _head(text, length) + MARK if keep == "start" else MARK + _tail(text, length)


def _head(text: str, length: int) -> str:
    """At most ``length`` characters of the beginning, and no half of a word unless it is a very long one."""
    head = text[:length]
    if length < len(text) and not text[length].isspace():
        tail = head[-_LONGEST_WORD:]
        space = max((at for at, character in enumerate(tail) if character.isspace()), default=None)
        if space is not None:
            head = head[: len(head) - len(tail) + space]
        elif length <= _LONGEST_WORD:
            head = ""
    return head.rstrip()


def _tail(text: str, length: int) -> str:
    return _head(text[::-1], length)[::-1]
