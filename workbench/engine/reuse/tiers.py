"""Sequences outside the context: host memory first, then disk. One door to both for the scheduler.

Knows where states come from and go to; not when, nor why.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from workbench.engine.native.context import Context, State
from workbench.engine.native.library import library_version
from workbench.engine.native.weights import Weights
from workbench.engine.reuse.disk_tier import DiskEntry, DiskTier, default_folder
from workbench.engine.reuse.fingerprint import fingerprint, model_identity
from workbench.engine.reuse.host_tier import Entry, HostTier
from workbench.engine.reuse.streams import to_one_stream, to_streams
from workbench.hardware import ram
from workbench.settings import EngineSettings

WORTH_KEEPING = 32
"""Tokens below which a sequence is computed again rather than kept: its prefill costs no more than looking for it."""

WORTH_READING = 64
"""Tokens a disk entry must save beyond what memory has."""

_HOST_SHARE = 8
"""Left open, the host tier takes one part in this many of the free memory."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A sequence outside the context.

    Attributes:
        tier: "host" or "disk".
        shared: leading tokens it has in common with what was looked for.
        tokens: all it holds.
        entry: of its tier.
    """

    tier: str
    shared: int
    tokens: tuple[int, ...]
    entry: Entry | DiskEntry


class Tiers:
    """Host memory and disk. Engine thread only.

    Args:
        weights: the model.
        settings: as asked for.
    """

    def __init__(self, weights: Weights, settings: EngineSettings) -> None:
        self._weights, self._settings = weights, settings
        self.divisible = not (weights.window or weights.recurrent)
        budget = settings.host_cache_bytes
        if budget is None:
            budget = ram().available_bytes // _HOST_SHARE
        self.host = HostTier(budget if settings.prefix_cache else 0, self._spill, divisible=self.divisible)
        self._disk: DiskTier | None = None
        self._closing = False

    @property
    def on(self) -> bool:
        """Whether anything is kept in memory."""
        return self.host.budget_bytes > 0

    @property
    def disk_bytes(self) -> int | None:
        """Bytes on disk; ``None``: the tier is off, or no context has told yet which states it takes."""
        return None if self._disk is None else self._disk.used_bytes

    def bind(self, context: Context) -> None:
        """Learn from the context what its states look like."""
        if self._disk is not None or not self._settings.disk_cache_bytes or not self._settings.prefix_cache:
            return
        effective = context.settings.replace(kv_unified=True) if self.divisible else context.settings
        name = fingerprint(model_identity(self._weights.file), effective, library_version())
        self._disk = DiskTier(default_folder(), name, self._settings.disk_cache_bytes, divisible=self.divisible)

    def find(self, prompt: list[int], beyond: int) -> Kept | None:
        """The sequence that saves most of ``prompt`` if it saves enough more than the ``beyond`` tokens at hand."""
        shared, entry = self.host.longest(prompt)
        best = Kept("host", shared, entry.tokens, entry) if entry is not None else None
        if best is None or best.shared < beyond + WORTH_KEEPING:
            best = None
        if self._disk is not None:
            have = best.shared if best else beyond
            shared, on_disk = self._disk.longest(prompt)
            if on_disk is not None and shared >= have + WORTH_READING:
                best = Kept("disk", shared, on_disk.tokens, on_disk)
        return best

    def bring_back(self, kept: Kept, context: Context, sequence: int) -> bool:
        """Put a kept sequence into an empty one of the context; False: it is gone, damaged or does not fit."""
        entry = kept.entry
        if isinstance(entry, Entry):
            self.host.touch(entry)
            state = _array(entry.state)
        else:
            assert self._disk is not None  # noqa: S101 - the entry came from it
            read = self._disk.read(entry)
            if read is None:
                return False
            state = _array(read)
        return self.restore(context, sequence, state)

    def restore(self, context: Context, sequence: int, state: State) -> bool:
        """Put a state in the form that is kept into a sequence; False: llama.cpp refused, the sequence is empty."""
        streams = self._streams(context)
        return context.restore(sequence, to_streams(state, streams) if self.divisible else state)

    def keep(self, tokens: list[int], context: Context, sequence: int) -> bool:
        """Copy a sequence to host memory; False: it is not worth it, or there is no room for it."""
        if not self.on or len(tokens) < WORTH_KEEPING:
            return False
        if self.host.covers(tokens):
            return True
        return self.host.put(tokens, self.state_of(context, sequence))

    def write(self, tokens: list[int], context: Context, sequence: int, *, wait: bool = False) -> bool:
        """Hand a sequence to the disk tier, which writes it in the background."""
        if self._disk is None or len(tokens) < WORTH_KEEPING:
            return False
        if self._disk.covers(tokens):
            return True
        return self._disk.put(tokens, self.state_of(context, sequence), wait=wait)

    @property
    def writes(self) -> bool:
        """Whether there is a disk tier."""
        return self._disk is not None

    def state_of(self, context: Context, sequence: int) -> State:
        """The state of a sequence in the form that is kept."""
        state = context.save(sequence)
        return to_one_stream(state, self._streams(context)) if self.divisible else state

    def close(self) -> None:
        """Write what memory holds and wait for it."""
        self._closing = True
        if self._disk is not None:
            self.host.resize(0)
            self._disk.close()

    def _spill(self, entry: Entry) -> None:
        if self._disk is not None:
            self._disk.put(entry.tokens, entry.state, wait=self._closing)

    def _streams(self, context: Context) -> int:
        return 1 if context.unified else context.n_ids


def _array(state: object) -> State:
    return state if isinstance(state, np.ndarray) else np.frombuffer(state, np.uint8)  # type: ignore[call-overload]


def milliseconds_since(start: float) -> float:
    """Milliseconds since a moment of ``time.perf_counter``."""
    return 1e3 * (time.perf_counter() - start)
