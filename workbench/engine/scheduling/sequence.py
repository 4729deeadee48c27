"""A running request: how far it is, and what it has said."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from workbench.engine.native.vocabulary import Vocabulary, Word
from workbench.engine.reuse.slot import Slot
from workbench.engine.sampling.sampler import Sampler
from workbench.engine.scheduling.text import TextAssembler
from workbench.engine.scheduling.ticket import Ticket
from workbench.errors import ConstraintUnmet
from workbench.interfaces import Completion, FinishReason, Receipt
from workbench.settings import EngineSettings

_ENDLESS = 2**62


class Sequence:
    """One request in a slot. Engine thread only.

    Args:
        ticket: the request.
        slot: where it runs; holds the cached tokens of the prompt.
        receipt: where they came from.
        capacity: most tokens the sequence may have in the context.
        sampler: draws its tokens.
        endless: the beginning may be forgotten, so only the request's own cap ends it.

    Attributes:
        tokens: prompt and answer.
        done: how many of them have been computed (or, at the beginning, reused).
        logits_at: batch index of its last token's logits in the step under way; of the first of several, with guesses.
        drafted: the guesses in the step under way.
        piece: prompt tokens in the step under way.
    """

    def __init__(
        self, ticket: Ticket, slot: Slot, receipt: Receipt, capacity: int, sampler: Sampler, *, endless: bool = False
    ) -> None:
        self.ticket, self.slot, self.capacity, self.sampler = ticket, slot, capacity, sampler
        self.receipt = receipt
        self.tokens = list(ticket.prompt)
        self.done = receipt.cached_tokens
        self.times: list[float] = []
        self.started_at = time.perf_counter()
        self.logits_at: int | None = None
        self.drafted: list[int] = []
        self.piece = 0
        self.constrained = not sampler.may_end
        self.decodes = self.drafts = self.accepted = self.shifted = 0
        self.speculation = ""
        self._assembler = TextAssembler(ticket.request.stop)
        asked = ticket.request.max_tokens
        room = capacity - len(ticket.prompt) + 1  # the last token generated needs no KV cell
        wanted = _ENDLESS if asked is None else asked
        self.max_new = wanted if endless else min(wanted, room)
        self._last = len(ticket.prompt) + self.max_new

    @property
    def pending(self) -> int:
        """Tokens to compute before the next one can be drawn; 1 while it decodes."""
        return len(self.tokens) - self.done

    @property
    def wants(self) -> int:
        """Tokens it may still generate."""
        return self.max_new - self.said

    @property
    def said(self) -> int:
        """Tokens it has generated."""
        return len(self.tokens) - len(self.ticket.prompt)

    @property
    def output(self) -> tuple[int, ...]:
        """Tokens it has generated."""
        return tuple(self.tokens[len(self.ticket.prompt) :])

    def draw(self, context: Any, vocabulary: Vocabulary) -> list[int] | Exception:
        """The samples of a step: one, and one more for each guess that was right; or what the drawing failed with.

        Args:
            context: ``llama_context *``, after the decode.
            vocabulary: of the model.
        """
        at, draw = self.logits_at or 0, self.sampler.draw
        try:
            drawn = [draw(context, at)]
            for guess in self.drafted:
                if drawn[-1] != guess or vocabulary.ends_generation(guess) or self.sampler.over:
                    break
                drawn.append(draw(context, at + len(drawn)))
        except Exception as error:  # fails this request only
            return error
        return drawn

    def accept(self, token: int, word: Word | None, at: float) -> FinishReason | None:
        """Take the next token; returns why the sequence is over, if it is.

        Args:
            token: what was drawn.
            word: its bytes and text; ``None``: it ends generation.
            at: when, by ``time.perf_counter``.
        """
        self.tokens.append(token)
        self.times.append(at)
        if word is None:
            self.ticket.emit("", (token,), at)
            return "stop"
        assembler = self._assembler
        piece, text = word
        if text is None or assembler.careful:
            text = assembler.feed(piece)
        self.ticket.emit(text, (token,), at)
        if assembler.stopped:
            return "stop"
        return "length" if len(self.tokens) >= self._last else None

    def finish(self, reason: FinishReason, model: str, settings: EngineSettings) -> None:
        """Settle the ticket with what there is."""
        held_back = self._assembler.finish()
        if held_back:
            self.ticket.emit(held_back, (), time.perf_counter())
        if reason == "length" and not self.sampler.may_end:
            self.ticket.end(ConstraintUnmet(self.ticket.text, self.said))
            return
        cached = self.receipt.cached_tokens
        self.ticket.end(
            Completion(
                text=self.ticket.text,
                tokens=self.output,
                finish_reason=reason,
                timings=self.ticket.timings(started_at=self.started_at, cached=cached, times=self.times),
                model=model,
                settings=settings,
                receipt=self.final_receipt(),
            )
        )

    def final_receipt(self) -> Receipt:
        """The receipt, with what happened since the start."""
        return dataclasses.replace(
            self.receipt,
            recomputed_tokens=max(0, min(self.done, len(self.ticket.prompt)) - self.receipt.cached_tokens),
            decodes=self.decodes or len(self.times),
            drafted_tokens=self.drafts,
            accepted_tokens=self.accepted,
            shifted_tokens=self.shifted,
            speculation=self.speculation,
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
        receipt=Receipt(why="cancelled before it was started"),
    )
