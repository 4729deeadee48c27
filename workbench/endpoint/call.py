"""One request on its way: what the asking thread and the client's event loop share.

The loop calls :meth:`Call.take` and :meth:`Call.end`; everybody else waits, listens or cancels.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future

from workbench.endpoint.wire import Delta, Usage, finish_reason
from workbench.errors import StreamIncomplete
from workbench.interfaces import Chunk, Completion, FinishReason, Request, Timings
from workbench.settings import EngineSettings
from workbench.telemetry import tell_request

log = logging.getLogger("workbench.endpoint")

Event = Chunk | Completion | BaseException
Listener = Callable[[Event], None]


class Call:
    """A request and its fate.

    Args:
        request: what was asked for.
        estimate: gives about the tokens of its prompt, for when the server does not count them.
        listener: called on the client's loop with each chunk, then with the completion or the error.

    Attributes:
        cancelled: somebody asked for the end.
        broken_off: why the engine ended it; empty: it did not.
        sent_at: when the attempt that counts was sent; ``None``: it waits.
        began: a model has begun to speak, so that the request can never be sent again.
        future: the completion or the error.
    """

    def __init__(self, request: Request, estimate: Callable[[], int], listener: Listener | None = None) -> None:
        self.request, self.estimate = request, estimate
        self.made_at = time.perf_counter()
        self.sent_at: float | None = None
        self.cancelled = self.began = False
        self.broken_off = ""
        self.reason: str | None = None
        self.usage: Usage | None = None
        self.future: Future[Completion] = Future()
        self.future.set_running_or_notify_cancel()  # so that nobody's cancel() settles it but our own
        self._listener = listener
        self._speaks: Callable[[], None] | None = None
        self._parts: list[str] = []
        self._tokens: list[int] = []
        self._times: list[float] = []
        self._first_text_at: float | None = None
        self._ended_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    # -- the asking side ----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask for the end: the connection is closed. Any thread; idempotent."""
        self.cancelled = True
        self._interrupt()

    def break_off(self, why: str) -> None:
        """End it with what there is, as an error. Any thread."""
        self.broken_off = why
        self._interrupt()

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._parts)

    @property
    def completion(self) -> Completion:
        """The whole.

        Raises:
            StreamIncomplete: there is none yet.
        """
        if not self.future.done():
            raise StreamIncomplete(self.text, "it has not ended yet; read it to its end first.")
        return self.future.result()

    def _interrupt(self) -> None:
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not self.future.done():
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:  # the loop is closed: the interpreter is on its way out
                log.debug("a request was cancelled after its event loop had ended")

    # -- the loop's side ----------------------------------------------------------------------------------------------

    def on_its_way(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        """What to interrupt. On the loop; interrupted at once if that was asked for meanwhile."""
        self._loop, self._task = loop, task
        if self.cancelled or self.broken_off:
            loop.call_soon(task.cancel)  # after its first step: a task that never began could settle nothing

    def sent(self, speaks: Callable[[], None] | None = None) -> None:
        """An attempt begins; what one before it said of its end and its tokens counts no more.

        Args:
            speaks: called at its first token.
        """
        self._speaks = speaks
        self.sent_at = time.perf_counter()
        self.reason = self.usage = self._ended_at = None

    def take(self, delta: Delta, at: float) -> None:
        """Add what an event brought."""
        if delta.usage is not None:
            self.usage = delta.usage
        if delta.reason is not None:
            self.reason, self._ended_at = delta.reason, at
        if not (delta.generated or delta.tokens):
            return
        if not self.began and self._speaks is not None:
            self._speaks()
        self.began = True
        self._times.append(at)
        self._tokens += delta.tokens
        if delta.text:
            self._parts.append(delta.text)
            if self._first_text_at is None:
                self._first_text_at = at
        if self._listener is not None:
            self._tell(Chunk(delta.text, delta.tokens, self.since_made_ms(at)))

    def end(self, result: Completion | BaseException) -> None:
        """Settle the fate."""
        if isinstance(result, Completion):
            tell_request(result)  # before anybody is woken: who has waited for the answer finds its trace, too
            self.future.set_result(result)
        else:
            self.future.set_exception(result)
        self._tell(result)

    def finish(self, model: str, settings: EngineSettings, *, cancelled: bool = False) -> Completion:
        """The whole as far as it came.

        Raises:
            StreamIncomplete: the server names an end that is none of a text.
        """
        reason: FinishReason | None = "cancelled" if cancelled else finish_reason(self.reason or "")
        if reason is None:
            raise StreamIncomplete(self.text, _unnatural(self.reason))
        return Completion(
            text=self.text,
            tokens=tuple(self._tokens),
            finish_reason=reason,
            timings=self._timings(),
            model=model,
            settings=settings,
        )

    def _timings(self) -> Timings:
        now = time.perf_counter()
        sent = now if self.sent_at is None else self.sent_at
        usage = self.usage or Usage(self.estimate(), 0, len(self._tokens) or len(self._times))
        times = self._token_times(usage.output)
        first = times[0] if times else self._ended_at or now
        return Timings(
            queue_ms=self.since_made_ms(sent),
            prefill_ms=1e3 * max(0.0, first - sent),
            ttft_ms=None if self._first_text_at is None else self.since_made_ms(self._first_text_at),
            decode_ms=1e3 * (times[-1] - first) if times else 0.0,
            total_ms=self.since_made_ms(now),
            prompt_tokens=usage.prompt,
            cached_tokens=usage.cached,
            output_tokens=usage.output,
            itl_ms=self._gaps(times, usage.output),
            started_s=self.made_at,
        )

    def _token_times(self, output_tokens: int) -> list[float]:
        """When each event with a token came; the end of generation is a token too where the server counts it."""
        if self.reason == "stop" and self._ended_at is not None and output_tokens == len(self._times) + 1:
            return [*self._times, self._ended_at]
        return self._times

    @staticmethod
    def _gaps(times: list[float], output_tokens: int) -> tuple[float, ...]:
        """Gaps between tokens; none where events held several, since nobody knows when each of them came."""
        if len(times) != output_tokens:
            return ()
        return tuple(1e3 * (after - before) for before, after in itertools.pairwise(times))

    def since_made_ms(self, moment: float | None = None) -> float:
        """Milliseconds from the request to ``moment`` (now)."""
        return 1e3 * ((time.perf_counter() if moment is None else moment) - self.made_at)

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


def _unnatural(reason: str | None) -> str:
    """Why an end is none, with the remedy."""
    if reason == "content_filter":
        return "the provider's content filter stopped it. Change the prompt."
    return f"the server ended it with finish_reason={reason!r}. Look at the server's log, or send the request again."
