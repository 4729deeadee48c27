"""Cells for the sequences that run already: shift, grow, or end what cannot go on. Engine thread only."""

from __future__ import annotations

from collections.abc import Callable

from workbench.engine.native.context import Context
from workbench.engine.scheduling.lifecycle import Lifecycle
from workbench.engine.scheduling.sequence import Sequence
from workbench.errors import OutOfMemory
from workbench.settings import EngineSettings


class Headroom:
    """Sees to it that every running sequence has cells for the coming step.

    Args:
        settings: as asked for.
        life: the context.
        running: the sequences that run.
        context_for: makes the context larger, if it must be; (tokens of the longest sequence, of all) → context.
        full: called with a sequence for which there are no more cells; it runs no longer afterwards.
    """

    def __init__(
        self,
        settings: EngineSettings,
        life: Lifecycle,
        running: list[Sequence],
        context_for: Callable[[int, int], Context],
        full: Callable[[Sequence], None],
    ) -> None:
        self._settings, self._life, self._running = settings, life, running
        self._context_for, self._full = context_for, full
        self._seen, self._slack = -1, 0

    def find(self, started: int, *, step: int) -> None:
        """See to it that every running sequence has cells for this step: shift, grow, or end what cannot go on.

        Args:
            started: requests started so far. While nobody new came, nothing has to be looked at before the tokens
                computed since the last look could have filled anything.
            step: most tokens the coming step can have.
        """
        context = self._life.context
        if context is not None and started == self._seen:
            self._slack -= context.batch.size
            if self._slack >= step:
                return
        self._look()
        self._seen, self._slack = started, self._least_slack()

    def _least_slack(self) -> int:
        """Tokens that may be computed, by whichever sequence, before one of them or the context can be full."""
        context = self._life.context
        if context is None or not self._running:
            return 0
        slack = min(s.capacity - len(s.slot.tokens) for s in self._running)
        if self._settings.n_ctx is None:
            longest = max(len(s.slot.tokens) for s in self._running)
            slack = min(
                slack, context.n_ctx - self._life.residency.used if context.unified else context.n_ctx_seq - longest
            )
        return slack

    def _look(self) -> None:
        for sequence in list(self._running):
            if len(sequence.slot.tokens) >= sequence.capacity and not self._shift(sequence):
                self._full(sequence)
        context = self._life.context
        if context is None or self._settings.n_ctx is not None:
            return
        while self._running and not self._fits_step(context):
            try:
                longest = max(self._after_step(s, context) for s in self._running)
                grown = self._context_for(longest, sum(self._after_step(s, context) for s in self._running))
            except OutOfMemory:
                grown = context
            if grown is context and not self._make_step_fit(context):
                self._full(max(self._running, key=lambda s: len(s.slot.tokens)))
            context = grown

    def _after_step(self, sequence: Sequence, context: Context) -> int:
        """Tokens a sequence has after the coming step."""
        return len(sequence.slot.tokens) + min(sequence.pending, context.batch.capacity)

    def _fits_step(self, context: Context) -> bool:
        if not context.unified:
            return all(self._after_step(s, context) <= context.n_ctx_seq for s in self._running)
        new = sum(min(s.pending, context.batch.capacity) for s in self._running)
        return self._life.residency.used + min(new, context.batch.capacity) <= context.n_ctx

    def _make_step_fit(self, context: Context) -> bool:
        """Let idle sequences leave; False: that does not help."""
        if not context.unified:
            return False
        new = sum(min(s.pending, context.batch.capacity) for s in self._running)
        return self._life.residency.make_room(min(new, context.batch.capacity), context.n_ctx)

    def _shift(self, sequence: Sequence) -> bool:
        """Forget the older half of a full sequence, but for its first tokens."""
        if not self._settings.context_shift or sequence.pending != 1:
            return False
        held = len(sequence.slot.tokens)
        keep = min(self._settings.n_keep, held)
        discard = (held - keep) // 2
        if discard < 1 or not self._life.residency.shift(sequence.slot, keep, discard):
            return False
        sequence.shifted += discard
        return True
