"""Which tokens go into the next batch, and what becomes of the logits. Engine thread only.

Each step: admit waiting requests, put one token (and guesses) of every running sequence into the batch, fill the rest
with prompt pieces (decode first, chunked prefill, as llama-server does), decode, sample. With a context of a fixed size
a request is admitted only when its KV cells are sure to be there, so a running sequence never runs out of them; an open
one grows instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from workbench.engine.context import Context
from workbench.engine.lifecycle import Lifecycle
from workbench.engine.queueing import WaitingLine
from workbench.engine.sampler import Sampler
from workbench.engine.sequence import Sequence, Slot, cancelled_unstarted, common_prefix
from workbench.engine.speculation import Speculation
from workbench.engine.tally import Tally
from workbench.engine.ticket import Ticket
from workbench.engine.tiers import WORTH_KEEPING
from workbench.engine.weights import Weights
from workbench.errors import ContextOverflow, DecodeError, OutOfMemory
from workbench.interfaces import EngineStats, FinishReason
from workbench.settings import EngineSettings

_PERSIST_AFTER_S = 1.0
"""Idle seconds after which finished sequences are written to disk: between two turns rather than during one."""

ROOM_FOR_ANSWER = 256
"""New tokens an open-ended request has room for at first when ``n_ctx`` is left open."""

SURE_ROOM = 1024
"""New tokens an open-ended request is sure of in a context of fixed size, if that is large enough."""


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
        self._jobs: list[tuple[Callable[[], None], Callable[[Exception], None]]] = []
        self._speculation: Speculation | None = None
        if settings.speculation != "off" and not weights.recurrent:
            self._speculation = Speculation(weights, settings, 256)

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
        self._waiting.add(ticket)

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
            self._drop_cancelled()
            self._admit()
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
        self._forget()

    def borrow_slot(self, tokens: int) -> tuple[Context, Slot]:
        """For an exclusive job: a context for ``tokens`` and an emptied slot of it; release it afterwards."""
        context = self._context_for(tokens, tokens)
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
            self.residency.to_disk()
        if due is not None and idle_s >= due:
            self.life.release()
            return None
        pending = [at for at in (_PERSIST_AFTER_S if self.life.tiers.writes else None, due) if at is not None]
        later = [at - idle_s for at in pending if at > idle_s]
        return min(later) if later else None

    def free(self) -> None:
        """Give the context back, and the samplers of what still runs."""
        for sequence in self.running:
            sequence.sampler.free()
            self.residency.release(sequence.slot, keep=False)
        self.running = []
        if self._speculation is not None:
            self._speculation.free()
        self.life.close()

    # -- admission -----------------------------------------------------------------------------------------------

    def _drop_cancelled(self) -> None:
        for sequence in [s for s in self.running if s.ticket.cancelled]:
            self._retire(sequence, "cancelled")
        for ticket in self._waiting.take_cancelled():
            ticket.end(cancelled_unstarted(ticket, self.weights.file.name, self.effective))
            self.tally.requests += 1

    def _admit(self) -> None:
        if self._jobs:
            return  # they run when nothing else does, so nothing new may start
        for ticket in self._waiting if len(self._waiting) else ():
            if len(self.running) >= self.settings.n_seq_max:
                return
            if self._better_later(ticket):
                continue
            try:
                if not self._start(ticket):
                    return
            except Exception as error:  # nothing was computed yet: the others and the KV cache are as they were
                ticket.end(error)
            self._waiting.remove(ticket)

    def _better_later(self, ticket: Ticket) -> bool:
        """Whether a running sequence is just computing more of this prompt than can be had now: wait, then share it."""
        if not self._usable(ticket):
            return False
        coming = 0
        for sequence in self.running:
            if sequence.done < len(sequence.ticket.prompt):
                shared = common_prefix(sequence.ticket.prompt, ticket.prompt)
                if shared > sequence.done:
                    coming = max(coming, shared)
        return coming >= WORTH_KEEPING and coming - self.residency.held(ticket.prompt)[0] >= WORTH_KEEPING

    def _usable(self, ticket: Ticket) -> int:
        """Prompt tokens that may be reused; the last one is always computed: its logits are needed."""
        return len(ticket.prompt) - 1 if self.settings.prefix_cache and ticket.request.cache_prompt else 0

    def _start(self, ticket: Ticket) -> bool:
        """Give a request a slot; False: it has to wait for cells that running sequences hold."""
        prompt, limit = ticket.prompt, self.limit
        capacity = limit if self.settings.n_ctx is None else self._share(ticket)
        soon = min(len(prompt) + (ticket.request.max_tokens or ROOM_FOR_ANSWER) - 1, limit)
        context = self._context_with_room(ticket, soon if self.settings.n_ctx is None else capacity)
        if context is None:
            return False
        sampler = Sampler(ticket.request.sampling, self.weights.vocabulary, self.weights.n_ctx_train)
        try:
            sampler.replay(prompt)
            cells = context.n_ctx - self._outstanding() if context.unified else None
            slot, receipt = self.residency.place(prompt, self._usable(ticket), cells=cells)
        except BaseException:
            sampler.free()
            raise
        endless = self.settings.context_shift and context.can_shift
        sequence = Sequence(ticket, slot, receipt, capacity, sampler, endless=endless)
        self.running.append(sequence)
        self._make_way(context, sequence)
        if self._speculation is not None:
            self._speculation.begin(sequence)
        self.tally.admitted(sequence)
        return True

    def _context_with_room(self, ticket: Ticket, need: int) -> Context | None:
        """A context in which a request may have ``need`` tokens; ``None``: not while the others run."""
        prompt = len(ticket.prompt)
        together = need + (self._taken_by_running(ticket) if self.running else 0)
        try:
            context = self._context_for(need, together)
        except OutOfMemory:
            present = self.life.context
            if present is None or (prompt > present.n_ctx_seq and not self.running):
                raise
            context = present
        room = self.life.room
        if room is not None and self.life.plan.holds(room, need, together):
            return context
        if self.running:
            return None
        if prompt > context.n_ctx_seq:
            raise ContextOverflow(prompt, context.n_ctx_seq)
        return context

    def _taken_by_running(self, ticket: Ticket) -> int:
        """Cells of one shared buffer that running sequences have or will take, less those the request would share."""
        shared, source = self.residency.held(ticket.prompt[: self._usable(ticket)])
        own = shared if source is not None and source.busy else 0
        return self.residency.used_by_running + self._outstanding() - own

    def _context_for(self, need: int, together: int) -> Context:
        started = time.perf_counter()
        before = self.life.context
        context = self.life.ensure(need, together)
        if context is not before:
            self.tally.making_s += time.perf_counter() - started
        return context

    def _make_way(self, context: Context, sequence: Sequence) -> None:
        """Let idle sequences leave that take the new one's cells, or its time."""
        if context.unified:
            self.residency.make_room(self._outstanding(), context.n_ctx, besides=(sequence.slot,))
            self.residency.clear_the_way()

    def _share(self, ticket: Ticket) -> int:
        """KV cells a request gets in a context of fixed size: prompt and answer, or its share if it is open-ended."""
        prompt, answer, s = len(ticket.prompt), ticket.request.max_tokens, self.settings
        if answer is not None:
            return min(prompt + answer - 1, self.limit)
        return min(max(prompt + SURE_ROOM, (s.n_ctx or 0) // s.n_seq_max), self.limit)

    def _reservation(self, sequence: Sequence) -> int:
        """Cells a running sequence may still come to have without asking again."""
        if self.settings.n_ctx is not None:
            return sequence.capacity
        asked = sequence.ticket.request.max_tokens or ROOM_FOR_ANSWER
        soon = len(sequence.ticket.prompt) + asked - 1
        return min(max(soon, len(sequence.slot.tokens) + 1), sequence.capacity)

    def _outstanding(self) -> int:
        """Cells that running sequences will take beyond those they hold."""
        return sum(max(0, self._reservation(s) - len(s.slot.tokens)) for s in self.running)

    # -- one decode ----------------------------------------------------------------------------------------------

    def _advance(self) -> float:
        """Fill the batch, decode, sample; returns the seconds spent in llama.cpp."""
        self._find_room()
        context = self.life.context
        if context is None or not self.running:
            return 0.0
        decoding_only = self._fill(context)
        started = time.perf_counter()
        code = context.decode()
        if code:
            self._isolate(context, code)
            return time.perf_counter() - started
        self.tally.steps += 1
        if self._speculation is not None and decoding_only:
            self._speculation.costs.observe(context.batch.size, time.perf_counter() - started)
        drawn = [(s, self._draw(s, context)) for s in self.running if s.logits_at is not None]
        now = time.perf_counter()
        for sequence, tokens in drawn:
            if isinstance(tokens, Exception):
                self._end(sequence, tokens)
            else:
                self._take(sequence, tokens, now)
        return now - started

    def _fill(self, context: Context) -> bool:
        """Put the step's tokens into the batch; returns whether there is no prompt among them."""
        batch = context.batch
        batch.clear()
        decoding = []
        for sequence in self.running:
            sequence.before_step = (len(sequence.slot.tokens), sequence.done)
            sequence.logits_at = None
            if sequence.pending == 1:
                decoding.append(sequence)
        self._fill_decoding(decoding, context)
        if len(decoding) == len(self.running):
            return True
        for sequence in self.running:
            if sequence.pending and batch.room:
                self._fill_prompt(sequence, batch.room, context)
        return False

    def _fill_decoding(self, decoding: list[Sequence], context: Context) -> None:
        """One token of each sequence that decodes, and guesses; written to the batch at once."""
        batch = context.batch
        tokens: list[int] = []
        positions: list[int] = []
        ids: list[int] = []
        base, room = len(decoding), batch.capacity - len(decoding)
        for sequence in decoding:
            slot = sequence.slot
            start = len(tokens)
            guesses = self._guesses(sequence, base, room) if self._speculation is not None else []
            sequence.drafted, sequence.logits_at = guesses, start
            tokens.append(sequence.tokens[-1])
            if guesses:
                tokens.extend(guesses)
                base, room = base + len(guesses), room - len(guesses)
            held = len(slot.tokens)
            positions.extend(range(held, held + 1 + len(guesses)))
            ids.extend([slot.index] * (1 + len(guesses)))
            self.residency.extend(slot, tokens[start:], 1 + len(guesses))
            sequence.done += 1
        if tokens:
            batch.add_tokens(tokens, positions, ids)

    def _guesses(self, sequence: Sequence, base: int, room: int) -> list[int]:
        assert self._speculation is not None  # noqa: S101 - asked by the only caller
        if not sequence.output:
            return []
        left = sequence.capacity - len(sequence.slot.tokens) - 1
        if self.settings.n_ctx is None and self.life.context is not None:
            left = min(left, self._free_cells(self.life.context, sequence) - base)
        return self._speculation.propose(sequence, base, min(room, left))

    def _fill_prompt(self, sequence: Sequence, room: int, context: Context) -> None:
        begin = sequence.done
        piece = sequence.tokens[begin : begin + room]
        complete = begin + len(piece) == len(sequence.tokens)
        slot = sequence.slot
        last = context.batch.add_run(piece, len(slot.tokens), slot.index, logits="last" if complete else "none")
        self.residency.extend(slot, piece, len(piece))
        sequence.done += len(piece)
        sequence.drafted = []
        if complete:
            sequence.logits_at = last

    def _draw(self, sequence: Sequence, context: Context) -> list[int] | Exception:
        """The samples of a step: one, and one more for each guess that was right; or what this sequence failed with."""
        at, raw, draw = sequence.logits_at or 0, context.raw, sequence.sampler.draw
        try:
            drawn = [draw(raw, at)]
            for guess in sequence.drafted:
                if drawn[-1] != guess or self.weights.vocabulary.ends_generation(guess):
                    break
                drawn.append(draw(raw, at + len(drawn)))
        except Exception as error:
            return error
        return drawn

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
        vocabulary = self.weights.vocabulary
        for at, token in enumerate(tokens, 1):
            ends = vocabulary.ends_generation(token)
            reason = sequence.accept(token, b"" if ends else vocabulary.piece(token), ends=ends, at=now)
            if reason:
                unsaid = len(tokens) - at
                if unsaid:
                    self.residency.truncate(sequence.slot, len(sequence.slot.tokens) - unsaid)
                self._retire(sequence, reason)
                return

    # -- room while running --------------------------------------------------------------------------------------

    def _find_room(self) -> None:
        """See to it that every running sequence has cells for this step: shift, grow, or end what cannot go on."""
        for sequence in list(self.running):
            if len(sequence.slot.tokens) >= sequence.capacity and not self._shift(sequence):
                self._full(sequence)
        context = self.life.context
        if context is None or self.settings.n_ctx is not None:
            return
        while self.running and not self._fits_step(context):
            try:
                longest = max(self._after_step(s, context) for s in self.running)
                grown = self._context_for(longest, sum(self._after_step(s, context) for s in self.running))
            except OutOfMemory:
                grown = context
            if grown is context and not self._make_step_fit(context):
                self._full(max(self.running, key=lambda s: len(s.slot.tokens)))
            context = grown

    def _after_step(self, sequence: Sequence, context: Context) -> int:
        """Tokens a sequence has after the coming step."""
        return len(sequence.slot.tokens) + min(sequence.pending, context.batch.capacity)

    def _fits_step(self, context: Context) -> bool:
        if not context.unified:
            return all(self._after_step(s, context) <= context.n_ctx_seq for s in self.running)
        new = sum(min(s.pending, context.batch.capacity) for s in self.running)
        return self.residency.used + min(new, context.batch.capacity) <= context.n_ctx

    def _make_step_fit(self, context: Context) -> bool:
        """Let idle sequences leave; False: that does not help."""
        if not context.unified:
            return False
        new = sum(min(s.pending, context.batch.capacity) for s in self.running)
        return self.residency.make_room(min(new, context.batch.capacity), context.n_ctx)

    def _free_cells(self, context: Context, sequence: Sequence) -> int:
        if context.unified:
            return context.n_ctx - self.residency.used
        return context.n_ctx_seq - len(sequence.slot.tokens)

    def _shift(self, sequence: Sequence) -> bool:
        """Forget the older half of a full sequence, but for its first tokens."""
        if not self.settings.context_shift or sequence.pending != 1:
            return False
        held = len(sequence.slot.tokens)
        keep = min(self.settings.n_keep, held)
        discard = (held - keep) // 2
        if discard < 1 or not self.residency.shift(sequence.slot, keep, discard):
            return False
        sequence.shifted += discard
        return True

    def _full(self, sequence: Sequence) -> None:
        """There are no more cells to be had for a sequence."""
        if sequence.output:
            self._retire(sequence, "length")
        else:
            held = len(sequence.slot.tokens)
            self._end(sequence, ContextOverflow(len(sequence.tokens), held, "There is no memory for a larger context."))

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
        held, done = sequence.before_step
        self.residency.truncate(sequence.slot, held)
        sequence.done = done if len(sequence.slot.tokens) == held else 0
        sequence.drafted, sequence.logits_at = [], None

    def _alone(self, sequence: Sequence, context: Context) -> Exception | None:
        """One step of one sequence; returns what it failed with."""
        others, self.running = self.running, [sequence]
        try:
            self._fill(context)
            code = context.decode()
            if code:
                self._step_back(sequence)
                return DecodeError(code)
            self.tally.steps += 1
            drawn = self._draw(sequence, context) if sequence.logits_at is not None else []
        finally:
            self.running = others
        if isinstance(drawn, Exception):
            return drawn
        if drawn:
            self._take(sequence, drawn, time.perf_counter())
        return None

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

    def _forget(self) -> None:
        if self.life.context is not None:
            self.life.context.clear()
        self.residency.forget()
