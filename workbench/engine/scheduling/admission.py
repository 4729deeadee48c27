"""Which request starts next, where, and with how many cells. Engine thread only.

A request waits for a sequence id, for cells, and for a running request that is just computing the beginning of its
prompt: that beginning is shared then rather than computed twice.
"""

from __future__ import annotations

import time
import warnings

from workbench.engine.native.context import Context
from workbench.engine.native.weights import Weights
from workbench.engine.reuse.slot import common_prefix
from workbench.engine.reuse.tiers import WORTH_KEEPING
from workbench.engine.sampling.device_sampler import DeviceSampler, can_offload
from workbench.engine.sampling.grammar import compile_constraint
from workbench.engine.sampling.sampler import Sampler
from workbench.engine.scheduling.lifecycle import Lifecycle
from workbench.engine.scheduling.queueing import WaitingLine
from workbench.engine.scheduling.sequence import Sequence
from workbench.engine.scheduling.speculation import Speculation
from workbench.engine.scheduling.tally import Tally
from workbench.engine.scheduling.ticket import Ticket
from workbench.errors import ContextOverflow, OutOfMemory, SettingAdjusted
from workbench.settings import EngineSettings

ROOM_FOR_ANSWER = 256
"""New tokens an open-ended request has room for at first when ``n_ctx`` is left open."""

SURE_ROOM = 1024
"""New tokens an open-ended request is sure of in a context of fixed size, if that is large enough."""


class Admission:
    """Turns waiting tickets into running sequences.

    Args:
        weights: the model.
        settings: as asked for.
        life: the context.
        running: the sequences that run; new ones are appended.
        tally: what is counted.
        speculation: told of each new sequence.
    """

    def __init__(
        self,
        weights: Weights,
        settings: EngineSettings,
        life: Lifecycle,
        running: list[Sequence],
        tally: Tally,
        speculation: Speculation | None,
    ) -> None:
        self._weights, self._settings, self._life = weights, settings, life
        self._running, self._tally, self._speculation = running, tally, speculation
        self._told_host_draws = False

    def admit(self, waiting: WaitingLine) -> None:
        """Start what can start, in the order of the line; what cannot be started at all fails."""
        if not len(waiting):
            return
        for ticket in waiting:
            if len(self._running) >= self._settings.n_seq_max:
                return
            if self._better_later(ticket):
                continue
            try:
                if not self._start(ticket):
                    return
            except Exception as error:  # nothing was computed yet: the others and the KV cache are as they were
                ticket.end(error)
            waiting.remove(ticket)

    def _better_later(self, ticket: Ticket) -> bool:
        """Whether a running sequence is just computing more of this prompt than can be had now: wait, then share it."""
        if not self._usable(ticket):
            return False
        coming = 0
        for sequence in self._running:
            if sequence.done < len(sequence.ticket.prompt):
                shared = common_prefix(sequence.ticket.prompt, ticket.prompt)
                if shared > sequence.done:
                    coming = max(coming, shared)
        return coming >= WORTH_KEEPING and coming - self._life.residency.held(ticket.prompt)[0] >= WORTH_KEEPING

    def _usable(self, ticket: Ticket) -> int:
        """Prompt tokens that may be reused; the last one is always computed: its logits are needed."""
        return len(ticket.prompt) - 1 if self._settings.prefix_cache and ticket.request.cache_prompt else 0

    def _start(self, ticket: Ticket) -> bool:
        """Give a request a slot; False: it has to wait for cells that running sequences hold."""
        prompt, limit = ticket.prompt, self._life.plan.limit
        capacity = limit if self._settings.n_ctx is None else self._share(ticket)
        soon = min(len(prompt) + (ticket.request.max_tokens or ROOM_FOR_ANSWER) - 1, limit)
        context = self._context_with_room(ticket, soon if self._settings.n_ctx is None else capacity)
        if context is None:
            return False
        sampler = self._sampler(ticket)
        try:
            sampler.replay(prompt)
            cells = context.n_ctx - self._outstanding() if context.unified else None
            slot, receipt = self._life.residency.place(prompt, self._usable(ticket), cells=cells)
        except BaseException:
            sampler.free()
            raise
        endless = self._settings.context_shift and context.can_shift
        sequence = Sequence(ticket, slot, receipt, capacity, sampler, endless=endless)
        self._running.append(sequence)
        if isinstance(sampler, DeviceSampler):
            self._attach(sampler, context, sequence)
        self._make_way(context, sequence)
        if self._speculation is not None:
            self._speculation.begin(sequence)
        self._tally.admitted(sequence)
        return True

    def _sampler(self, ticket: Ticket) -> Sampler:
        """Draws on the GPU if that was asked for and can be: one token a sequence and step, and no guesses."""
        sampling, vocabulary, n_ctx_train = (
            ticket.request.sampling,
            self._weights.vocabulary,
            self._weights.n_ctx_train,
        )
        constraint = compile_constraint(ticket.request, vocabulary)
        if self._settings.gpu_sampling and self._speculation is None and can_offload(sampling, constraint):
            return DeviceSampler(sampling, vocabulary, n_ctx_train)
        return Sampler(sampling, vocabulary, n_ctx_train, constraint)

    def _attach(self, sampler: DeviceSampler, context: Context, sequence: Sequence) -> None:
        if not sampler.attach(context.raw, sequence.slot.index) and not self._told_host_draws:
            self._told_host_draws = True
            warnings.warn(
                "gpu_sampling=True is not possible for this model and device; tokens are drawn on the host.",
                SettingAdjusted,
                stacklevel=2,
            )

    def _context_with_room(self, ticket: Ticket, need: int) -> Context | None:
        """A context in which a request may have ``need`` tokens; ``None``: not while the others run."""
        prompt = len(ticket.prompt)
        together = need + (self._taken_by_running(ticket) if self._running else 0)
        if self._can_begin(ticket) and self._life.prepare(need, together):
            return self._life.context
        try:
            context = self.context_for(need, together)
        except OutOfMemory:
            present = self._life.context
            if present is None or (prompt > present.n_ctx_seq and not self._running):
                raise
            context = present
        room = self._life.room
        if room is not None and self._life.plan.holds(room, need, together):
            return context
        if self._running:
            return None
        if prompt > context.n_ctx_seq:
            raise ContextOverflow(prompt, context.n_ctx_seq)
        return context

    def _can_begin(self, ticket: Ticket) -> bool:
        """Whether a request that will outgrow the present context can start in it: nothing else has to leave."""
        context, prompt = self._life.context, len(ticket.prompt)
        if context is None or self._running or prompt >= context.n_ctx_seq:
            return False
        shared, _ = self._life.residency.held(ticket.prompt[: self._usable(ticket)])
        return not context.unified or self._life.residency.used + prompt - shared < context.n_ctx

    def _taken_by_running(self, ticket: Ticket) -> int:
        """Cells of one shared buffer that running sequences have or will take, less those the request would share."""
        shared, source = self._life.residency.held(ticket.prompt[: self._usable(ticket)])
        own = shared if source is not None and source.busy else 0
        return self._life.residency.used_by_running + self._outstanding() - own

    def context_for(self, need: int, together: int) -> Context:
        """A context for a sequence of ``need`` tokens among ``together`` of all; see :meth:`Lifecycle.ensure`."""
        started = time.perf_counter()
        before = self._life.context
        if before is not None and self._life.is_enough(need, together):
            return before
        drawing = [(s.sampler, s) for s in self._running if isinstance(s.sampler, DeviceSampler)]
        for sampler, _ in drawing:
            sampler.detach()
        try:
            context = self._life.ensure(need, together)
        finally:
            if self._life.context is not None:
                for sampler, sequence in drawing:
                    self._attach(sampler, self._life.context, sequence)
        if context is not before:
            self._tally.making_s += time.perf_counter() - started
        return context

    def _make_way(self, context: Context, sequence: Sequence) -> None:
        """Let idle sequences leave that take the new one's cells, or its time."""
        if context.unified:
            self._life.residency.make_room(self._outstanding(), context.n_ctx, besides=(sequence.slot,))
            self._life.residency.clear_the_way()

    def _share(self, ticket: Ticket) -> int:
        """KV cells a request gets in a context of fixed size: prompt and answer, or its share if it is open-ended."""
        prompt, answer, s = len(ticket.prompt), ticket.request.max_tokens, self._settings
        if answer is not None:
            return min(prompt + answer - 1, self._life.plan.limit)
        return min(max(prompt + SURE_ROOM, (s.n_ctx or 0) // s.n_seq_max), self._life.plan.limit)

    def _reservation(self, sequence: Sequence) -> int:
        """Cells a running sequence may still come to have without asking again."""
        if self._settings.n_ctx is not None:
            return sequence.capacity
        asked = sequence.ticket.request.max_tokens or ROOM_FOR_ANSWER
        soon = len(sequence.ticket.prompt) + asked - 1
        return min(max(soon, len(sequence.slot.tokens) + 1), sequence.capacity)

    def _outstanding(self) -> int:
        """Cells that running sequences will take beyond those they hold."""
        return sum(max(0, self._reservation(s) - len(s.slot.tokens)) for s in self._running)
