"""One request on its way: what the asking thread and the engine's thread share.

The engine's thread calls :meth:`Ticket.emit` and :meth:`Ticket.end`; everybody else waits, listens or cancels.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence

from workbench.errors import StreamIncomplete
from workbench.interfaces import Chunk, Completion, Request, Timings
from workbench.telemetry import tell_request

log = logging.getLogger("workbench.engine")

Event = Chunk | Completion | BaseException
Listener = Callable[[Event], None]


class Ticket:
    """A request, its tokens and its fate.

    Args:
        request: what was asked for.
        prompt: its tokens.
        listener: called on the engine's thread with each chunk, then with the completion or the error.
        made_at: when it was asked for, on ``time.perf_counter``: before its prompt became tokens; ``None``: now.

    Attributes:
        cancelled: somebody asked for the end.
        alarm: the engine's list of tickets that were cancelled, so that it need not look at each of them every step.
    """

    def __init__(
        self, request: Request, prompt: list[int], listener: Listener | None = None, *, made_at: float | None = None
    ) -> None:
        self.request, self.prompt = request, prompt
        self.made_at = time.perf_counter() if made_at is None else made_at
        self.cancelled = False
        self.alarm: list[Ticket] = []
        self.parts: list[str] = []
        self.first_text_at: float | None = None
        self._listener = listener
        self._ended = threading.Event()
        self._result: Completion | None = None
        self._error: BaseException | None = None

    def cancel(self) -> None:
        """Ask for the end; takes effect with the engine's next step. Any thread; idempotent."""
        self.cancelled = True
        self.alarm.append(self)

    def since_made_ms(self, moment: float | None = None) -> float:
        """Milliseconds from the request to ``moment`` (now)."""
        return 1e3 * ((time.perf_counter() if moment is None else moment) - self.made_at)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.parts)

    @property
    def ended(self) -> bool:
        """Whether the fate is known."""
        return self._ended.is_set()

    def timings(self, *, started_at: float, cached: int, times: Sequence[float]) -> Timings:
        """Where the time went.

        Args:
            started_at: when work on the request began.
            cached: prompt tokens whose KV was reused.
            times: when each token was drawn, oldest first.
        """
        now = time.perf_counter()
        first = times[0] if times else now
        return Timings(
            queue_ms=self.since_made_ms(started_at),
            prefill_ms=1e3 * (first - started_at),
            ttft_ms=None if self.first_text_at is None else self.since_made_ms(self.first_text_at),
            decode_ms=1e3 * (times[-1] - first) if times else 0.0,
            total_ms=self.since_made_ms(now),
            prompt_tokens=len(self.prompt),
            cached_tokens=cached,
            output_tokens=len(times),
            itl_ms=tuple(1e3 * (after - before) for before, after in itertools.pairwise(times)),
            started_s=self.made_at,
        )

    def emit(self, text: str, tokens: tuple[int, ...], at: float) -> None:
        """Hand out certain text. Without a listener no chunk is made: most callers want the whole only."""
        if text:
            self.parts.append(text)
            if self.first_text_at is None:
                self.first_text_at = at
        if self._listener is not None:
            self._tell(Chunk(text, tokens, 1e3 * (at - self.made_at)))

    def end(self, result: Completion | BaseException) -> None:
        """Settle the fate."""
        if isinstance(result, Completion):
            tell_request(result)  # before anybody is woken: who has waited for the answer finds its trace, too
            self._result = result
        else:
            self._error = result
        self._ended.set()
        self._tell(result)

    def _tell(self, event: Event) -> None:
        """Call the listener. One that fails (its event loop is closed, say) is gone: its request is cancelled."""
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception:
            log.warning("a listener failed; its request is cancelled", exc_info=True)
            self._listener = None
            self.cancel()

    def wait(self) -> Completion:
        """Block until the end.

        Raises:
            whatever the request failed with.
        """
        self._ended.wait()
        return self.result()

    def result(self) -> Completion:
        """The completion.

        Raises:
            StreamIncomplete: there is none yet.
        """
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise StreamIncomplete(self.text, "it has not ended yet; read it to its end first.")
        return self._result


class TicketStream:
    """Chunks of one ticket, for a consumer on any one thread. Implements :class:`workbench.interfaces.Stream`.

    Args:
        submit: takes a listener, hands the request to the engine and returns its ticket.
    """

    def __init__(self, submit: Callable[[Listener], Ticket]) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._over = False
        # Held until the end: what submits holds the engine, which must not be collected while its stream is read.
        self._submit: Callable[[Listener], Ticket] | None = submit
        self._ticket = submit(self._events.put)

    def __iter__(self) -> TicketStream:
        return self

    def __next__(self) -> Chunk:
        if self._over:
            raise StopIteration
        event = self._events.get()
        if isinstance(event, Chunk):
            return event
        self._over, self._submit = True, None
        if isinstance(event, Completion):
            return Chunk("", (), event.timings.total_ms, event.finish_reason)
        raise event

    def cancel(self) -> None:
        """Ask for the end; the stream then ends with ``finish_reason="cancelled"``."""
        self._ticket.cancel()

    @property
    def completion(self) -> Completion:
        """The whole, once the stream is exhausted."""
        return self._ticket.result()

    def __del__(self) -> None:
        # An abandoned stream must not keep the engine busy; __init__ may have failed before the ticket was made.
        ticket = getattr(self, "_ticket", None)
        if ticket is not None:
            ticket.cancel()


async def _submit_aside(submit: Callable[[Listener], Ticket], listener: Listener) -> Ticket:
    """Submit on another thread: templates and tokenising take time an event loop does not have."""
    making = asyncio.ensure_future(asyncio.to_thread(submit, listener))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_cancel_made)
        raise


def _cancel_made(making: asyncio.Future[Ticket]) -> None:
    """A request nobody waits for any more was made after all."""
    if not making.cancelled() and making.exception() is None:
        making.result().cancel()


async def stream_async(submit: Callable[[Listener], Ticket]) -> AsyncIterator[Chunk]:
    """The chunks of one ticket, for an event loop. Leaving the loop early cancels the request."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event] = asyncio.Queue()

    def listen(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    ticket = await _submit_aside(submit, listen)
    try:
        while isinstance(event := await events.get(), Chunk):
            yield event
        if not isinstance(event, Completion):
            raise event
        yield Chunk("", (), event.timings.total_ms, event.finish_reason)
    finally:
        ticket.cancel()
