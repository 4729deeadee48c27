"""How large a context has to be, and whether its sequences share one KV buffer. Arithmetic only.

An open context (``n_ctx=None``) starts small and doubles. Sequences that run at the same time are faster with a buffer
each, because attention reads a buffer up to its highest used cell; one buffer for all is what lets a single sequence
have the whole context. Where the settings leave it open, there is one each until a sequence needs more than its share,
or until that would cost too much memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.engine.native.weights import Weights
from workbench.hardware import ram
from workbench.models import check_fits, estimate
from workbench.settings import EngineSettings

FIRST_N_CTX = 2048
"""What a context starts with when ``n_ctx`` is left open."""

FIRST_SHARE = 512
"""Least that each of several buffers starts with."""

_SPLIT_SHARE = 4
"""Separate buffers may take one part in this many of the memory that is free."""

SPARE_IDS = 8
"""Sequence ids beside those that run, where one buffer lets idle sequences stay without a copy."""


@dataclass(frozen=True, slots=True)
class Room:
    """Size and layout of a context.

    Attributes:
        n_ctx: tokens, all sequences together.
        unified: whether they share one buffer.
    """

    n_ctx: int
    unified: bool


class RoomPlan:
    """What contexts a model may get under its settings.

    Args:
        weights: the model.
        settings: as asked for.
    """

    def __init__(self, weights: Weights, settings: EngineSettings) -> None:
        self._weights, self._settings = weights, settings

    @property
    def limit(self) -> int:
        """Most tokens one sequence can have, prompt and answer together."""
        s = self._settings
        if s.n_ctx is None:
            return self._weights.n_ctx_train
        return s.n_ctx // s.n_seq_max if s.kv_unified is False else s.n_ctx

    def ids(self, room: Room) -> int:
        """Sequence ids of a context."""
        s = self._settings
        if not room.unified or not s.prefix_cache or self._weights.recurrent:
            return s.n_seq_max
        return min(s.n_seq_max + SPARE_IDS, 256)

    def wanted(self, need: int, together: int, now: Room | None) -> Room:
        """The context for a sequence of ``need`` tokens.

        Args:
            need: tokens of the longest sequence.
            together: tokens of all that run, this one included.
            now: the present one; it is never made smaller, and one buffer is not taken apart again.
        """
        s = self._settings
        if s.n_ctx is not None:
            return Room(s.n_ctx, self._shared(need > s.n_ctx // s.n_seq_max, now))
        share = _power_of_two(max(need, FIRST_SHARE))
        if now is not None and not now.unified:
            share = max(share, now.n_ctx // s.n_seq_max)
        split = Room(min(share, self._weights.n_ctx_train) * s.n_seq_max, unified=False)
        if self._shared(need > self._weights.n_ctx_train or not self._affordable(split), now):
            most = self._weights.n_ctx_train * s.n_seq_max
            start = now.n_ctx if now is not None and now.unified else min(FIRST_N_CTX, self._weights.n_ctx_train)
            return Room(min(max(start, _power_of_two(together)), most), unified=True)
        return Room(max(split.n_ctx, FIRST_N_CTX // s.n_seq_max * s.n_seq_max), unified=False)

    def holds(self, room: Room, need: int, together: int) -> bool:
        """Whether a context has room for a sequence of ``need`` among ``together`` tokens."""
        if room.unified:
            return together <= room.n_ctx and need <= room.n_ctx
        return need <= room.n_ctx // self._settings.n_seq_max

    def check(self, room: Room, freed_bytes: int) -> None:
        """Refuse by arithmetic what this machine cannot hold once ``freed_bytes`` are given back.

        Raises:
            OutOfMemory: it does not fit.
        """
        settings = self._settings.replace(kv_unified=room.unified)
        # With layers on a GPU the memory is looked up where the context is made.
        available = None if self._weights.n_gpu_layers else ram().available_bytes + freed_bytes
        ids = self.ids(room)
        check_fits(self._weights.file, settings, room.n_ctx, available_bytes=available, weights_loaded=True, n_ids=ids)

    def _shared(self, needed: bool, now: Room | None) -> bool:
        s = self._settings
        if s.kv_unified is not None:
            return s.kv_unified
        return s.n_seq_max == 1 or needed or (now is not None and now.unified)

    def _affordable(self, split: Room) -> bool:
        settings = self._settings.replace(kv_unified=False)
        size = estimate(self._weights.file, settings, split.n_ctx).kv_bytes
        return size <= max(ram().available_bytes // _SPLIT_SHARE, 2**28)


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least ``n``."""
    return 1 << max(0, n - 1).bit_length()
