"""A running request: how far it is, and what it has said."""

from __future__ import annotations

import time

from workbench.engine.sampler import Sampler
from workbench.engine.text import TextAssembler
from workbench.engine.ticket import Ticket
from workbench.interfaces import Completion, FinishReason
from workbench.settings import EngineSettings


class Slot:
    """A sequence id of the context, and the tokens whose KV it holds.

    Attributes:
        index: ``llama_seq_id``.
        tokens: tokens in the KV cache, in order.
        used: when it was last used, for least-recently-used choice.
    """

    __slots__ = ("index", "tokens", "used")

    def __init__(self, index: int) -> None:
        self.index = index
        self.tokens: list[int] = []
        self.used = 0.0

    def common_prefix(self, prompt: list[int]) -> int:
        """How many leading tokens of ``prompt`` this slot holds."""
        held = self.tokens
        limit = min(len(held), len(prompt))
        if held[:limit] == prompt[:limit]:  # the usual case, compared in C
            return limit
        return next(i for i in range(limit) if held[i] != prompt[i])


class Sequence:
    """One request in a slot. Engine thread only.

    Args:
        ticket: the request.
        slot: where it runs; holds the first ``cached`` tokens of the prompt.
        cached: prompt tokens whose KV is reused.
        capacity: most tokens the sequence may have in the context.
        sampler: draws its tokens.
    """

    def __init__(self, ticket: Ticket, slot: Slot, cached: int, capacity: int, sampler: Sampler) -> None:
        self.ticket, self.slot, self.cached, self.capacity, self.sampler = ticket, slot, cached, capacity, sampler
        self.prefilled = cached
        self.output: list[int] = []
        self.times: list[float] = []
        self.started_at = time.perf_counter()
        self.logits_at: int | None = None
        self._assembler = TextAssembler(ticket.request.stop)
        asked = ticket.request.max_tokens
        room = capacity - len(ticket.prompt) + 1  # the last token generated needs no KV cell
        self.max_new = room if asked is None else min(asked, room)

    @property
    def prefilling(self) -> bool:
        """Whether prompt tokens are left to compute."""
        return self.prefilled < len(self.ticket.prompt)

    def accept(self, token: int, piece: bytes, *, ends: bool, at: float) -> FinishReason | None:
        """Take the next token; returns why the sequence is over, if it is."""
        self.output.append(token)
        self.times.append(at)
        text = "" if ends else self._assembler.feed(piece)
        reason: FinishReason | None = None
        if ends or self._assembler.stopped:
            reason = "stop"
        elif len(self.output) >= self.max_new:
            reason = "length"
        self.ticket.emit(text, (token,), at)
        return reason

    def finish(self, reason: FinishReason, model: str, settings: EngineSettings) -> None:
        """Settle the ticket with what there is."""
        held_back = self._assembler.finish()
        if held_back:
            self.ticket.emit(held_back, (), time.perf_counter())
        self.ticket.end(
            Completion(
                text=self.ticket.text,
                tokens=tuple(self.output),
                finish_reason=reason,
                timings=self.ticket.timings(started_at=self.started_at, cached=self.cached, times=self.times),
                model=model,
                settings=settings,
            )
        )


def cancelled_unstarted(ticket: Ticket, model: str, settings: EngineSettings) -> Completion:
    """The completion of a request that was cancelled while it waited."""
    return Completion(
        text="",
        tokens=(),
        finish_reason="cancelled",
        timings=ticket.timings(started_at=time.perf_counter(), cached=0, times=()),
        model=model,
        settings=settings,
    )
