"""Dropping the middle: what was said first and what was said last stays, word for word.

Models use the beginning and the end of a long context best ("Lost in the Middle", Liu et al. 2023, arXiv 2307.03172).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from workbench.compression.units import protected, units
from workbench.errors import ContextOverflow
from workbench.interfaces import Compression, Engine, Message

CountTokens = Callable[[Sequence[Message]], int]


class MiddleCompressor:
    """Keeps system messages and the last turn, then as many of the latest messages as fit, then the earliest.

    One contiguous piece in the middle goes. Whatever is kept is unchanged, so an unchanged beginning keeps its KV.
    Counts the conversation O(log n) times. Implements :class:`workbench.interfaces.Compressor`.

    Args:
        count_tokens: tokens a conversation takes, or an engine that counts them. More messages must not take fewer.
    """

    def __init__(self, count_tokens: CountTokens | Engine) -> None:
        self._count: CountTokens = count_tokens if callable(count_tokens) else count_tokens.count_tokens

    def fits(self, messages: Sequence[Message], budget_tokens: int) -> bool:
        """Whether ``messages`` need no compression."""
        return not messages or self._count(messages) <= budget_tokens

    def compress(self, messages: Sequence[Message], budget_tokens: int, query: str | None = None) -> Compression:  # noqa: ARG002 - the query does not matter to this strategy
        """At most ``budget_tokens``; unchanged if they fit already.

        Raises:
            ContextOverflow: system messages and the last turn alone are longer than the budget.
        """
        started = time.perf_counter()
        before = self._count(messages) if messages else 0
        kept, after = list(range(len(messages))), before
        if before > budget_tokens:
            kept, after = self._choose(messages, budget_tokens)
        return Compression(
            messages=tuple(messages[place] for place in kept),
            tokens_before=before,
            tokens_after=after,
            kept_prefix=next((at for at, place in enumerate(kept) if at != place), len(kept)),
            elapsed_ms=1e3 * (time.perf_counter() - started),
        )

    def _choose(self, messages: Sequence[Message], budget_tokens: int) -> tuple[list[int], int]:
        """Indices to keep, and the tokens they take."""
        fixed, free = protected(messages), units(messages)

        def pick(first: int, last: int) -> list[int]:
            """The fixed messages, the ``first`` units from the start and the ``last`` from the end."""
            chosen = free[:first] + free[len(free) - last :]
            return sorted(fixed.union(*chosen))

        def tokens(first: int, last: int) -> int:
            return self._count([messages[place] for place in pick(first, last)])

        need = tokens(0, 0)
        if need > budget_tokens:
            raise ContextOverflow(need, budget_tokens, "Shorten the system messages or the last one, or raise n_ctx.")
        last = _most(len(free), lambda count: tokens(0, count) <= budget_tokens)
        first = _most(len(free) - last, lambda count: tokens(count, last) <= budget_tokens)
        return pick(first, last), tokens(first, last)


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest count up to ``limit`` that fits, given that 0 does and that more never fit where fewer do not.

    Doubles before it halves: what does not fit is tried once or twice only, however long the conversation.
    """
    low, high = 0, 1
    while high <= limit and fits(high):
        low, high = high, 2 * high
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
