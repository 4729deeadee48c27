"""The stages of a turn up to the engine: recall, compression, reads, the prompt; and what the engine says it took.

Changes nothing but the conversation's context; the turn itself is the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.conversation.context import UNKNOWN_CONTEXT, Budget, Context, Tokens
from workbench.conversation.log import View
from workbench.conversation.prompt import assemble, choose, note_of, takes_notes
from workbench.conversation.stream import Draft
from workbench.conversation.turn import Ended, Turn
from workbench.interfaces import Cache, Completion, Message, Recollection, Stream
from workbench.storage.meter import metering
from workbench.telemetry import Trace, span

if TYPE_CHECKING:
    from workbench.conversation.session import Session


class Turning:
    """Carries a session's turns through their stages.

    Args:
        session: whose parts are used.
        caches: response caches.
        opening: messages the conversation opens with.

    Attributes:
        context: what the model is shown of the conversation.
    """

    def __init__(self, session: Session, caches: Sequence[Cache], opening: tuple[Message, ...]) -> None:
        self._memory, self._tools, self._settings = session.memory, session.tools, session.settings
        self._name, self._plain, self._past = session.name, session.engine, session._past
        self._engine = session.engine if not caches else _cached(session.engine, caches, session.name)
        self._tokens = Tokens(session.engine)
        self.context = Context(opening, self._tokens, session.compressor)
        self._takes_notes: bool | None = None

    def restore(self, turns: Sequence[Turn], view: View | None) -> None:
        """Take up a conversation as it is now."""
        self.context.restore(turns, view, self._n_ctx())

    def begin(self, draft: Draft) -> tuple[Stream, Callable[[str], str] | None]:
        """Everything up to the engine's stream; and how the tools' writes are run."""
        self.context.begin()
        budget = Budget.of(self._n_ctx(), self._settings, draft.options.get("max_tokens"))
        found = [] if draft.route.fast else self._recall(draft)
        draft.compression = self._fit(draft, budget)
        draft.recalled = self._chosen(draft, found, budget)
        reads = [] if draft.route.fast else self._read(draft)
        self._fit_all(draft, reads, budget)
        draft.trace.count("recalled", len(draft.recalled))
        draft.engine_ms = draft.trace.now_ms()
        return self._engine.stream(draft.prompt, **draft.options), self._writer(draft)

    def finished(self, draft: Draft, ended: Ended, completion: Completion | None, *, serial: int) -> Turn:
        """A draft as a turn."""
        if completion is not None and not _from_cache(completion):
            self._tokens.learn(draft.prompt, completion.timings.prompt_tokens)
        return Turn(
            number=draft.number,
            asked=draft.asked,
            text=draft.text,
            confirmation=draft.confirmation,
            ended=ended,
            at=draft.at,
            options=_json_only(draft.options),
            completion=completion,
            recalled=draft.recalled,
            compression=draft.compression,
            calls=() if self._tools is None or draft.route.fast else tuple(self._tools.calls_of(draft.number)),
            route=str(draft.route),
            trace=draft.trace,
            kept=bool(draft.text) or ended in ("stop", "length"),
            serial=serial,
        )

    # -- stages -------------------------------------------------------------------------------------------------------

    def _recall(self, draft: Draft) -> list[Recollection]:
        if self._memory is None:
            return []
        shown = min(len(self.context.messages), self._settings.recall_k)  # what is shown anyway takes places
        with span("recall"):
            found = self._memory.recall(
                draft.asked.content,
                session=self._name,
                k=self._settings.recall_k + shown,
                include_relationships=self._settings.relationships,
            )
        return [one for one in found if one.index is None or one.at not in self._past.taken_back]

    def _fit(self, draft: Draft, budget: Budget, extra: Sequence[Message] = ()) -> Any:
        with span("compress"):
            return self.context.fit(draft.asked, budget, len(self._past.turns), extra=extra)

    def _chosen(self, draft: Draft, found: Sequence[Recollection], budget: Budget) -> tuple[Recollection, ...]:
        if not found:
            return ()
        before = self.context.messages
        rest = (*before, draft.asked)
        if draft.compression is not None:
            self._tokens.exactly(rest)  # nothing of the new prompt is known yet
        left = budget.room - self._tokens.at_most((*rest, Message.system("")))
        allowed = min(left, int(self._settings.recall_share * budget.room))
        shown = {(message.role, message.content) for message in before}
        return tuple(choose(found, shown, allowed, self._settings.recall_k, self._tokens.about))

    def _read(self, draft: Draft) -> list[Message]:
        if self._tools is None:
            return []
        messages = self._assembled(draft, ())
        return list(self._tools.before(self._plain, messages, turn=draft.number, options=draft.options))

    def _fit_all(self, draft: Draft, reads: Sequence[Message], budget: Budget) -> None:
        """The prompt, within the context: what was recalled goes first, then more of the past."""
        draft.prompt = self._assembled(draft, reads)
        if self._tokens.within(draft.prompt, budget.room):
            return
        while draft.recalled and not self._tokens.within(draft.prompt, budget.room):
            least = min(draft.recalled, key=lambda one: (one.index is None, one.score))
            draft.recalled = tuple(one for one in draft.recalled if one is not least)
            draft.prompt = self._assembled(draft, reads)
        if not self._tokens.within(draft.prompt, budget.hard):
            draft.compression = self._fit(draft, budget, extra=reads) or draft.compression
            draft.prompt = self._assembled(draft, reads)

    def _assembled(self, draft: Draft, reads: Sequence[Message]) -> tuple[Message, ...]:
        note = note_of(draft.recalled)
        if not note and not reads:
            return (*self.context.messages, draft.asked)
        if self._takes_notes is None:
            self._takes_notes = takes_notes(self._plain)
        return assemble(self.context.messages, note, reads, draft.asked, as_messages=self._takes_notes)

    def _writer(self, draft: Draft) -> Callable[[str], str] | None:
        tools = self._tools
        if tools is None or not tools.writes or draft.route.fast:
            return None
        return lambda text: tools.after(self._plain, draft.prompt, text, turn=draft.number, options=draft.options)

    def _n_ctx(self) -> int:
        """Tokens to plan for; never more than the engine has."""
        known = self._plain.settings.n_ctx
        wanted = self._settings.n_ctx
        return min(known, wanted) if known and wanted else known or wanted or UNKNOWN_CONTEXT


@contextmanager
def metered(trace: Trace) -> Iterator[None]:
    """Count what the block asks of databases into the trace."""
    with metering() as meter:
        try:
            yield
        finally:
            trace.count("db_queries", meter.queries)
            trace.count("db_ms", meter.elapsed_ms)


def place_engine_spans(draft: Draft, completion: Completion | None) -> None:
    """The engine's own times as stages of the turn; what broke off has none, and is all decode."""
    trace, began = draft.trace, draft.engine_ms
    if completion is None:
        if draft.prompt:
            trace.place("decode", began, trace.now_ms() - began)
        return
    timings = completion.timings
    if not _from_cache(completion):
        trace.place("queue", began, timings.queue_ms)
        trace.place("prefill", began + timings.queue_ms, timings.prefill_ms)
        trace.place("decode", began + timings.queue_ms + timings.prefill_ms, timings.decode_ms)
    for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
        trace.count(name, getattr(timings, name))


def _from_cache(completion: Completion) -> bool:
    return completion.receipt is not None and completion.receipt.tier.startswith("response-")


def _cached(engine: Any, caches: Sequence[Cache], scope: str) -> Any:
    from workbench.caching.cached_engine import CachedEngine

    return CachedEngine(engine, caches, scope=scope)


def _json_only(options: Any) -> dict[str, Any]:
    """The options that can be written down as they are."""
    return {name: value for name, value in options.items() if isinstance(value, str | int | float | bool | None)}
