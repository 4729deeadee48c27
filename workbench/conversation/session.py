"""A conversation: engine, memory, compression, caches and tools as one, turn by turn.

A turn: route → recall → compress if due → reads → the engine's chunks as they come → writes → kept; remembering and
whatever else is to happen afterwards goes on in the background. Knows the Protocols only.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench.conversation.jobs import AfterTurn
from workbench.conversation.parts import Part, Parts
from workbench.conversation.past import Past
from workbench.conversation.routing import Router, decide
from workbench.conversation.saying import Saying, asked_of, opening_of
from workbench.conversation.settings import ConversationSettings
from workbench.conversation.stream import Draft, Tools, TurnStream
from workbench.conversation.turn import Ended, Turn
from workbench.conversation.turning import Turning, metered, place_engine_spans
from workbench.conversation.turns import Turns
from workbench.errors import InvalidSettings, UsageError
from workbench.interfaces import Cache, Chunk, Completion, Compressor, Engine, Memory, Message
from workbench.telemetry import Alert, Alerts, Trace, tracing

FORMAT = 1


class Session:
    """One conversation.

    Memory, compressor and caches are objects, registered names, or pairs (name, options); what is given by name is made
    for this session and closed with it, what is given as an object is its owner's: not closed here, nor flushed but by
    :meth:`flush`.

    An answer that breaks off, is cancelled or abandoned is kept as far as it came, its turn marked by ``ended``
    ("broken", "cancelled"), and the next turn goes on; before its first text it leaves the conversation as it was.

    Threads: any, but one turn at a time.

    Args:
        engine: whom to talk to; not closed with the session.
        system: a system message, or the messages the conversation opens with.
        memory: recalls what the prompt does not show any more; ``None``: nothing does.
        compressor: makes the past fit; ``None``: "middle".
        caches: response caches, asked in this order before the engine is.
        tools: a toolbox; its reads come before the answer, its writes after it.
        router: which turns need neither recall nor tools; ``None``: all of them may.
        settings: see there.
        folder: where conversations are kept, each in a folder of its own; ``None``: gone with the process.
        name: of the conversation, any text; also the session's name in the memory.
        after_turn: functions called with each turn in the background, in order, once the memory has it; after a crash
            or an error possibly again. A mapping gives them names, by which the log knows how far each has come.
        on_alert: called with each alert (``settings.alerts``), which goes to the log "workbench.alerts" anyway.

    Attributes:
        engine, memory, compressor, tools, router, settings, name: as given, or as made.
        alerts: what watches the turns; ``alerts.recent`` are the last ones. ``None``: nothing does.

    Raises:
        StoreInUse: the conversation is open elsewhere.
        StoreCorrupt: what is in its folder cannot be read.
        UnknownName: a memory, compressor or cache nobody knows.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        system: Saying | Sequence[Message | Mapping[str, Any]] | None = None,
        memory: Part[Memory] | None = None,
        compressor: Part[Compressor] | None = None,
        caches: Sequence[Part[Cache]] | str = (),
        tools: Tools | None = None,
        router: Router | None = None,
        settings: ConversationSettings | None = None,
        folder: Path | str | None = None,
        name: str = "default",
        after_turn: Mapping[str, AfterTurn] | Sequence[AfterTurn] = (),
        on_alert: Callable[[Alert], None] | None = None,
    ) -> None:
        self.settings = settings or ConversationSettings()
        self.engine, self.tools, self.router, self.name = engine, tools, router, name
        watched = self.settings.alerts
        self.alerts = None if watched is None else Alerts(watched, *([on_alert] if on_alert else []))
        self._past = Past(folder, name)
        self._parts = Parts(engine, self._past.place)
        self._lock = threading.RLock()
        self._draft: Draft | None = None
        self._closed = self._going_back = False
        try:
            self.memory = self._parts.memory(memory)
            self.compressor = self._parts.compressor(compressor)
            self._turning = Turning(self, self._parts.caches(caches), opening_of(system))
            self._past.open(self.memory, _named(after_turn), self.settings.backlog)
            self._turning.restore(self._past.turns, self._past.view)
        except BaseException:
            self._free()
            raise

    # -- talking ------------------------------------------------------------------------------------------------------

    def stream(self, message: Saying, **options: Any) -> TurnStream:
        """Say something; the answer chunk by chunk, the first as soon as the engine has it.

        Args:
            message: what the user says.
            options: as :meth:`workbench.interfaces.Engine.stream` takes them.

        Raises:
            UsageError: a turn is under way, or the session is closed.
            ContextOverflow: system message and this message alone do not fit.
        """
        asked = asked_of(message)
        trace = Trace("turn", session=self.name, model=self.engine.name)
        with tracing(trace), metered(trace):
            self._check_free()
            self._past.wait_for_room(trace)
            draft, stream = self._claim(asked, {**self.settings.options, **options}, trace)
            try:
                stream.start(*self._turning.begin(draft))
            except BaseException:
                self._drop(draft)
                raise
        return stream

    def send(self, message: Saying, **options: Any) -> Turn:
        """Say something and wait for the answer.

        Raises:
            StreamIncomplete: the engine went away; what it had said is kept. And as :meth:`stream`.
        """
        stream = self.stream(message, **options)
        for _ in stream:
            pass
        return stream.turn

    async def asend(self, message: Saying, **options: Any) -> Turn:
        """As :meth:`send`, without blocking the event loop. Cancelling the task ends the turn as it is."""
        stream = await asyncio.to_thread(self.stream, message, **options)
        async for _ in _read(stream):
            pass
        return stream.turn

    async def astream(self, message: Saying, **options: Any) -> AsyncIterator[Chunk]:
        """As :meth:`stream`, without blocking the event loop. Leaving early ends the turn as it is.

        A loop that is left with ``break`` leaves its iterator to the garbage collector, which is in no hurry. With
        ``async with contextlib.aclosing(session.astream(…)) as chunks:`` the turn has ended behind the block.
        """
        stream = await asyncio.to_thread(self.stream, message, **options)
        async with aclosing(_read(stream)) as chunks:
            async for chunk in chunks:
                yield chunk

    def cancel(self) -> None:
        """End the turn under way, if there is one, with what has come so far. Any thread.

        For a stream that is not at hand any more: its own ``cancel`` lets it be read to its end. While tools write, in
        another thread, the turn ends there, after the write that has begun: no two turns overlap.
        """
        with self._lock:
            self._cancel(at_once=False)

    def _cancel(self, *, at_once: bool) -> None:
        draft = self._draft
        if draft is None:
            return
        owner = draft.owner()
        if isinstance(owner, TurnStream):
            owner.cancel()
            if not owner.started or (owner.writing and not at_once):  # it ends in the thread that is at it
                return
        self._settle(draft, "cancelled", None)

    # -- what was said ------------------------------------------------------------------------------------------------

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that have ended, oldest first."""
        with self._lock:
            return tuple(self._now()[:])

    def __len__(self) -> int:
        """Turns that have ended."""
        with self._lock:
            return len(self._now())

    def history(self, start: int = 0, stop: int | None = None) -> tuple[Turn, ...]:
        """A page of the turns, as a slice takes it: ``history(-20)`` are the last twenty."""
        with self._lock:
            return tuple(self._now()[start:stop])

    @property
    def context(self) -> tuple[Message, ...]:
        """What the next prompt begins with: system message, the compressed past, the turns since."""
        with self._lock:
            self._now()
            return self._turning.context.messages

    # -- going back, and away -----------------------------------------------------------------------------------------

    def rewind(self, turns: int = 1, *, to: int | None = None) -> None:
        """Take the last turns back; what was said in them is not recalled any more, notes a memory made excepted.

        Args:
            turns: how many.
            to: how many to keep, in place of ``turns``.

        Raises:
            InvalidSettings: there are not so many.
            UsageError: a turn is under way.
        """
        with self._alone():
            present = len(self)
            keep = present - turns if to is None else to
            if not 0 <= keep <= present:
                raise InvalidSettings(f"There are {present} turns; {keep} cannot be kept. Give 0 to all of them.")
            self._past.put_off(keep)
            with self._lock:
                self._past.rewind(keep)
                self._turning.restore(self._past.turns, self._past.view)

    def forget(self) -> None:
        """Delete the conversation, what the memory has of it included. The session can go on.

        Raises:
            UsageError: a turn is under way.
        """
        with self._alone():
            self._past.put_off(0)
            with self._lock:
                self._past.forget()
                self._turning.restore([], None)

    def export(self) -> dict[str, Any]:
        """The conversation as JSON values."""
        return {
            "workbench_conversation": FORMAT,
            "name": self.name,
            "model": self.engine.name,
            "opening": [message.to_dict() for message in self._turning.context.opening],
            "turns": [
                {
                    "number": turn.number,
                    "user": turn.asked.to_dict(),
                    "text": turn.text,
                    "ended": turn.ended,
                    "at": turn.at,
                }
                for turn in self.turns
            ],
        }

    def flush(self) -> None:
        """Return when the background work is done and everything is on disk, the memory's part included.

        Raises:
            Exception: what a job raised; it will be tried again.
            StorageFull: there is no room for what had not been written.
        """
        self._past.flush()

    def close(self) -> None:
        """End the turn under way, finish the background work, free what was made here. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._cancel(at_once=True)
            self._closed = True
        self._free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Session({self.name!r}, {len(self._past.turns)} turns, {self.engine.name})"

    # -- a turn under way ---------------------------------------------------------------------------------------------

    def _claim(self, asked: Message, options: Mapping[str, Any], trace: Trace) -> tuple[Draft, TurnStream]:
        """From now on the turn is under way, as long as its stream lives."""
        with self._lock:
            self._check_free()
            turns = self._past.turns
            route = decide(self.router, asked.content, turns[-1].text if turns else "")
            number, at = len(turns) + 1, self._past.next_moment(time.time())
            trace.labels.update(turn=number, route=str(route))
            self._draft = Draft(number, asked, options, at, trace, route)
            stream = TurnStream(self._draft, self._settle, self.tools)
            self._draft.owner = weakref.ref(stream)
            return self._draft, stream

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No turn begins inside the block. The lock is free: a job that is waited for may look at the conversation."""
        with self._lock:
            self._check_free()
            self._going_back = True
        try:
            yield
        finally:
            self._going_back = False

    def _check_free(self) -> None:
        if self._closed:
            raise UsageError(f"The session {self.name!r} is closed. Open it again with Session(…, folder=…).")
        if self._going_back:
            raise UsageError("Turns of this session are being taken back. Wait for rewind() or forget() to return.")
        self._now()
        if self._draft is not None:
            raise UsageError(
                "A turn of this session is under way. Read its stream to the end, or cancel() the session."
            )

    def _now(self) -> Turns:
        """The turns that have ended; one whose stream was abandoned ends here."""
        with self._lock:
            if self._draft is not None and self._draft.owner() is None:
                self._settle(self._draft, "cancelled", None)
            return self._past.turns

    def _drop(self, draft: Draft) -> None:
        with self._lock:
            if self._draft is draft:
                self._draft = None
                self._turning.context.undo()
        draft.trace.end()

    def _settle(self, draft: Draft, ended: Ended, completion: Completion | None) -> None:
        """Make a draft a turn of the conversation, if it came to anything."""
        trace = draft.trace
        with self._lock, tracing(trace), metered(trace):
            if self._draft is not draft:
                return
            self._draft = None
            place_engine_spans(draft, completion)
            trace.labels["finish"] = ended
            turn = self._turning.finished(draft, ended, completion, serial=self._past.next_serial)
            draft.turn = turn
            if turn.kept:
                self._turning.context.add(turn)
                self._past.add(turn, self._turning.context.view)
            else:
                self._turning.context.undo()
                trace.end()
        if self.alerts is not None:  # last: whoever is told finds the turn where it belongs, and everything counted
            self.alerts(trace)

    def _free(self) -> None:
        try:
            self._past.close()
        finally:
            self._parts.close()


async def _read(stream: TurnStream) -> AsyncGenerator[Chunk, None]:
    """The chunks, each awaited in a thread. Leaving early ends the turn."""
    try:
        while (chunk := await asyncio.to_thread(next, stream, None)) is not None:
            yield chunk
    finally:
        if not stream.ended:
            stream.cancel()
            await asyncio.shield(asyncio.to_thread(_drain, stream))


def _drain(stream: TurnStream) -> None:
    for _ in stream:
        pass


def _named(functions: Mapping[str, AfterTurn] | Sequence[AfterTurn]) -> dict[str, AfterTurn]:
    if isinstance(functions, Mapping):
        return dict(functions)
    named = {getattr(one, "__qualname__", type(one).__qualname__): one for one in functions}
    if len(named) < len(functions):
        raise InvalidSettings("Two functions of after_turn have the same name. Give a mapping from name to function.")
    return named
