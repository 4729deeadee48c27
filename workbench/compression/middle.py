"""Dropping the middle: what was said first and what was said last stays, word for word.

Models use the beginning and the end of a long context best ("Lost in the Middle", Liu et al. 2023, arXiv 2307.03172).
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import most_that_fits
from workbench.compression.units import protected, units
from workbench.interfaces import Message


class MiddleCompressor(BaseCompressor):
    """Keeps system messages and the last turn, then as many of the latest messages as fit, then the earliest.

    One contiguous piece in the middle goes. Whatever is kept is unchanged, so an unchanged beginning keeps its KV.
    Counts the conversation O(log n) times.
    """

    name = "middle"

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:  # noqa: ARG002 - the query does not matter to this strategy
        fixed, free = protected(messages), units(messages)

        def pick(first: int, last: int) -> list[int]:
            """The fixed messages, the ``first`` units from the start and the ``last`` from the end."""
            chosen = free[:first] + free[len(free) - last :]
            return sorted(fixed.union(*chosen))

        def fits(first: int, last: int) -> bool:
            return self.counter([messages[place] for place in pick(first, last)]) <= budget_tokens

        last = most_that_fits(len(free), lambda count: fits(0, count))
        first = most_that_fits(len(free) - last, lambda count: fits(count, last))
        return [Kept(place, messages[place]) for place in pick(first, last)]
