"""Which sequence id of the context holds which tokens, and how a new request gets as many of them as can be had.

A prompt's beginning may lie in an idle sequence (which then simply goes on), in one that runs or whose end is worth
keeping (shared: bookkeeping in one KV buffer, a copy between two), in host memory or on disk (restored). Whatever has
to leave goes to host memory. On a CPU idle sequences leave as soon as others run in the same buffer: attention there
reads every cell up to the highest used one, which costs more per token than the copy of the sequence (docs/LOG.md).
Engine thread only; knows no requests.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from workbench.engine.native.context import Context, State
from workbench.engine.reuse.cells import CellLedger
from workbench.engine.reuse.slot import Slot
from workbench.engine.reuse.tiers import WORTH_KEEPING, Kept, Tiers, milliseconds_since
from workbench.interfaces import Receipt

IDLE_CELLS = 256
"""Idle cells that may lie beside running sequences on a CPU: one step of llama.cpp's padding."""

WORTH_SHARING = 8
"""Tokens below which no copy is made: nearly all prompts have a first token in common."""

_NOTHING_HELD = "no kept sequence begins like this prompt"


@dataclasses.dataclass(frozen=True, slots=True)
class Luggage:
    """What goes from one context into the next.

    Attributes:
        whole: all sequences at once, shared cells once; for the same layout.
        parts: sequence id → its state; for another layout.
    """

    whole: State | None
    parts: dict[int, State]


class Residency:
    """The sequences of one context at a time.

    Args:
        tiers: where sequences go that have to leave.
    """

    def __init__(self, tiers: Tiers) -> None:
        self.tiers = tiers
        self.slots: list[Slot] = []
        self.context: Context | None = None
        self._cells = CellLedger()
        self._evicted = False

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def used(self) -> int:
        """KV cells in use."""
        return self._settled.used

    @property
    def used_by_running(self) -> int:
        """KV cells that would stay in use if every idle sequence left; at most too many."""
        cells = self._settled
        return cells.used - sum(cells.own(slot.index) for slot in self.slots if not slot.busy)

    def bind(self, context: Context) -> None:
        """Go on with a context that holds nothing."""
        self.context = context
        self.tiers.bind(context)
        self._cells.clear()
        self.slots = [Slot(index) for index in range(context.n_ids)]

    def unbind(self) -> None:
        """The context is gone, and what it held."""
        self.context = None
        self._cells.clear()
        self.slots = []

    def pack(self, *, whole: bool, buffer: State | None = None) -> Luggage:
        """What has to go into the next context: all of it at once, or sequence by sequence into another layout.

        Idle sequences that would have to be carried one by one go to host memory instead.
        """
        if whole:
            return Luggage(self._context.save_all(buffer), {})
        for slot in self.slots:
            if not slot.busy:
                self.evict(slot)
        busy = [slot for slot in self.slots if slot.busy and slot.tokens]
        return Luggage(None, {slot.index: self.tiers.state_of(self._context, slot.index) for slot in busy})

    def unpack(self, luggage: Luggage, context: Context) -> bool:
        """Go on with a context that takes what was packed; False: it did not, and nothing is held any more."""
        self.context = context
        self.slots.extend(Slot(index) for index in range(len(self.slots), context.n_ids))
        if luggage.whole is not None:
            ok = context.restore_all(luggage.whole)
        else:
            ok = all(self.tiers.restore(context, index, state) for index, state in luggage.parts.items())
        if not ok:
            context.clear()
            self.forget()
        elif luggage.whole is None:
            self._cells.clear()
        return ok

    def forget(self) -> None:
        """Nothing is held any more."""
        self._cells.clear()
        for slot in self.slots:
            slot.tokens, slot.kept = [], 0

    def held(self, prompt: list[int]) -> tuple[int, Slot | None]:
        """Leading tokens of ``prompt`` that the context holds, and where; an idle sequence comes first among equals."""
        best, where = 0, None
        for slot in self.slots:
            shared = slot.common_prefix(prompt)
            if shared > best or (shared == best and shared and where is not None and where.busy and not slot.busy):
                best, where = shared, slot
        return best, where

    # -- a place for a request -------------------------------------------------------------------------------------

    def place(self, prompt: list[int], usable: int, *, cells: int | None = None) -> tuple[Slot, Receipt]:
        """A free sequence that holds as many of the first ``usable`` tokens of ``prompt`` as can be had; now busy.

        Args:
            prompt: tokens, at least one more than ``usable``: the last one's logits are needed.
            usable: 0 allows no reuse.
            cells: cells of one shared buffer that may be filled; ``None``: every sequence has its own.
        """
        started = time.perf_counter()
        head = prompt[:usable]
        shared, source = self.held(head) if usable else (0, None)
        kept = self.tiers.find(head, shared) if usable else None
        slot, receipt = None, None
        if kept is not None:
            slot, receipt = self._restored(kept, cells)
        if receipt is None and source is not None:
            slot, receipt = self._from_context(source, shared)
        if slot is None:
            slot, receipt = self._empty(), Receipt(why=self._why(usable, shared, kept))
        assert receipt is not None  # noqa: S101 - a slot comes with its receipt
        slot.busy, slot.used = True, time.perf_counter()
        why = receipt.why or ("" if receipt.cached_tokens == usable else "the prompt goes on differently from here")
        return slot, dataclasses.replace(receipt, why=why, restore_ms=milliseconds_since(started))

    def _why(self, usable: int, shared: int, kept: Kept | None) -> str:
        if not usable:
            return "reuse was not asked for, or the prompt is one token"
        if kept is not None:
            return "the kept state could not be brought back"
        if shared >= WORTH_SHARING:
            return "the model cannot go back to the middle of what it holds"
        return _NOTHING_HELD + (" (some had to leave for want of room)" if self._evicted else "")

    def _from_context(self, source: Slot, shared: int) -> tuple[Slot | None, Receipt | None]:
        """Go on in ``source``, or in a copy of its beginning where it runs or its end is worth keeping."""
        tail = len(source.tokens) - shared
        if shared < WORTH_SHARING and (source.busy or tail >= WORTH_KEEPING):
            return None, None
        if not source.busy and tail < WORTH_KEEPING:
            return self._cut(source, shared)
        target = self._vacant(source)
        if target is None and not source.busy:
            self._keep(source)
            return self._cut(source, shared)
        if target is None:
            return None, None
        if self._share(source, target, shared):
            return target, Receipt(shared_tokens=shared, tier="context")
        return None, None

    def _cut(self, slot: Slot, tokens: int) -> tuple[Slot | None, Receipt | None]:
        self.truncate(slot, tokens)
        if len(slot.tokens) == tokens and self._context.continues_at(slot.index, tokens):
            return slot, Receipt(reused_tokens=tokens, tier="sequence")
        self.drop(slot)
        return None, None

    def _share(self, source: Slot, target: Slot, tokens: int) -> bool:
        context = self._context
        if not context.copy(source.index, target.index, tokens) or not context.continues_at(target.index, tokens):
            context.drop(target.index)
            return False
        if context.unified:
            self._settled.share(source.index, target.index, tokens)
        target.tokens = source.tokens[:tokens]
        return True

    def _restored(self, kept: Kept, cells: int | None) -> tuple[Slot | None, Receipt | None]:
        size = len(kept.tokens)
        if size > (self._context.n_ctx_seq if cells is None else cells):
            return None, None
        slot = self._empty()
        if cells is not None and not self.make_room(size, cells, besides=(slot,)):
            return None, None
        if not self.tiers.bring_back(kept, self._context, slot.index):
            return None, None
        slot.tokens = list(kept.tokens)
        self.truncate(slot, kept.shared)
        if len(slot.tokens) != kept.shared or not self._context.continues_at(slot.index, kept.shared):
            self.drop(slot)
            return None, None
        slot.kept = kept.shared if kept.tier == "disk" else 0
        return slot, Receipt(restored_tokens=kept.shared, tier=kept.tier)

    def _empty(self) -> Slot:
        """A free sequence, emptied if none is empty: the least recently used."""
        free = [slot for slot in self.slots if not slot.busy]
        slot = min(free, key=lambda slot: (bool(slot.tokens), slot.used))
        self.evict(slot)
        return slot

    def _vacant(self, source: Slot) -> Slot | None:
        """A sequence other than ``source`` that can be had without losing more than it gives."""
        free = [slot for slot in self.slots if not slot.busy and slot is not source]
        if not free:
            return None
        slot = min(free, key=lambda slot: (bool(slot.tokens), slot.used))
        if slot.tokens and not self.tiers.on and not source.busy:
            return None  # nothing can be kept elsewhere: lose the tail of the source rather than another sequence
        self.evict(slot)
        return slot

    # -- what happens to sequences ---------------------------------------------------------------------------------

    def truncate(self, slot: Slot, tokens: int) -> None:
        """Keep the first ``tokens`` tokens of a sequence; all go where the model cannot go back."""
        if len(slot.tokens) <= tokens:
            return
        kept = tokens if self._context.keep_prefix(slot.index, tokens) else 0
        self._settled.truncate(slot.index, kept)
        del slot.tokens[kept:]
        slot.kept = min(slot.kept, kept)

    def drop(self, slot: Slot) -> None:
        """Forget a sequence."""
        if self.context is not None:
            self.context.drop(slot.index)
        self._settled.drop(slot.index)
        slot.tokens, slot.kept = [], 0

    def shift(self, slot: Slot, keep: int, discard: int) -> bool:
        """Forget ``discard`` tokens after the first ``keep``; False: the model cannot, or others share the cells."""
        cells = self._settled
        shared = cells.length(slot.index) - cells.own(slot.index)
        if shared > keep or not self._context.shift(slot.index, keep, discard):
            return False
        cells.truncate(slot.index, keep)  # what follows is counted again when it is next asked for
        del slot.tokens[keep : keep + discard]
        return True

    def release(self, slot: Slot, *, keep: bool) -> None:
        """The request in a slot is over."""
        slot.busy = False
        slot.used = time.perf_counter()
        if not keep:
            self.drop(slot)

    def evict(self, slot: Slot) -> None:
        """Empty an idle sequence; what it held goes to host memory unless the context holds it elsewhere."""
        if not slot.tokens:
            return
        if not self._keep(slot):
            self._evicted = True
        self.drop(slot)

    def _keep(self, slot: Slot) -> bool:
        """Put a sequence into host memory; True too when another one holds all of it."""
        elsewhere = any(
            other is not slot and other.common_prefix(slot.tokens) == len(slot.tokens) for other in self.slots
        )
        return elsewhere or self.tiers.keep(slot.tokens, self._context, slot.index)

    def make_room(self, need: int, capacity: int, besides: Iterable[Slot] = ()) -> bool:
        """Let idle sequences leave, least recently used first, until ``need`` more cells fit into ``capacity``."""
        if self._settled.used + need <= capacity:
            return True
        stay = {slot.index for slot in besides}
        idle = [s for s in self.slots if s.tokens and not s.busy and s.index not in stay]
        for slot in sorted(idle, key=lambda slot: slot.used):
            self.evict(slot)
            if self._cells.used + need <= capacity:
                return True
        return False

    def clear_the_way(self) -> None:
        """Let idle sequences leave that would slow the running ones down."""
        context = self.context
        if context is None or not context.unified or context.settings.n_gpu_layers or not self.tiers.on:
            return
        idle = sorted((s for s in self.slots if s.tokens and not s.busy), key=lambda slot: slot.used)
        cells = sum(self._settled.own(slot.index) for slot in idle)
        for slot in idle:
            if cells <= IDLE_CELLS:
                return
            cells -= self._cells.own(slot.index)
            self.evict(slot)

    def to_host(self) -> None:
        """Copy every idle sequence to host memory, the least recently used first; the context may go then."""
        for slot in sorted((s for s in self.slots if s.tokens and not s.busy), key=lambda slot: slot.used):
            self._keep(slot)

    def to_disk(self, *, wait: bool = False) -> None:
        """Hand what is not on disk yet to that tier."""
        if not self.tiers.writes or self.context is None:
            return
        for slot in self.slots:
            fresh = len(slot.tokens) - slot.kept
            if (
                not slot.busy
                and fresh >= WORTH_KEEPING
                and self.tiers.write(slot.tokens, self._context, slot.index, wait=wait)
            ):
                slot.kept = len(slot.tokens)

    @property
    def _settled(self) -> CellLedger:
        """The ledger, brought up to date: running sequences only append to their tokens, which is cheaper a step."""
        cells = self._cells
        for slot in self.slots:
            fresh = len(slot.tokens) - cells.length(slot.index)
            if fresh > 0:
                cells.extend(slot.index, fresh)
        return cells

    @property
    def _context(self) -> Context:
        assert self.context is not None  # noqa: S101 - only called while there is one
        return self.context
