"""The context of an engine: made when it is first needed, remade larger with what it held, given back when idle.

Engine thread only. Knows sequences through :class:`Residency`; requests not at all.
"""

from __future__ import annotations

import logging
import time

from workbench.engine.allocation import record_allocation
from workbench.engine.native.context import Context
from workbench.engine.native.weights import Weights
from workbench.engine.reuse.residency import Luggage, Residency
from workbench.engine.reuse.tiers import Tiers, milliseconds_since
from workbench.engine.scheduling.room import Room, RoomPlan
from workbench.engine.scheduling.successor import Successor
from workbench.errors import DecodeError, OutOfMemory
from workbench.settings import EngineSettings

_NEARLY_FULL = 0.75
"""Share of an open context from which it grows ahead of the need."""

_STATE_SPARE_BYTES = 2**20
"""A context's state is its cache, what is known of each cell, and the logits kept for its sequences."""

log = logging.getLogger("workbench.engine")


class Lifecycle:
    """One context at a time, and the sequences in it.

    Args:
        weights: the model.
        settings: as asked for.

    Attributes:
        context: the present one, or ``None``.
        created_ms: time it took to make.
        grown: times it was remade.
        longest_ms: the longest pause that was for a request.
        released: times it was given back for want of work.
    """

    def __init__(self, weights: Weights, settings: EngineSettings) -> None:
        self.weights, self.settings = weights, settings
        self.plan = RoomPlan(weights, settings)
        self.tiers = Tiers(weights, settings)
        self.residency = Residency(self.tiers)
        self.context: Context | None = None
        self._next = Successor(self._new)
        self.created_ms: float | None = None
        self.grown = self.released = 0
        self.longest_ms = 0.0

    @property
    def room(self) -> Room | None:
        """What the present context holds."""
        return None if self.context is None else Room(self.context.n_ctx, self.context.unified)

    def is_enough(self, need: int, together: int) -> bool:
        """Whether the present context has room for a sequence of ``need`` tokens among ``together`` that run."""
        now = self.room
        return now is not None and self.plan.holds(now, need, together)

    def ensure(self, need: int, together: int, *, ahead: bool = False) -> Context:
        """A context for a sequence of ``need`` tokens among ``together`` that run; remade if the present one is small.

        Args:
            need: tokens of the longest sequence.
            together: tokens of all.
            ahead: nobody waits for it, so it is no pause.

        Raises:
            OutOfMemory: it does not fit into memory; the present context is as it was.
            ModelLoadError: llama.cpp refused.
        """
        now = self.room
        if self.context is not None and self.is_enough(need, together):
            return self.context
        wanted = self.plan.wanted(need, together, now)
        if self.context is None:
            return self._make(wanted)
        if now is not None and wanted.unified == now.unified and (self.settings.n_ctx or wanted.n_ctx <= now.n_ctx):
            return self.context  # as large as it may be
        return self._remake(self.context, wanted, ahead=ahead)

    def prepare(self, need: int, together: int) -> bool:
        """Begin to make the larger context that ``need`` tokens will take while the present one works.

        Returns:
            False: there is no memory for both at once, or it could not take over all that the present one holds as
            it is: whoever needs it grows at once.
        """
        now = self.room
        if now is None or self.settings.n_ctx is not None or self.weights.n_gpu_layers:
            return False
        wanted = self.plan.wanted(need, together, now)
        if wanted.unified != now.unified or wanted.n_ctx <= now.n_ctx:
            return False
        held = 0 if self.context is None else self.context.kv_bytes
        try:
            self.plan.check(wanted, -held)  # the buffer that everything goes through
        except OutOfMemory:
            return False
        self._next.prepare(wanted, held + _STATE_SPARE_BYTES)
        return True

    def grow_ahead(self) -> None:
        """Make a nearly full open context larger now that nobody waits, rather than in the next turn."""
        context = self.context
        if context is None or self.settings.n_ctx is not None:
            return
        longest = max(len(slot.tokens) for slot in self.residency.slots)
        filled = self.residency.used / context.n_ctx if context.unified else longest / context.n_ctx_seq
        if filled >= _NEARLY_FULL:
            try:
                self.ensure(min(context.n_ctx_seq + 1, self.plan.limit), context.n_ctx + 1, ahead=True)
            except OutOfMemory:
                log.info("the context is nearly full, and there is no memory for a larger one")
        self._next.discard()

    def release(self) -> None:
        """Give the context back; its idle sequences stay in host memory."""
        if self.context is not None:
            self.residency.to_host()
            self.residency.to_disk()
            self.discard()
            self.released += 1

    def forget(self) -> None:
        """Forget every sequence, keep the context."""
        if self.context is not None:
            self.context.clear()
        self.residency.forget()

    def discard(self) -> None:
        """Give the context back with all it holds. Idempotent."""
        self._next.discard()
        if self.context is not None:
            self.residency.unbind()
            self.context.free()
            self.context = None

    def close(self) -> None:
        """Write what is worth keeping to disk, if that tier is on, and give everything back."""
        self.residency.to_disk(wait=True)
        self.tiers.close()
        self.discard()

    def _make(self, room: Room) -> Context:
        self.context = self._new(room)
        self.created_ms = self.context.create_ms
        said, ids = self.context.said, self.context.n_ids
        record_allocation(self.weights.file, self.context.settings, said, n_ctx=room.n_ctx, n_ids=ids)
        self.residency.bind(self.context)
        return self.context

    def _remake(self, old: Context, room: Room, *, ahead: bool) -> Context:
        """A larger context with all that the old one held, nothing computed again."""
        started = time.perf_counter()
        made = self._next.take(room)
        if made is None:
            self._move(old, room)
        else:
            luggage = self.residency.pack(whole=True, buffer=made.buffer)
            self.context = made.context
            self._next.retire(old)
            self._settle(luggage)
        assert self.context is not None  # noqa: S101 - both ways end with one
        self.grown += 1
        if not ahead:
            self.longest_ms = max(self.longest_ms, milliseconds_since(started))
        return self.context

    def _move(self, old: Context, room: Room) -> None:
        """Give the old context back first: there may not be memory for both."""
        self.plan.check(room, old.kv_bytes)
        before = Room(old.n_ctx, old.unified)
        luggage = self.residency.pack(whole=room.unified == old.unified)
        old.free()
        try:
            self.context = self._new(room)
        except Exception:
            self.context = self._new(before)
            self.residency.unpack(luggage, self.context)
            raise
        self._settle(luggage)

    def _settle(self, luggage: Luggage) -> None:
        if self.context is None or not self.residency.unpack(luggage, self.context):
            raise DecodeError(1, "The larger context did not take over what the smaller one held.")

    def _new(self, room: Room) -> Context:
        settings = self.settings.replace(kv_unified=room.unified)
        return Context(self.weights, settings, room.n_ctx, n_ids=self.plan.ids(room))
