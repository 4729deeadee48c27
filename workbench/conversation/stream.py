"""The chunks of one turn: the engine's as they come, then what the tools' writes have to say.

Knows no memory and no log: whoever began the turn is told once how it ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.conversation.routing import Route
from workbench.conversation.turn import SEPARATOR, Ended, Turn
from workbench.errors import StreamIncomplete, UsageError
from workbench.interfaces import Chunk, Completion, Compression, Engine, FinishReason, Message, Recollection, Stream
from workbench.telemetry import Trace, tracing


class Tools(Protocol):
    """What a session asks of a toolbox.

    One that has ``cancel(turn)`` too is told when a turn is cancelled while it works for it.
    """

    @property
    def reads(self) -> Sequence[Any]:
        """Tools that only look."""
        ...

    @property
    def writes(self) -> Sequence[Any]:
        """Tools that change something."""
        ...

    def before(self, engine: Engine, messages: Any, *, turn: int, options: Any) -> list[Message]:
        """Plan and run the reads; messages for this turn's prompt."""
        ...

    def after(self, engine: Engine, messages: Any, narrative: str, *, turn: int, options: Any) -> str:
        """Plan and run the writes; a short confirmation, or nothing."""
        ...

    def calls_of(self, turn: int) -> Any:
        """The calls of a turn."""
        ...


@dataclass(slots=True, eq=False)
class Draft:
    """A turn under way.

    Attributes:
        owner: whoever reads it; gone: nobody will.
        engine_ms: when, in the trace, the engine was asked.
        turn: what became of it; ``None``: it is under way.
    """

    number: int
    asked: Message
    options: Mapping[str, Any]
    at: float
    trace: Trace
    route: Route
    prompt: tuple[Message, ...] = ()
    recalled: tuple[Recollection, ...] = ()
    compression: Compression | None = None
    texts: list[str] = field(default_factory=list)
    confirmation: str = ""
    owner: Callable[[], object | None] = field(default=lambda: None)
    engine_ms: float = 0.0
    turn: Turn | None = None

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.texts)


Settle = Callable[[Draft, Ended, Completion | None], object]


class TurnStream(Iterator[Chunk]):
    """The chunks of one turn, for one reader; made by :meth:`workbench.conversation.Session.stream`.

    Joined, their texts are the answer; only the last one has a ``finish_reason``. Abandoning the stream ends the turn
    with what has come.
    """

    def __init__(self, draft: Draft, settle: Settle, tools: Tools | None = None) -> None:
        self._draft, self._settle = draft, settle
        self._stop_tools: Callable[[int], object] | None = getattr(tools, "cancel", None)
        self._stream: Stream | None = None
        self._write: Callable[[str], str] | None = None
        self._held: Chunk | None = None
        self._cancelled = self._writing = False
        self._reading = threading.Lock()  # whoever ends it for a task that was cancelled waits for that task's thread

    def start(self, stream: Stream, write: Callable[[str], str] | None) -> None:
        """Take over the engine's stream.

        Args:
            stream: of the engine.
            write: runs the tools' writes on the narrative, and says what there is to confirm; ``None``: there are none.
        """
        self._stream, self._write = stream, write
        if self._cancelled:
            stream.cancel()

    def __next__(self) -> Chunk:
        with self._reading, tracing(self._draft.trace):
            if self.ended or self._stream is None:
                raise StopIteration
            if self._held is not None:
                return self._confirm(self._held, self._stream.completion)
            return self._pass(self._stream)

    @property
    def turn(self) -> Turn:
        """The turn, once it has ended.

        Raises:
            UsageError: it is under way.
        """
        if self._draft.turn is None:
            raise UsageError("This turn is under way. Read the stream to its end first.")
        return self._draft.turn

    @property
    def started(self) -> bool:
        """Whether the engine has been asked."""
        return self._stream is not None

    @property
    def writing(self) -> bool:
        """Whether the tools' writes run: whoever reads the stream ends the turn after them."""
        return self._writing

    @property
    def ended(self) -> bool:
        """Whether there is a :attr:`turn`."""
        return self._draft.turn is not None

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._draft.text

    @property
    def trace(self) -> Trace:
        """What took how long, so far."""
        return self._draft.trace

    def cancel(self) -> None:
        """Ask for the end; the stream then ends with ``finish_reason="cancelled"``. Any thread; idempotent.

        Tools plan nothing more then and begin no further call; one that runs is waited for.
        """
        self._cancelled = True
        if self._stream is not None:
            self._stream.cancel()
        if self._stop_tools is not None and not self.ended:
            self._stop_tools(self._draft.number)

    def _pass(self, stream: Stream) -> Chunk:
        """The engine's next chunk."""
        try:
            chunk = next(stream)
        except StopIteration:
            self._settle(self._draft, "broken", None)
            raise StreamIncomplete(self._draft.text, "the engine's stream ended without a reason.") from None
        except Exception:
            self._settle(self._draft, "broken", None)
            raise
        except BaseException:  # Ctrl-C
            stream.cancel()
            self._settle(self._draft, "cancelled", None)
            raise
        if chunk.text and not any(self._draft.texts):
            self._draft.trace.labels["ttft_ms"] = self._draft.trace.now_ms()
        self._draft.texts.append(chunk.text)
        if chunk.finish_reason is None:
            return chunk
        return self._last(chunk, stream)

    def _last(self, chunk: Chunk, stream: Stream) -> Chunk:
        """The engine has ended: so has the turn, unless tools have to write."""
        reason = chunk.finish_reason or "stop"
        if self._write is not None and reason != "cancelled":
            self._held = chunk
            return Chunk(chunk.text, chunk.tokens, chunk.at_ms)
        self._settle(self._draft, reason, stream.completion)
        return chunk

    def _confirm(self, held: Chunk, completion: Completion) -> Chunk:
        """Run the writes; what they confirm is the end of the answer."""
        started = time.perf_counter()
        said, self._writing = "", True  # before the look at _cancelled: whoever sets that looks at this next
        try:
            said = self._write(self._draft.text) if self._write is not None and not self._cancelled else ""
            if said:
                self._draft.texts.append(SEPARATOR + said)
                self._draft.confirmation = said
        finally:  # a write that fails takes nothing away from what was said
            self._writing = False
            reason: FinishReason = "cancelled" if self._cancelled else held.finish_reason or "stop"
            self._settle(self._draft, reason, completion)
        at_ms = held.at_ms + 1e3 * (time.perf_counter() - started)
        return Chunk(SEPARATOR + said if said else "", (), at_ms, reason)
