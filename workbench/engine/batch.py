"""One ``llama_batch``, allocated once and filled through numpy views.

Writing through ctypes costs a call per field and token; a view costs one assignment per array and run of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.engine.library import library


class Batch:
    """Tokens for one decode. Not thread-safe: it belongs to the thread that owns the context.

    Args:
        capacity: most tokens it holds (``n_batch``).
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.raw = library().llama_batch_init(capacity, 0, 1)
        shape = (capacity,)
        as_array = np.ctypeslib.as_array
        self._token = as_array(self.raw.token, shape)
        self._pos = as_array(self.raw.pos, shape)
        self._n_seq_id = as_array(self.raw.n_seq_id, shape)
        self._logits = as_array(self.raw.logits, shape)
        self._n_seq_id[:] = 1
        # llama_batch_init gives every token its own one-element array; they lie apart, so each needs its own view
        self._seq_id = [as_array(self.raw.seq_id[i], (1,)) for i in range(capacity)]

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return self.capacity - self.size

    def clear(self) -> None:
        """Forget the tokens, keep the memory."""
        self.size = 0

    def add_token(self, token: int, position: int, sequence: int) -> int:
        """Add one token whose logits are wanted; returns its index in the batch."""
        i = self.size
        self._token[i] = token
        self._pos[i] = position
        self._seq_id[i][0] = sequence
        self._logits[i] = 1
        self.size = i + 1
        return i

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
        for view in self._seq_id[start:end]:
            view[0] = sequence
        self._logits[start:end] = 1 if logits == "all" else 0
        if logits == "last":
            self._logits[end - 1] = 1
        self.size = end
        return end - 1

    def sealed(self) -> object:
        """The ``llama_batch`` to hand to ``llama_decode``."""
        self.raw.n_tokens = self.size
        return self.raw

    def free(self) -> None:
        """Give the memory back. Idempotent."""
        if self.raw is not None:
            library().llama_batch_free(self.raw)
            self.raw = None
            self._seq_id = []
