"""What all compressors share: the predicate, the refusal, the exact count and the report.

A strategy says which shorter conversation it would make; whether one is needed and what it came to is told here, once.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from typing import NamedTuple

from workbench.compression.budget import CountTokens, TokenCounter
from workbench.compression.units import protected
from workbench.errors import ContextOverflow
from workbench.interfaces import Compression, Engine, Message


class Kept(NamedTuple):
    """A message of the shorter conversation, and the index of the one it was; ``None``: it is new (a summary)."""

    place: int | None
    message: Message


class BaseCompressor(abc.ABC):
    """Implements :class:`workbench.interfaces.Compressor` in terms of :meth:`_shorten`.

    Args:
        count_tokens: tokens a conversation takes, or an engine that counts them. More messages must not take fewer.
    """

    name: str
    """Under which it is registered."""

    def __init__(self, count_tokens: CountTokens | Engine) -> None:
        self.counter = TokenCounter(count_tokens)

    @abc.abstractmethod
    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> Sequence[Kept]:
        """A conversation of at most ``budget_tokens``. Called only if it is needed and what is protected fits."""

    def attempt(self, messages: Sequence[Message], budget_tokens: int, query: str | None = None) -> Sequence[Kept]:
        """What this strategy does of its own kind; for :class:`workbench.compression.chain.ChainCompressor`.

        One that can only shorten some of a conversation overrides it and may stay above the budget: another goes on.

        Raises:
            ContextOverflow: what may not be broken is longer than the budget.
        """
        self._check(messages, budget_tokens)
        return self._shorten(messages, budget_tokens, query)

    def fits(self, messages: Sequence[Message], budget_tokens: int) -> bool:
        """Whether ``messages`` need no compression."""
        return self.counter(messages) <= budget_tokens

    def compress(self, messages: Sequence[Message], budget_tokens: int, query: str | None = None) -> Compression:
        """At most ``budget_tokens``; unchanged if they fit already.

        Args:
            messages: the conversation; left alone.
            budget_tokens: tokens it may take, by the counter's own count.
            query: what is to be answered; ``None``: nothing in particular.

        Raises:
            ContextOverflow: what may not be broken is longer than the budget.
        """
        started = time.perf_counter()
        before = self.counter(messages)
        if before <= budget_tokens:
            return _unchanged(messages, before, started)
        self._check(messages, budget_tokens)
        kept = self._shorten(messages, budget_tokens, query)
        return self._report(messages, kept, before, started)

    def _check(self, messages: Sequence[Message], budget_tokens: int) -> None:
        fixed = protected(messages)
        need = self.counter([message for place, message in enumerate(messages) if place in fixed])
        if need > budget_tokens:
            raise ContextOverflow(need, budget_tokens, "Shorten the system messages or the last one, or raise n_ctx.")

    def _report(self, given: Sequence[Message], kept: Sequence[Kept], before: int, started: float) -> Compression:
        shorter = tuple(one.message for one in kept)
        pairs = zip(given, shorter, strict=False)
        prefix = next((at for at, (old, new) in enumerate(pairs) if old != new), min(len(given), len(shorter)))
        there = {one.place: one.message for one in kept}
        return Compression(
            messages=shorter,
            tokens_before=before,
            tokens_after=self.counter(shorter),
            kept_prefix=prefix,
            invalidated_tokens=max(0, before - self.counter(given[:prefix])),
            dropped=tuple(place for place in range(len(given)) if place not in there),
            changed=tuple(place for place, old in enumerate(given) if there.get(place, old) != old),
            elapsed_ms=1e3 * (time.perf_counter() - started),
        )


def _unchanged(messages: Sequence[Message], tokens: int, started: float) -> Compression:
    return Compression(
        messages=tuple(messages),
        tokens_before=tokens,
        tokens_after=tokens,
        kept_prefix=len(messages),
        elapsed_ms=1e3 * (time.perf_counter() - started),
    )
