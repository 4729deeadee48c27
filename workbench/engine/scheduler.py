"""Which tokens go into the next batch, and what becomes of the logits. Engine thread only.

Each step: admit waiting requests to free slots, put one token of every running sequence into the batch, fill the rest
with prompt pieces (decode first, chunked prefill, as llama-server does), decode, sample. A request is admitted only
when its KV cells are sure to be there, so a running sequence never runs out of them.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

from workbench.engine.context import Context
from workbench.engine.sampler import Sampler
from workbench.engine.sequence import Sequence, Slot, cancelled_unstarted
from workbench.engine.ticket import Ticket
from workbench.engine.weights import Weights
from workbench.errors import DecodeError
from workbench.interfaces import EngineStats
from workbench.settings import EngineSettings

FIRST_N_CTX = 2048
"""What a context starts with when ``n_ctx`` is left open."""

ROOM_FOR_ANSWER = 1024
"""New tokens an open-ended request has room for when ``n_ctx`` is left open."""


class Scheduler:
    """Runs tickets on one context.

    Args:
        weights: the model.
        settings: as asked for; ``n_ctx=None`` lets the context grow with the requests.
    """

    def __init__(self, weights: Weights, settings: EngineSettings) -> None:
        self.weights, self.settings = weights, settings
        self.context: Context | None = None
        self.context_ms: float | None = None
        self.running: list[Sequence] = []
        self._slots = [Slot(i) for i in range(settings.n_seq_max)]
        self._waiting: list[tuple[int, int, Ticket]] = []
        self._jobs: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._arrivals = itertools.count()
        self._requests = self._prompt_tokens = self._cached_tokens = self._output_tokens = 0
        self._steps, self._compute_s, self._host_s = 0, 0.0, 0.0

    @property
    def busy(self) -> bool:
        """Whether :meth:`step` has something to do."""
        return bool(self.running or self._waiting or self._jobs)

    @property
    def limit(self) -> int:
        """Most tokens one sequence can have, prompt and answer together."""
        total = self.settings.n_ctx or self.weights.n_ctx_train
        return total if self.settings.unified else total // self.settings.n_seq_max

    @property
    def effective(self) -> EngineSettings:
        """Settings in force; what only a context decides is open until there is one."""
        context = self.context  # any thread may ask while it is being remade
        if context is not None:
            return context.settings
        return self.settings.replace(n_gpu_layers=self.weights.n_gpu_layers)

    def submit(self, ticket: Ticket) -> None:
        """Queue a request: by priority, then by arrival."""
        heapq.heappush(self._waiting, (ticket.request.priority, next(self._arrivals), ticket))

    def exclusively(self, job: Callable[[], None], abandoned: Callable[[], None]) -> None:
        """Run ``job`` when no sequence is running; what has not started by then waits. ``abandoned``: it never will."""
        self._jobs.append((job, abandoned))

    def abandon(self) -> None:
        """Tell the jobs that have not run that they never will."""
        for _, abandoned in self._jobs:
            abandoned()
        self._jobs = []

    def step(self) -> None:
        """One turn of the loop. What fails, fails its requests; the loop goes on."""
        if self._jobs and not self.running:
            self._jobs.pop(0)[0]()
            return
        started, context, computed = time.perf_counter(), self.context, 0.0
        try:
            self._drop_cancelled()
            self._admit()
            if self.context is not context:
                started = time.perf_counter()  # making a context is no part of a step
            if self.running:
                computed = self._advance()
        except Exception as error:
            self.fail_all(error)
        self._compute_s += computed
        self._host_s += time.perf_counter() - started - computed

    def fail_all(self, error: BaseException) -> None:
        """End every request with ``error`` and forget the KV cache, whose state is unknown now."""
        for sequence in self.running:
            sequence.sampler.free()
            sequence.ticket.end(error)
        for _, _, ticket in self._waiting:
            ticket.end(error)
        self.running, self._waiting = [], []
        self._forget()

    def borrow_slot(self, tokens: int) -> tuple[Context, Slot]:
        """For an exclusive job: a context for ``tokens`` and its least recently used slot, emptied."""
        context = self.ensure_context(tokens)
        slot = min(self._slots, key=lambda slot: slot.used)
        context.drop(slot.index)
        slot.tokens = []
        self._make_room(context, tokens, slot)
        return context, slot

    def ensure_context(self, need: int) -> Context:
        """A context where one sequence can have ``need`` tokens; remade larger if the settings leave its size open."""
        if self.context is not None and (self.settings.n_ctx or need <= self.context.n_ctx_seq):
            return self.context
        if self.context is not None:
            self._release_context()
        # As much for every sequence, or they would run one after the other for want of cells.
        room = max(FIRST_N_CTX, _power_of_two(need * self.settings.n_seq_max))
        size = self.settings.n_ctx or min(self.weights.n_ctx_train, room)
        self.context = Context(self.weights, self.settings, size)
        self.context_ms = self.context.create_ms
        return self.context

    def stats(self, state: str) -> EngineStats:
        """A snapshot; reads plain numbers only, so any thread may ask."""
        context = self.context
        used = sum(len(slot.tokens) for slot in self._slots) if context else None
        return EngineStats(
            state=state,  # type: ignore[arg-type]
            n_ctx=context.n_ctx if context else None,
            kv_used_tokens=used,
            kv_bytes=context.kv_bytes if context else None,
            weights_bytes=self.weights.size_bytes,
            load_ms=self.weights.load_ms,
            context_ms=self.context_ms,
            requests=self._requests,
            waiting=len(self._waiting),
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            output_tokens=self._output_tokens,
            steps=self._steps,
            compute_ms=1e3 * self._compute_s,
            host_ms=1e3 * self._host_s,
        )

    def free(self) -> None:
        """Give the context back, and the samplers of what still runs."""
        for sequence in self.running:
            sequence.sampler.free()
        self.running = []
        self._release_context()

    # -- admission -----------------------------------------------------------------------------------------------

    def _drop_cancelled(self) -> None:
        for sequence in [s for s in self.running if s.ticket.cancelled]:
            self._retire(sequence, "cancelled")
        if any(ticket.cancelled for _, _, ticket in self._waiting):
            gone = [ticket for _, _, ticket in self._waiting if ticket.cancelled]
            self._waiting = [entry for entry in self._waiting if not entry[2].cancelled]
            heapq.heapify(self._waiting)
            for ticket in gone:
                ticket.end(cancelled_unstarted(ticket, self.weights.file.name, self.effective))
            self._requests += len(gone)

    def _admit(self) -> None:
        if self._jobs:
            return  # they run when nothing else does, so nothing new may start
        while self._waiting and len(self.running) < len(self._slots):
            ticket = self._waiting[0][2]
            try:
                started = self._start(ticket)
            except Exception as error:  # nothing was computed yet: the others and the KV cache are as they were
                heapq.heappop(self._waiting)
                ticket.end(error)
                continue
            if not started:
                return
            heapq.heappop(self._waiting)

    def _start(self, ticket: Ticket) -> bool:
        """Give a request a slot; False: it has to wait for cells that running sequences hold."""
        wanted = self._wanted(ticket)
        if self.running and self.context is not None and not self.settings.n_ctx and wanted > self.context.n_ctx_seq:
            return False  # the context can only be remade while nobody runs in it
        context = self.ensure_context(wanted)
        capacity = min(wanted, context.n_ctx_seq)
        if self._reserved() + capacity > context.n_ctx and self.running:
            return False
        sampler = Sampler(ticket.request.sampling, self.weights.vocabulary, self.weights.n_ctx_train)
        sampler.replay(ticket.prompt)
        slot, cached = self._choose_slot(ticket, context)
        self._make_room(context, capacity, slot)
        self.running.append(Sequence(ticket, slot, cached, capacity, sampler))
        self._prompt_tokens += len(ticket.prompt)
        self._cached_tokens += cached
        return True

    def _wanted(self, ticket: Ticket) -> int:
        """KV cells a request should have: prompt and answer, or its share of the context if it is open-ended."""
        prompt, answer = len(ticket.prompt), ticket.request.max_tokens
        if answer is not None:
            return min(prompt + answer - 1, self.limit)
        share = (self.settings.n_ctx or 0) // self.settings.n_seq_max
        return min(max(prompt + ROOM_FOR_ANSWER, share), self.limit)

    def _reserved(self) -> int:
        return sum(sequence.capacity for sequence in self.running)

    def _choose_slot(self, ticket: Ticket, context: Context) -> tuple[Slot, int]:
        """The free slot that holds the longest prefix of the prompt, cut down to it; else the least recently used."""
        taken = {sequence.slot.index for sequence in self.running}
        free = [slot for slot in self._slots if slot.index not in taken]
        # The last prompt token is always computed: its logits are needed.
        usable = len(ticket.prompt) - 1 if self.settings.prefix_cache and ticket.request.cache_prompt else 0
        held = [(min(slot.common_prefix(ticket.prompt), usable) if usable else 0, slot) for slot in free]
        cached, slot = max(held, key=lambda pair: (pair[0], -pair[1].used))
        if cached and context.first_position(slot.index) > 0:
            cached = 0  # a sliding window has dropped the beginning
        if not cached or not context.keep_prefix(slot.index, cached):
            context.drop(slot.index)
            cached = 0
        slot.tokens = slot.tokens[:cached]
        slot.used = time.perf_counter()
        return slot, cached

    def _make_room(self, context: Context, capacity: int, chosen: Slot) -> None:
        """Forget idle prefixes, least recently used first, until the new sequence fits."""
        taken = {sequence.slot.index for sequence in self.running} | {chosen.index}
        idle = sorted((s for s in self._slots if s.index not in taken and s.tokens), key=lambda slot: slot.used)
        need = self._reserved() + capacity + sum(len(slot.tokens) for slot in idle) - context.n_ctx
        for slot in idle:
            if need <= 0:
                return
            need -= len(slot.tokens)
            context.drop(slot.index)
            slot.tokens = []

    # -- one decode ----------------------------------------------------------------------------------------------

    def _advance(self) -> float:
        """Fill the batch, decode, sample; returns the seconds spent in llama.cpp."""
        context = self.context
        assert context is not None  # noqa: S101 - a running sequence has one
        self._fill(context)
        started = time.perf_counter()
        code = context.decode()
        if code:
            raise DecodeError(code)
        self._steps += 1
        drawn = [(s, s.sampler.draw(context.raw, s.logits_at)) for s in self.running if s.logits_at is not None]
        now = time.perf_counter()
        for sequence, token in drawn:
            self._take(sequence, token, now)
        return now - started

    def _fill(self, context: Context) -> None:
        batch = context.batch
        batch.clear()
        for sequence in self.running:
            sequence.logits_at = None
            if not sequence.prefilling:
                slot = sequence.slot
                sequence.logits_at = batch.add_token(sequence.output[-1], len(slot.tokens), slot.index)
                slot.tokens.append(sequence.output[-1])
        for sequence in self.running:
            if sequence.prefilling and batch.room:
                self._fill_prompt(sequence, batch.room, context)

    def _fill_prompt(self, sequence: Sequence, room: int, context: Context) -> None:
        prompt, begin = sequence.ticket.prompt, sequence.prefilled
        piece = prompt[begin : begin + room]
        sequence.prefilled = begin + len(piece)
        last = context.batch.add_run(
            piece, begin, sequence.slot.index, logits="none" if sequence.prefilling else "last"
        )
        sequence.slot.tokens.extend(piece)
        if not sequence.prefilling:
            sequence.logits_at = last

    def _take(self, sequence: Sequence, token: int, now: float) -> None:
        vocabulary = self.weights.vocabulary
        ends = vocabulary.ends_generation(token)
        reason = sequence.accept(token, b"" if ends else vocabulary.piece(token), ends=ends, at=now)
        if reason:
            self._retire(sequence, reason)

    def _retire(self, sequence: Sequence, reason: str) -> None:
        self.running.remove(sequence)
        sequence.sampler.free()
        self._requests += 1
        self._output_tokens += len(sequence.output)
        if not (self.settings.prefix_cache and sequence.ticket.request.cache_prompt) and self.context is not None:
            self.context.drop(sequence.slot.index)
            sequence.slot.tokens = []
        sequence.finish(reason, self.weights.file.name, self.effective)  # type: ignore[arg-type]

    def _forget(self) -> None:
        if self.context is not None:
            self.context.clear()
        for slot in self._slots:
            slot.tokens = []

    def _release_context(self) -> None:
        if self.context is not None:
            self.context.free()
            self.context = None
        for slot in self._slots:
            slot.tokens = []


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least ``n``."""
    return 1 << max(0, n - 1).bit_length()
