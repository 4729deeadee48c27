"""One request of a worker process, as the parent sees it: what has come so far, and how to ask for it again."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from workbench.engine.scheduling.ticket import Listener, Ticket
from workbench.engine.worker import protocol
from workbench.interfaces import Completion, FinishReason, Receipt, Request, Timings
from workbench.settings import EngineSettings


class RemoteTicket(Ticket):
    """A request and its fate. The supervisor's threads move it; everybody else waits, listens or cancels.

    Args:
        request: what was asked for.
        number: what it is called in messages.
        spelling: its prompt as the child takes it: ``text`` with flags, or ``tokens``.
        listener: as for :class:`Ticket`.
        on_cancel: told once, on any thread, in the middle of anything (a garbage collection).

    Attributes:
        settled: set when the child has taken or refused the request.
        refusal: why it was refused, until :meth:`take_refusal`.
        tokens: generated so far.
        deaths: processes that died over it.
    """

    def __init__(
        self,
        request: Request,
        number: int,
        spelling: Mapping[str, Any],
        listener: Listener | None,
        on_cancel: Callable[[int], None],
    ) -> None:
        super().__init__(request, [], listener)
        self.number, self.tokens, self.deaths = number, list[int](), 0
        self.settled = threading.Event()
        self.refusal: BaseException | None = None
        self._values, self._spelling = protocol.request_values(request), spelling
        self._on_cancel, self._times = on_cancel, list[float]()
        self._continued_from = 0

    def cancel(self) -> None:
        """Ask for the end. Any thread; idempotent."""
        told, self.cancelled = self.cancelled, True
        if not told:
            self._on_cancel(self.number)

    @property
    def started(self) -> bool:
        """Whether something of the answer has come."""
        return bool(self.tokens)

    @property
    def resumable(self) -> bool:
        """Whether the rest can be had from the tokens so far; a grammar would begin anew."""
        return self.request.grammar is None and self.request.json_schema is None

    def message(self) -> protocol.Message:
        """What to send to a child; after a death, with what has been generated already."""
        message: protocol.Message = {"id": self.number, "request": self._values}
        if self.tokens:
            self._continued_from = len(self.tokens)
            return {**message, "tokens": self.prompt, "already": self.tokens}
        return {**message, **self._spelling}

    def taken(self, prompt: list[int] | None) -> None:
        """The child has it, and these are the tokens of its prompt; ``None``: those it was sent."""
        if prompt is not None:
            self._spelling = {"tokens": prompt}
        self.prompt = list(self._spelling["tokens"])
        self.settled.set()

    def refused(self, error: BaseException) -> None:
        """It will never be answered."""
        self.refusal = error
        self.end(error)

    def take_refusal(self) -> BaseException | None:
        """Why it was refused, once.

        Raised, an error holds the frames it passes, and they hold this ticket: did the ticket hold the error, only a
        full garbage collection would free both, and a prompt too long for the context is a large one.
        """
        refusal, self.refusal, self._error = self.refusal, None, None
        return refusal

    def take(self, text: str, tokens: list[int]) -> None:
        """A piece of the answer."""
        now = time.perf_counter()
        self.tokens += tokens
        self._times += [now] * len(tokens)
        self.emit(text, tuple(tokens), now)

    def finish(self, values: Mapping[str, Any], made_at: float, model: str, settings: EngineSettings) -> None:
        """The child's last word.

        Args:
            values: as :func:`protocol.completion_values` made them.
            made_at: when the child began with the request, on ``time.perf_counter``, one clock for all processes.
            model: name of the model.
            settings: the ones in force.
        """
        timings = protocol.timings_from(values["timings"])
        receipt = protocol.receipt_from(values["receipt"])
        if self._continued_from:
            cached = min(timings.cached_tokens, len(self.prompt))
            timings = self.timings(started_at=self.made_at, cached=cached, times=self._times)
            receipt = self._continued(receipt)
        else:
            timings = self._shifted(timings, made_at)
        self.end(self._completion(values["reason"], timings, model, settings, receipt))

    def finish_cancelled(self, model: str, settings: EngineSettings) -> None:
        """Nobody wants it any more, and no process has it."""
        timings = self.timings(started_at=self.made_at, cached=0, times=self._times)
        receipt = Receipt(why="cancelled while no process had it")
        self.end(self._completion("cancelled", timings, model, settings, receipt))

    def end(self, result: Completion | BaseException) -> None:
        """Settle the fate."""
        super().end(result)
        self.settled.set()

    def _completion(
        self, reason: FinishReason, timings: Timings, model: str, settings: EngineSettings, receipt: Receipt | None
    ) -> Completion:
        return Completion(
            text=self.text,
            tokens=tuple(self.tokens),
            finish_reason=reason,
            timings=timings,
            model=model,
            settings=settings,
            receipt=receipt,
        )

    def _shifted(self, timings: Timings, made_at: float) -> Timings:
        """The child's timings, counted from the request here, and up to the last chunk's arrival here."""
        under_way_ms = max(0.0, 1e3 * (made_at - self.made_at))
        first = self.first_text_at
        return dataclasses.replace(
            timings,
            queue_ms=timings.queue_ms + under_way_ms,
            ttft_ms=None if first is None else self.since_made_ms(first),
            total_ms=self.since_made_ms(),
            started_s=self.made_at,
        )

    def _continued(self, receipt: Receipt | None) -> Receipt:
        kind = "greedy, so the text is what it would have been" if self.request.sampling.greedy else "drawn anew"
        why = (
            f"the engine's process died after {self._continued_from} tokens; a new one went on from them ({kind}). "
            "Counts are of that process; its prompt includes those tokens."
        )
        return dataclasses.replace(receipt or Receipt(), why=why)
