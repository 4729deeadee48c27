"""Sequence states in host memory: what had to leave the context and may be asked for again.

Knows tokens and opaque bytes; never llama.cpp, nor how a state is made or brought back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workbench.engine.reuse.prefix_index import PrefixIndex

State = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
"""Bytes of ``llama_state_seq_get_data_ext``, in one piece."""


def as_view(state: State) -> memoryview:
    """A state where it lies: nothing is copied."""
    return state.data if isinstance(state, np.ndarray) else memoryview(state)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A kept sequence.

    Attributes:
        tokens: the tokens whose KV it is.
        state: the bytes, as they were handed over.
        size: how many.
    """

    tokens: tuple[int, ...]
    state: State = field(repr=False)
    size: int


class HostTier:
    """States under a byte budget; the least recently used go first. Engine thread only.

    States are kept by reference: whoever puts one in must not change it afterwards.

    Args:
        budget_bytes: most bytes of states; 0 keeps nothing.
        spill: called with each entry that leaves for want of room, so that a slower tier can take it.
        divisible: whether a state can be cut down to a shorter prefix. It cannot where a layer keeps less than the
            whole past (recurrent and hybrid models, sliding windows): then only entries that are wholly a prefix of a
            prompt are found, and none stands for a shorter one.
    """

    def __init__(
        self, budget_bytes: int, spill: Callable[[Entry], None] | None = None, *, divisible: bool = True
    ) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self._spill = spill
        self._divisible = divisible
        self._index: PrefixIndex[Entry] = PrefixIndex()
        self._by_use: OrderedDict[Entry, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_use)

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._by_use

    def covers(self, tokens: Sequence[int]) -> bool:
        """Whether :meth:`put` needs no state for these tokens: an entry stands for them already."""
        return self._covering(tokens) is not None

    def put(self, tokens: Sequence[int], state: State) -> bool:
        """Keep a state. One that a present entry covers is not needed; those it covers go.

        Returns:
            Whether the tokens are kept now; False: the state is larger than the budget (or empty), nothing changed.
        """
        covering = self._covering(tokens)
        if covering is not None:
            self.touch(covering)
            return True
        entry = Entry(tuple(tokens), state, as_view(state).nbytes)
        if not entry.tokens or not entry.size or entry.size > self.budget_bytes:
            return False
        for superseded in self._superseded(entry.tokens):
            self.pop(superseded)
        self._make_room(self.budget_bytes - entry.size)
        self._index.put(entry.tokens, entry)
        self._by_use[entry] = None
        self.used_bytes += entry.size
        return True

    def longest(self, tokens: Sequence[int]) -> tuple[int, Entry | None]:
        """Tokens of the longest usable prefix, and the entry that has it; ``(0, None)`` if there is none."""
        if self._divisible:
            return self._index.longest(tokens)
        wholes = self._index.wholes(tokens)
        return (len(wholes[-1].tokens), wholes[-1]) if wholes else (0, None)

    def touch(self, entry: Entry) -> None:
        """Note that an entry was of use; one that has left is no error."""
        if entry in self._by_use:
            self._by_use.move_to_end(entry)

    def pop(self, entry: Entry) -> None:
        """Take an entry out, without spilling it; one that has left is no error."""
        if entry in self._by_use:
            del self._by_use[entry]
            self._index.remove(entry.tokens)
            self.used_bytes -= entry.size

    def resize(self, budget_bytes: int) -> None:
        """Change the budget; what no longer fits is spilled. 0 empties the tier."""
        self.budget_bytes = budget_bytes
        self._make_room(budget_bytes)

    def clear(self) -> None:
        """Forget everything, without spilling it."""
        self._index, self._by_use, self.used_bytes = PrefixIndex(), OrderedDict(), 0

    def _covering(self, tokens: Sequence[int]) -> Entry | None:
        shared, entry = self.longest(tokens)
        return entry if entry is not None and shared == len(tokens) else None

    def _superseded(self, tokens: Sequence[int]) -> list[Entry]:
        return self._index.wholes(tokens) if self._divisible else []

    def _make_room(self, limit_bytes: int) -> None:
        while self._by_use and self.used_bytes > limit_bytes:
            oldest = next(iter(self._by_use))
            self.pop(oldest)
            if self._spill is not None:
                self._spill(oldest)
