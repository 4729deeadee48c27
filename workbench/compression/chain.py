"""Several strategies one after the other: "a summary, then truncate".

Coarse first, fine last, as LongLLMLingua orders it (Jiang et al. 2023, arXiv 2310.06839). Knows no strategy: a step is
any :class:`workbench.interfaces.Compressor`, given or found by its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import CountTokens
from workbench.errors import ContextOverflow, EngineError, InvalidSettings, WorkbenchError
from workbench.interfaces import Compression, Compressor, Engine, Message
from workbench.registry import compressors

Step = str | Compressor | Mapping[str, Any]
"""A compressor, the name of one, or its options: ``{"name": "extractive", "share": 0.5, …}``."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stage:
    compressor: Compressor
    share: float
    title: str


class ChainCompressor(BaseCompressor):
    """Runs its steps in order until the conversation fits.

    Each step aims at the budget, or, with a ``share``, at that part of what is still too much; what it leaves is the
    next step's. A strategy that shortens only some of a conversation (``prompt``: system messages, ``summary``: all but
    the recent messages) leaves the rest alone here, whereas alone it would go on to drop messages. A step whose engine
    fails or that cannot do anything is logged and the next goes on; the last one's error is raised.

    >>> ChainCompressor(engine, "summary", "truncate")  # doctest: +SKIP
    >>> ChainCompressor(engine, steps=["prompt", {"name": "random", "share": 0.5}, "truncate"])  # doctest: +SKIP

    Args:
        count_tokens: as for :class:`BaseCompressor`; steps that are named are made with it too.
        *steps: compressors, names, or mappings with a ``name``, an optional ``share`` in (0, 1] and the strategy's own
            options. A compressor that is given should count as the chain does.
        steps: the same as a list, for specifications.

    Raises:
        InvalidSettings: no steps, or both kinds; a share out of its range; a step that is nothing of the three.
        UnknownName: a name nobody has registered.
    """

    name = "chain"

    def __init__(
        self, count_tokens: CountTokens | Engine, *args: Step, steps: Iterable[Step] = ("summary", "truncate")
    ) -> None:
        super().__init__(count_tokens)
        given = list(args or ([steps] if isinstance(steps, str) else steps))
        if not given:
            raise InvalidSettings("A chain needs at least one step, such as steps=['summary', 'truncate'].")
        self.stages = tuple(_stage(step, count_tokens) for step in given)

    def attempt(self, messages: Sequence[Message], budget_tokens: int, query: str | None = None) -> list[Kept]:
        """As far as the steps come: a chain within a chain leaves the rest to the next step."""
        return self._run(messages, budget_tokens, query)[0]

    def _check(self, messages: Sequence[Message], budget_tokens: int) -> None:
        """Not before the steps have run: one of them may shorten system messages."""

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:
        kept, error = self._run(messages, budget_tokens, query)
        if self.counter([one.message for one in kept]) <= budget_tokens:
            return kept
        super()._check([one.message for one in kept], budget_tokens)
        if error is not None:
            raise error
        now = [one.message for one in kept]
        finished = self.stages[-1].compressor.compress(now, budget_tokens, query)  # it may go all the way now
        return [_placed(one, kept) for one in _aligned(now, finished)]

    def _run(
        self, messages: Sequence[Message], budget_tokens: int, query: str | None
    ) -> tuple[list[Kept], WorkbenchError | None]:
        """What the steps made, and the error of the last, if it had one."""
        kept, error = [Kept(place, message) for place, message in enumerate(messages)], None
        for stage in self.stages:
            now = [one.message for one in kept]
            tokens = self.counter(now)
            if tokens <= budget_tokens:
                return kept, None
            error = None
            try:
                made = _made(stage.compressor, now, tokens - int(stage.share * (tokens - budget_tokens)), query)
            except (ContextOverflow, EngineError) as caught:
                error = caught
                _LOG.warning("The step %r of a chain was passed over: %s", stage.title, caught)
                continue
            if self.counter([one.message for one in made]) < tokens:
                kept = [_placed(one, kept) for one in made]
        return kept, error


def _stage(step: Step, count_tokens: CountTokens | Engine) -> _Stage:
    if isinstance(step, str):
        return _Stage(compressors.create(step, count_tokens), 1.0, step)
    if isinstance(step, Mapping):
        options = dict(step)
        name, share = options.pop("name", None), options.pop("share", 1.0)
        if not isinstance(name, str):
            raise InvalidSettings(f"A step of a chain needs a name, such as {{'name': 'truncate'}}; got {step!r}.")
        if not isinstance(share, int | float) or not 0 < share <= 1:
            raise InvalidSettings(f"share of the step {name!r} must be above 0 and at most 1, not {share!r}.")
        return _Stage(compressors.create(name, count_tokens, **options), float(share), name)
    if isinstance(step, Compressor):
        return _Stage(step, 1.0, getattr(step, "name", type(step).__name__))
    raise InvalidSettings(f"A step of a chain is a compressor, its name or a mapping with a name; got {step!r}.")


def _made(compressor: Compressor, messages: Sequence[Message], budget_tokens: int, query: str | None) -> Sequence[Kept]:
    if isinstance(compressor, BaseCompressor):
        return compressor.attempt(messages, budget_tokens, query)
    return _aligned(messages, compressor.compress(messages, budget_tokens, query))


def _placed(one: Kept, before: Sequence[Kept]) -> Kept:
    """Where it was in the conversation before the step before."""
    return Kept(None if one.place is None else before[one.place].place, one.message)


def _aligned(given: Sequence[Message], compression: Compression) -> list[Kept]:
    """Which message each one was, by the report of a compressor that tells no more than what went and what changed."""
    gone, changed = set(compression.dropped), set(compression.changed)
    rest = [place for place in range(len(given)) if place not in gone]
    extra, at, found = len(compression.messages) - len(rest), 0, []
    for message in compression.messages:
        place = rest[at] if at < len(rest) else None
        same = place is not None and (given[place] == message or (place in changed and _may_be(given[place], message)))
        if place is not None and (same or extra <= 0):
            found.append(Kept(place, message))
            at += 1
        else:
            found.append(Kept(None, message))
            extra -= 1
    return found


def _may_be(old: Message, new: Message) -> bool:
    return (old.role, old.name, old.tool_call_id) == (new.role, new.name, new.tool_call_id)
