"""Which tokens go into the next batch, and what becomes of the logits. Engine thread only.

Each step: admit waiting requests, put one token (and guesses) of every running sequence into the batch, fill the rest
with prompt pieces (decode first, chunked prefill, as llama-server does), decode, sample. With a context of a fixed size
a request is admitted only when its KV cells are sure to be there, so a running sequence never runs out of them; an open
one grows instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from workbench.engine.native.context import Context
from workbench.engine.native.weights import Weights
from workbench.engine.reuse.slot import Slot
from workbench.engine.scheduling.admission import Admission
from workbench.engine.scheduling.headroom import Headroom
from workbench.engine.scheduling.lifecycle import Lifecycle
from workbench.engine.scheduling.queueing import WaitingLine
from workbench.engine.scheduling.sequence import Sequence, cancelled_unstarted
from workbench.engine.scheduling.speculation import Speculation
from workbench.engine.scheduling.tally import Tally
from workbench.engine.scheduling.ticket import Ticket
from workbench.errors import ContextOverflow, DecodeError
from workbench.interfaces import EngineStats, FinishReason
from workbench.settings import EngineSettings

_PERSIST_AFTER_S = 1.0
"""Idle seconds after which a nearly full context grows and finished sequences are written to disk: between two turns
rather than during one."""


class Scheduler:
    """Runs tickets on one context.

    Args:
        weights: the model.
        settings: as asked for; ``n_ctx=None`` lets the context grow with the requests.
    """

    def __init__(self, weights: Weights, settings: EngineSettings) -> None:
        self.weights, self.settings = weights, settings
        self.life = Lifecycle(weights, settings)
        self.residency = self.life.residency
        self.running: list[Sequence] = []
        self.tally = Tally()
        self._waiting = WaitingLine()
        self._alarm: list[Ticket] = []
        self._decoding_only = False
        self._jobs: list[tuple[Callable[[], None], Callable[[Exception], None]]] = []
        self._speculation: Speculation | None = None
        if settings.speculation != "off" and not weights.recurrent:
            self._speculation = Speculation(weights, settings)
        self._admission = Admission(weights, settings, self.life, self.running, self.tally, self._speculation)
        self._headroom = Headroom(settings, self.life, self.running, self._admission.context_for, self._full)

    @property
    def busy(self) -> bool:
        """Whether :meth:`step` has something to do."""
        return bool(self.running or len(self._waiting) or self._jobs)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def context(self) -> Context | None:
        """The present context."""
        return self.life.context

    @property
    def limit(self) -> int:
        """Most tokens one sequence can have, prompt and answer together."""
        return self.life.plan.limit

    @property
    def effective(self) -> EngineSettings:
        """Settings in force; what only a context decides is open until there is one."""
        context = self.life.context  # any thread may ask while it is being remade
        if context is not None:
            return context.settings
        return self.settings.replace(n_gpu_layers=self.weights.n_gpu_layers)

    def submit(self, ticket: Ticket) -> None:
        """Queue a request: by priority, then by arrival."""
        ticket.alarm = self._alarm
        self._waiting.add(ticket)
        if ticket.cancelled:
            self._alarm.append(ticket)

    def exclusively(self, job: Callable[[], None], abandoned: Callable[[Exception], None]) -> None:
        """Run ``job`` when no sequence is running; what has not started by then waits. ``abandoned``: it never will."""
        self._jobs.append((job, abandoned))

    def abandon(self, error: Exception) -> None:
        """Tell the jobs that have not run that they never will, and why."""
        for _, abandoned in self._jobs:
            abandoned(error)
        self._jobs = []

    def step(self) -> None:
        """One turn of the loop. What fails, fails its requests; the loop goes on."""
        if self._jobs and not self.running:
            self._jobs.pop(0)[0]()
            return
        started, computed = time.perf_counter(), 0.0
        made = self.tally.making_s
        try:
            if self._alarm:
                self._drop_cancelled()
            if not self._jobs:  # they run when nothing else does, so nothing new may start
                self._admission.admit(self._waiting)
            if self.running:
                computed = self._advance()
        except Exception as error:
            self.fail_all(error)
        self.tally.compute_s += computed
        # making or remaking a context is no part of a step
        self.tally.host_s += time.perf_counter() - started - computed - (self.tally.making_s - made)

    def fail_all(self, error: BaseException) -> None:
        """End every request with ``error`` and forget the KV cache, whose state is unknown now."""
        for sequence in list(self.running):
            self._end(sequence, error)
        for ticket in self._waiting.take_all():
            ticket.end(error)
        self.life.forget()

    def borrow_slot(self, tokens: int) -> tuple[Context, Slot]:
        """For an exclusive job: a context for ``tokens`` and an emptied slot of it; release it afterwards."""
        context = self._admission.context_for(tokens, tokens)
        slot, _ = self.residency.place([], 0)
        self.residency.make_room(tokens, context.n_ctx, besides=(slot,))
        return context, slot

    def give_back(self, slot: Slot) -> None:
        """End of the loan."""
        self.residency.release(slot, keep=False)

    def stats(self, state: str) -> EngineStats:
        """A snapshot; reads plain numbers only, so any thread may ask."""
        context, life, tally = self.life.context, self.life, self.tally
        return EngineStats(
            state=state,  # type: ignore[arg-type]
            n_ctx=context.n_ctx if context else None,
            kv_used_tokens=self.residency.used if context else None,
            kv_bytes=context.kv_bytes if context else None,
            weights_bytes=self.weights.size_bytes,
            load_ms=self.weights.load_ms,
            context_ms=life.created_ms,
            waiting=len(self._waiting),
            host_cache_bytes=life.tiers.host.used_bytes,
            disk_cache_bytes=life.tiers.disk_bytes,
            grown=life.grown,
            grow_ms=life.longest_ms,
            released=life.released,
            **tally.as_stats(),
        )

    def rest(self, idle_s: float) -> float | None:
        """With nothing to do for ``idle_s`` seconds: what is due then; returns when to ask again, ``None``: never."""
        due = self.settings.idle_release_s
        if self.life.context is None:
            return None
        if idle_s >= _PERSIST_AFTER_S:
            self.life.grow_ahead()
            self.residency.to_disk()
        if due is not None and idle_s >= due:
            self.life.release()
            return None
        pending = [at for at in (_PERSIST_AFTER_S, due) if at is not None]
        later = [at - idle_s for at in pending if at > idle_s]
        return min(later) if later else None

    def free(self) -> None:
        """Give the context back, and the samplers of what still runs."""
        for sequence in self.running:
            sequence.sampler.free()
            self.residency.release(sequence.slot, keep=False)
        self.running.clear()
        if self._speculation is not None:
            self._speculation.free()
        self.life.close()

    # -- admission -----------------------------------------------------------------------------------------------

    def _drop_cancelled(self) -> None:
        self._alarm.clear()  # first: who is cancelled meanwhile is seen now or next time
        for sequence in [s for s in self.running if s.ticket.cancelled]:
            self._retire(sequence, "cancelled")
        for ticket in self._waiting.take_cancelled():
            ticket.end(cancelled_unstarted(ticket, self.weights.file.name, self.effective))
            self.tally.requests += 1

    # -- one decode ----------------------------------------------------------------------------------------------

    def _advance(self) -> float:
        """Fill the batch, decode, sample; returns the seconds spent in llama.cpp."""
        self._headroom.find(self.tally.started, step=self._longest_step())
        context = self.life.context
        if context is None or not self.running:
            return 0.0
        self._decoding_only = decoding_only = self._fill(self.running, context)
        started = time.perf_counter()
        code = context.decode()
        if code:
            self._isolate(context, code)
            return time.perf_counter() - started
        self.tally.steps += 1
        if self._speculation is not None and decoding_only:
            context.wait()  # on a GPU a decode returns before it is done
            self._speculation.costs.observe(context.batch.size, time.perf_counter() - started)
        vocabulary = self.weights.vocabulary
        drawn = [(s, s.draw(context.raw, vocabulary)) for s in self.running if s.logits_at is not None]
        now = time.perf_counter()
        say = vocabulary.say
        for sequence, tokens in drawn:
            if isinstance(tokens, Exception):
                self._end(sequence, tokens)
            elif self._speculation is not None or sequence.constrained:
                self._take(sequence, tokens, now)
            else:
                reason = sequence.accept(tokens[0], say(tokens[0]), now)
                if reason:
                    self._retire(sequence, reason)
        return now - started

    def _longest_step(self) -> int:
        """Tokens the coming step can have at most, if no request has come since the last one."""
        if not self._decoding_only and self.life.context is not None:
            return self.life.context.batch.capacity
        guesses = self.settings.draft_max if self._speculation is not None else 0
        return len(self.running) * (1 + guesses)

    def _fill(self, sequences: list[Sequence], context: Context) -> bool:
        """Put the step's tokens into the batch; returns whether there is no prompt among them."""
        batch = context.batch
        batch.clear()
        decoding = []
        for sequence in sequences:
            if len(sequence.tokens) - sequence.done == 1:
                decoding.append(sequence)
            else:
                sequence.logits_at = None
            sequence.piece = 0
        self._fill_decoding(decoding, context)
        if len(decoding) == len(sequences):
            return True
        for sequence in sequences:
            if sequence.pending and batch.room:
                self._fill_prompt(sequence, batch.room, context)
        return False

    def _fill_decoding(self, decoding: list[Sequence], context: Context) -> None:
        """One token of each sequence that decodes, and guesses; written to the batch at once."""
        batch = context.batch
        guessed = self._guesses(decoding, context) if self._speculation is not None else {}
        tokens: list[int] = []
        positions: list[int] = []
        ids: list[int] = []
        for sequence in decoding:
            slot, token = sequence.slot, sequence.tokens[-1]
            held = slot.tokens
            sequence.logits_at = len(tokens)
            tokens.append(token)
            positions.append(len(held))
            ids.append(slot.index)
            held.append(token)
            sequence.done += 1
            if guessed or sequence.drafted:
                sequence.drafted = guesses = guessed.get(slot.index, [])
                tokens.extend(guesses)
                positions.extend(range(len(held), len(held) + len(guesses)))
                ids.extend([slot.index] * len(guesses))
                held.extend(guesses)
        if tokens:
            batch.add_tokens(tokens, positions, ids)

    def _guesses(self, decoding: list[Sequence], context: Context) -> dict[int, list[int]]:
        """Guesses by sequence id; never more than there are cells for."""
        assert self._speculation is not None  # noqa: S101 - asked by the only caller
        room = context.batch.capacity - len(decoding)
        if self.settings.n_ctx is None and context.unified:
            room = min(room, context.n_ctx - self.residency.used - len(decoding))
        return self._speculation.propose(((s, self._cells_left(s, context)) for s in decoding), room)

    def _cells_left(self, sequence: Sequence, context: Context) -> int:
        """Cells a sequence may use beyond its next token."""
        if not sequence.said:
            return 0
        left = sequence.capacity if self.settings.n_ctx is not None else min(sequence.capacity, context.n_ctx_seq)
        return left - len(sequence.slot.tokens) - 1

    def _fill_prompt(self, sequence: Sequence, room: int, context: Context) -> None:
        begin = sequence.done
        piece = sequence.tokens[begin : begin + room]
        complete = begin + len(piece) == len(sequence.tokens)
        slot = sequence.slot
        last = context.batch.add_run(piece, len(slot.tokens), slot.index, logits="last" if complete else "none")
        slot.tokens.extend(piece)
        sequence.done += len(piece)
        sequence.piece = len(piece)
        sequence.drafted = []
        if complete:
            sequence.logits_at = last

    def _take(self, sequence: Sequence, tokens: list[int], now: float) -> None:
        """Hand out the samples; KV of guesses that were wrong is taken back."""
        sequence.decodes += 1
        if sequence.drafted:
            right = len(tokens) - 1
            sequence.drafts += len(sequence.drafted)
            sequence.accepted += right
            sequence.done += right
            self.residency.truncate(sequence.slot, len(sequence.slot.tokens) - len(sequence.drafted) + right)
        if self._speculation is not None:
            self._speculation.settle(sequence, len(sequence.drafted), len(tokens) - 1)
        say = self.weights.vocabulary.say
        for at, token in enumerate(tokens, 1):
            reason = sequence.accept(token, say(token), now)
            if reason is None and at == len(tokens) and sequence.sampler.over:
                reason = "stop"
            if reason:
                unsaid = len(tokens) - at
                if unsaid:
                    sequence.accepted -= unsaid
                    self.residency.truncate(sequence.slot, len(sequence.slot.tokens) - unsaid)
                self._retire(sequence, reason)
                return

    # -- endings -------------------------------------------------------------------------------------------------

    def _isolate(self, context: Context, code: int) -> None:
        """A batch failed: compute every sequence's part by itself, so that only what cannot be computed fails."""
        parts = list(self.running)
        for sequence in parts:
            self._step_back(sequence)
        for sequence in parts:
            failure = DecodeError(code) if len(parts) == 1 else self._alone(sequence, context)
            if failure is not None:
                self._end(sequence, failure)

    def _step_back(self, sequence: Sequence) -> None:
        """As if nothing of a sequence had been in the batch; what it cannot go back to is computed again."""
        if sequence.logits_at is None and not sequence.piece:
            return
        new = sequence.piece or 1
        held = len(sequence.slot.tokens) - new - len(sequence.drafted)
        self.residency.truncate(sequence.slot, held)
        sequence.done = sequence.done - new if len(sequence.slot.tokens) == held else 0
        sequence.drafted, sequence.logits_at = [], None

    def _alone(self, sequence: Sequence, context: Context) -> Exception | None:
        """One step of one sequence; returns what it failed with."""
        self._fill([sequence], context)
        code = context.decode()
        if code:
            self._step_back(sequence)
            return DecodeError(code)
        self.tally.steps += 1
        drawn = sequence.draw(context.raw, self.weights.vocabulary) if sequence.logits_at is not None else []
        if isinstance(drawn, Exception):
            return drawn
        if drawn:
            self._take(sequence, drawn, time.perf_counter())
        return None

    def _full(self, sequence: Sequence) -> None:
        """There are no more cells to be had for a sequence."""
        if sequence.said:
            self._retire(sequence, "length")
        else:
            held = len(sequence.slot.tokens)
            self._end(sequence, ContextOverflow(len(sequence.tokens), held, "There is no memory for a larger context."))

    def _retire(self, sequence: Sequence, reason: FinishReason) -> None:
        self._leave(sequence, keep=self._keeps(sequence))
        self.tally.finished(sequence)
        sequence.finish(reason, self.weights.file.name, self.effective)

    def _end(self, sequence: Sequence, error: BaseException) -> None:
        """A request fails."""
        self._leave(sequence, keep=False)
        self.tally.finished(sequence)
        sequence.ticket.end(error)

    def _leave(self, sequence: Sequence, *, keep: bool) -> None:
        self.running.remove(sequence)
        if self._speculation is not None:
            sequence.speculation = self._speculation.end(sequence)
        sequence.sampler.free()
        self.residency.release(sequence.slot, keep=keep)

    def _keeps(self, sequence: Sequence) -> bool:
        """Whether the KV of a finished sequence is worth something: after a shift it is no plain prefix any more."""
        return self.settings.prefix_cache and sequence.ticket.request.cache_prompt and not sequence.shifted
