"""One ``llama_batch`` whose arrays are numpy's, so that a whole step is written with one assignment per array.

Writing through ctypes costs a call per field and token. ``llama_batch_init`` gives each token an array of its own for
its sequence ids; here they are neighbours in one array, with a pointer to each.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.engine.native.library import library


class Batch:
    """Tokens for one decode. Not thread-safe: it belongs to the thread that owns the context.

    Args:
        capacity: most tokens it holds (``n_batch``).
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._token = np.zeros(capacity, np.int32)
        self._pos = np.zeros(capacity, np.int32)
        self._n_seq_id = np.ones(capacity, np.int32)
        self._seq_id = np.zeros(capacity, np.int32)
        self._logits = np.zeros(capacity, np.int8)
        first = self._seq_id.ctypes.data
        self._seq_id_at = np.arange(capacity, dtype=np.uintp) * self._seq_id.itemsize + first
        self.raw: Any = self._struct()

    def _struct(self) -> Any:
        """The C struct, pointing into the arrays; they live as long as this object."""
        raw = library().llama_batch()
        for name, array in (
            ("token", self._token),
            ("pos", self._pos),
            ("n_seq_id", self._n_seq_id),
            ("seq_id", self._seq_id_at),
            ("logits", self._logits),
        ):
            setattr(raw, name, ctypes.cast(array.ctypes.data, type(getattr(raw, name))))
        return raw

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return self.capacity - self.size

    def clear(self) -> None:
        """Forget the tokens, keep the memory."""
        self.size = 0

    def add_tokens(self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int]) -> int:
        """Add tokens of any sequences, the logits of all wanted; returns the batch index of the first."""
        start = self.size
        end = self.size = start + len(tokens)
        self._token[start:end] = tokens
        self._pos[start:end] = positions
        self._seq_id[start:end] = sequences
        self._logits[start:end] = 1
        return start

    def add_token(self, token: int, position: int, sequence: int) -> int:
        """Add one token whose logits are wanted; returns its index in the batch."""
        return self.add_tokens((token,), (position,), (sequence,))

    def add_run(self, tokens: Sequence[int], position: int, sequence: int, *, logits: str) -> int:
        """Add consecutive tokens of one sequence; returns the batch index of the last.

        Args:
            tokens: at most :attr:`room` of them.
            position: position of the first.
            sequence: the sequence they belong to.
            logits: whose logits are wanted: "none", "last" or "all".
        """
        start, end = self.size, self.size + len(tokens)
        self._token[start:end] = tokens
        self._pos[start:end] = np.arange(position, position + len(tokens), dtype=np.int32)
        self._seq_id[start:end] = sequence
        self._logits[start:end] = 1 if logits == "all" else 0
        if logits == "last":
            self._logits[end - 1] = 1
        self.size = end
        return end - 1

    def sealed(self) -> object:
        """The ``llama_batch`` to hand to ``llama_decode``."""
        self.raw.n_tokens = self.size
        return self.raw
