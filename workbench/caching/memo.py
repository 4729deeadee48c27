"""Values that are asked for again and again: token counts for ever, states of things for a while.

Knows nothing of what is counted or asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from workbench.caching.once import Once
from workbench.errors import InvalidSettings
from workbench.interfaces import Message, Prompt
from workbench.interfaces.messages import as_prompt

T = TypeVar("T")


class CountingMemo:
    """An engine's ``count_tokens``, each prompt counted once. Threads: any. Bounded, the least recently used go first.

    Args:
        count_tokens: tokens of a prompt; must always say the same of the same.
        max_entries: prompts remembered.

    Attributes:
        hits: counts that were remembered.
        misses: counts that were made.

    Raises:
        InvalidSettings: no entries at all.
    """

    def __init__(self, count_tokens: Callable[[Prompt], int], *, max_entries: int = 4096) -> None:
        if max_entries < 1:
            raise InvalidSettings(f"max_entries must be at least 1, not {max_entries!r}.")
        self._count, self.max_entries = count_tokens, max_entries
        self._known: OrderedDict[Hashable, int] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._once: Once[int] = Once()
        self.hits = self.misses = 0

    def __call__(self, prompt: Prompt) -> int:
        """Tokens the prompt takes in the context."""
        frozen = as_prompt(prompt)
        key = _hashable(frozen)
        return self._once.value(key, lambda: self._look_up(key), lambda: self._count_and_keep(key, frozen))

    def clear(self) -> None:
        """Forget every count."""
        with self._lock:
            self._known.clear()

    def _look_up(self, key: Hashable) -> int | None:
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                self.hits += 1
            return known

    def _count_and_keep(self, key: Hashable, prompt: Prompt) -> int:
        counted = self._count(prompt)
        with self._lock:
            self.misses += 1
            self._known[key] = counted
            if len(self._known) > self.max_entries:
                self._known.popitem(last=False)
        return counted


class TtlValue(Generic[T]):
    """One value that is true for a while: a model's metadata, an endpoint's health. Threads: any.

    Computed when it is asked for and has expired, once however many ask; a failing computation raises for all of them
    and nothing is kept.

    Args:
        compute: gives the value.
        ttl_s: seconds it is good for.
        clock: seconds, never running backwards.

    Raises:
        InvalidSettings: ``ttl_s`` is not above 0.
    """

    def __init__(self, compute: Callable[[], T], ttl_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not ttl_s > 0:
            raise InvalidSettings(f"ttl_s must be above 0, not {ttl_s!r}.")
        self._compute, self.ttl_s, self._clock = compute, ttl_s, clock
        self._once: Once[tuple[T, float]] = Once()
        self._held: tuple[T, float] | None = None  # the value and when it expires

    def __call__(self) -> T:
        """The value, at most ``ttl_s`` old."""
        return self._once.value(None, self._fresh, self._renew)[0]

    def forget(self) -> None:
        """Compute it anew next time."""
        self._held = None

    def _fresh(self) -> tuple[T, float] | None:
        held = self._held
        return held if held is not None and self._clock() < held[1] else None

    def _renew(self) -> tuple[T, float]:
        value = self._compute()
        self._held = (value, self._clock() + self.ttl_s)
        return self._held


def _hashable(prompt: Prompt) -> Hashable:
    """A frozen prompt as a key; a text and the tokens of nothing are never taken for each other."""
    if isinstance(prompt, str):
        return prompt
    return tuple(_of_message(part) if isinstance(part, Message) else part for part in prompt)


def _of_message(message: Message) -> Hashable:
    calls = json.dumps(message.tool_calls, sort_keys=True, default=str) if message.tool_calls else ""
    return (message.role, message.content, message.name, calls, message.tool_call_id)
