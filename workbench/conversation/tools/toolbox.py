"""The tools of a conversation, and the order in which a turn uses them.

Reads first: rules decide some without any model, one constrained request plans all others, and they run side by side.
Then the answer streams. Only then one request plans all writes, which run one after the other, so that no write ever
delays the first word. Results of reads are kept for two turns, until a write makes them stale.

Knows engines through their Protocol; never sessions, memories or what the tools are about.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.compression.middle import MiddleCompressor
from workbench.conversation.tools.calls import Call, Running, StateCache, Wanted, make
from workbench.conversation.tools.definition import Tool
from workbench.conversation.tools.notes import FORMS, Form, confirmation, result_messages, with_task
from workbench.conversation.tools.planning import FORM, READS_TASK, WRITES_TASK, Plan, ask
from workbench.errors import ContextOverflow, InvalidSettings
from workbench.interfaces import Engine, Message, Stream
from workbench.telemetry import count, span

KEPT_TURNS = 1000
"""Turns whose calls :meth:`Toolbox.calls_of` remembers."""


class Toolbox:
    """Tools for one conversation. :meth:`before` and :meth:`after`: one turn at a time; the rest: any thread.

    >>> toolbox = Toolbox(weather, add_memories)
    >>> notes = toolbox.before(engine, messages, turn=0, options={})
    >>> answer = engine.complete([*messages[:-1], *notes, messages[-1]]).text
    >>> toolbox.after(engine, [*messages[:-1], *notes, messages[-1]], answer, turn=0, options={})
    'Saved 2 memories.'

    Args:
        tools: made with :func:`~workbench.conversation.tools.tool`.
        cache_turns: how many turns after its own a read's result is served.
        max_calls: calls of one turn at most, reads and writes together; one of them is kept for the writes.
        timeout_s: for each call; ``None``: no limit. A write that takes longer is given up and those after it are not
            made, because their order would no longer hold.
        result_tokens: of all results in the prompt together.
        plan_tokens: of one plan.
        form: how results stand in the prompt: "auto", "user", "exchange" or "tool"
            (:func:`workbench.conversation.tools.notes.result_messages`).

    Raises:
        InvalidSettings: two tools of one name, a write that makes unknown reads stale, a number out of its range.
    """

    def __init__(
        self,
        *tools: Tool,
        cache_turns: int = 2,
        max_calls: int = 6,
        timeout_s: float | None = 10.0,
        result_tokens: int = 512,
        plan_tokens: int = 384,
        form: Form = "auto",
    ) -> None:
        _check(tools, cache_turns=cache_turns, max_calls=max_calls, form=form)
        self.reads = tuple(one for one in tools if one.kind == "read")
        self.writes = tuple(one for one in tools if one.kind == "write")
        self._planned = tuple(one for one in self.reads if one.rule is None)
        self._max_calls, self._timeout_s = max_calls, timeout_s
        self._result_tokens, self._plan_tokens, self._form = result_tokens, plan_tokens, form
        self._cache = StateCache(cache_turns)
        self._late: Running | None = None
        self._failed: tuple[Call, ...] = ()
        self._calls: OrderedDict[int, list[Call]] = OrderedDict()
        self._cancelled: int | None = None
        self._planning: Stream | None = None
        self._lock = threading.Lock()

    @property
    def guide(self) -> str:
        """The tools as a model is told of them.

        Put it into the system message and its KV is computed once; otherwise each plan's request brings its half along.
        """
        return _listed((*self._planned, *self.writes))

    def before(
        self, engine: Engine, messages: Sequence[Message], *, turn: int, options: Mapping[str, Any]
    ) -> list[Message]:
        """Plan and make the reads of a turn.

        Args:
            engine: plans them; not asked if rules decide all.
            messages: the conversation, the user's new message last.
            turn: its number. A turn made again has the same number.
            options: of the turn's request.

        Returns:
            Messages to put right before the last one, in this turn only: late, so that all before keeps its KV.
        """
        with self._lock:
            self._calls.pop(turn, None)
            self._cancelled = None
        if not self.reads:
            return []
        with span("tools", phase="reads"):
            wanted, calls = list(self._due(messages[-1].content if messages else "")), []
            room = self._max_calls - bool(self.writes)
            if self._planned and len(wanted) < room:
                task, most = READS_TASK, room - len(wanted)
                plan = self._plan(engine, messages, self._planned, task, most=most, turn=turn, options=options)
                wanted += plan.wanted
                calls = _unread(plan, "read")
            if self._stopped(turn):
                return []
            calls += self._read(_distinct(wanted)[:room], turn)
            self._note(turn, calls)
            return result_messages(engine, calls, turn=turn, budget_tokens=self._result_tokens, form=self._form)

    def after(
        self,
        engine: Engine,
        messages: Sequence[Message],
        narrative: str,
        *,
        turn: int,
        options: Mapping[str, Any],
    ) -> str:
        """Plan and make the writes of a turn.

        Args:
            engine: plans them.
            messages: what the answer was an answer to, as the engine got it (the messages of :meth:`before` included):
                its KV is still there.
            narrative: the answer, already streamed; empty: nothing happened, nothing is written.
            turn: its number.
            options: of the turn's request.

        Returns:
            One sentence on what was saved and what was not, made without a model; empty: nothing to say.
        """
        if not self.writes or not narrative.strip():
            return ""
        with span("tools", phase="writes"):
            self._forget_writes(turn)
            spoken = [*messages, Message.assistant(narrative)]
            room = max(1, self._max_calls - sum(not call.cached for call in self.calls_of(turn)))
            plan = self._plan(engine, spoken, self.writes, self._task(), most=room, turn=turn, options=options)
            calls = [*_unread(plan, "write"), *self._write(plan.wanted, turn)]
            self._failed = tuple(call for call in calls if call.error)
            self._note(turn, calls)
            return confirmation(calls)

    def cancel(self, turn: int) -> None:
        """Stop working for this turn: a plan under way is broken off, no further call begins. Any thread; idempotent.

        A call that has begun is waited for, at most ``timeout_s``: a function cannot be stopped.
        """
        with self._lock:
            self._cancelled, planning = turn, self._planning
        if planning is not None:
            planning.cancel()

    def calls_of(self, turn: int) -> tuple[Call, ...]:
        """The calls of a turn in their order, kept results included."""
        with self._lock:
            return tuple(self._calls.get(turn, ()))

    def invalidate(self, *names: str) -> None:
        """Forget kept results of these reads, or of all: what they tell of was changed by somebody else."""
        self._cache.invalidate(names or None)

    def _due(self, text: str) -> Iterator[Wanted]:
        """The calls that rules find in the user's text."""
        for one in self.reads:
            for arguments in one.rule(text) if one.rule is not None else ():
                yield Wanted(one, one.name, arguments)

    def _plan(
        self,
        engine: Engine,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        task: str,
        *,
        most: int,
        turn: int,
        options: Mapping[str, Any],
    ) -> Plan:
        if self._stopped(turn):
            return Plan([], "", 0)
        told = any(message.role == "system" and self.guide in message.content for message in messages)
        parts = [task, *([] if told else [_listed(tools)]), FORM]
        try:
            asked = self._fitting(engine, with_task(messages, "\n".join(parts)))
        except ContextOverflow as error:  # the answer itself may still fit
            return Plan([], str(error), 0)

        def begun(stream: Stream) -> None:
            with self._lock:
                self._planning = stream
            if self._stopped(turn):  # since the look above
                stream.cancel()

        try:
            plan = ask(engine, asked, tools, most=most, max_tokens=self._plan_tokens, options=options, begun=begun)
        finally:
            self._planning = None
        count("plan_requests", plan.requests)
        return plan

    def _fitting(self, engine: Engine, messages: list[Message]) -> Sequence[Message]:
        """The conversation without its middle, if it and a plan do not fit the context."""
        n_ctx = engine.settings.n_ctx or engine.stats.n_ctx
        if n_ctx is None:
            return messages
        return MiddleCompressor(engine).compress(messages, max(1, n_ctx - self._plan_tokens)).messages

    def _task(self) -> str:
        """The task of writing, with what went wrong with it in the turn before."""
        if not self._failed:
            return WRITES_TASK
        failed = "; ".join(f"{call.asked}: {call.error}" for call in self._failed)
        return f"Not saved last time: {failed}\n{WRITES_TASK}"

    def _read(self, wanted: Sequence[Wanted], turn: int) -> list[Call]:
        """Reads side by side; what is kept is not read again. While a write is still running, nothing is kept."""
        settled = self._late is None or not self._late.alive
        kept = [self._cache.get(one, turn) if settled else None for one in wanted]
        begun = [None if call is not None else Running(one) for one, call in zip(wanted, kept, strict=True)]
        calls = []
        for one, call, running in zip(wanted, kept, begun, strict=True):
            made = call if running is None else running.wait(self._timeout_s)
            assert made is not None  # noqa: S101 - either kept or running
            if settled and running is not None:
                self._cache.put(one, turn, made)
            calls.append(made)
        return calls

    def _write(self, wanted: Sequence[Wanted], turn: int) -> list[Call]:
        """Writes one after the other; each makes what it changes stale, even if it fails half-way."""
        calls: list[Call] = []
        for one in wanted:
            if self._stopped(turn):
                break
            if self._late is not None and self._late.alive:
                why = "not made: a write before it has not come back"
                calls.append(make(one._replace(error=one.error or why)))
                continue
            running = Running(one)
            calls.append(running.wait(self._timeout_s))
            self._late = running if running.alive else None
            if one.tool is not None:
                self._cache.invalidate(one.tool.invalidates)
        return calls

    def _stopped(self, turn: int) -> bool:
        return self._cancelled == turn

    def _forget_writes(self, turn: int) -> None:
        """Those of an earlier try at the same turn: a turn writes once."""
        with self._lock:
            self._calls[turn] = [call for call in self._calls.get(turn, ()) if call.kind == "read"]

    def _note(self, turn: int, calls: Sequence[Call]) -> None:
        made = sum(not call.cached for call in calls)
        if made:
            count("tool_calls", made)
        if made < len(calls):
            count("tool_cached", len(calls) - made)
        with self._lock:
            self._calls.setdefault(turn, []).extend(calls)
            while len(self._calls) > KEPT_TURNS:
                self._calls.popitem(last=False)


def _listed(tools: Sequence[Tool]) -> str:
    return "\n".join(["Tools:", *(f"- {one.signature}: {one.description}" for one in tools)])


def _distinct(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Without those that are asked for twice."""
    kept: list[Wanted] = []
    for one in wanted:
        if not any(one.name == other.name and one.arguments == other.arguments for other in kept):
            kept.append(one)
    return kept


def _unread(plan: Plan, kind: str) -> list[Call]:
    """A plan that could not be read, as the call it failed to become."""
    return [Call("(plan)", error=plan.error, kind=kind)] if plan.error else []


def _check(tools: Sequence[Tool], *, cache_turns: int, max_calls: int, form: str) -> None:
    if strangers := [one for one in tools if not isinstance(one, Tool)]:
        raise InvalidSettings(f"{strangers[0]!r} is no tool. Make it one: tool(function, reads=True) or writes=True.")
    names = [one.name for one in tools]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidSettings(f"Two tools are called {twice[0]!r}. Rename one: tool(function, name=…).")
    reads = [one.name for one in tools if one.kind == "read"]
    for one in tools:
        if unknown := sorted(set(one.invalidates or ()) - set(reads)):
            raise InvalidSettings(
                f"Tool {one.name!r} makes unknown reads stale: {', '.join(unknown)}. Known: {', '.join(reads)}."
            )
    if cache_turns < 0 or max_calls < 2:
        raise InvalidSettings(f"cache_turns must be 0 or more and max_calls 2 or more, not {cache_turns}, {max_calls}.")
    if form not in FORMS:
        raise InvalidSettings(f"form must be one of {', '.join(FORMS)}, not {form!r}.")
