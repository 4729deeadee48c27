"""The bytes of a sequence's state, whatever number of KV buffers the context that wrote them had.

A state begins with llama.cpp's magic, the sequence id, the number of streams (KV buffers) and, for each stream, a count
of cells followed by the cells if there are any (`llama_kv_cache::state_write`); a context refuses a state with another
number of streams. A sequence lies in one stream, so the others are zero counts: they are taken away when a state is
kept and put back when it is used. Models with a sliding window write two such parts one after the other: those are left
as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

State = npt.NDArray[np.uint8]

_STREAMS_AT = 2
"""Word of the number of streams, after the magic and the sequence id."""


def to_one_stream(state: State, n_streams: int) -> State:
    """The state as a context with one KV buffer would have written it.

    Args:
        state: from ``llama_state_seq_get_data``.
        n_streams: KV buffers of the context that wrote it.
    """
    if n_streams == 1:
        return state
    words = state[: 4 * (_STREAMS_AT + 1 + n_streams)].view(np.uint32)
    counts = words[_STREAMS_AT + 1 :]
    at = int(np.argmax(counts != 0))
    head = words[: _STREAMS_AT + 1].copy()
    head[_STREAMS_AT] = 1
    body = state[4 * (_STREAMS_AT + 1 + at) : state.size - 4 * (n_streams - 1 - at)]
    return np.concatenate([head.view(np.uint8), body])


def to_streams(state: State, n_streams: int) -> State:
    """The state as a context with ``n_streams`` KV buffers reads it; which of them is the reader's choice."""
    if n_streams == 1:
        return state
    head = state[: 4 * (_STREAMS_AT + 1)].view(np.uint32).copy()
    head[_STREAMS_AT] = n_streams
    empty = np.zeros(4 * (n_streams - 1), np.uint8)
    return np.concatenate([head.view(np.uint8), state[4 * (_STREAMS_AT + 1) :], empty])
