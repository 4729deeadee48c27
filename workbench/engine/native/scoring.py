"""Log-probabilities of given tokens: one prefill with logits on every token, a bounded piece at a time."""

from __future__ import annotations

import ctypes

import numpy as np

from workbench.engine.native.context import Context
from workbench.engine.native.library import library
from workbench.engine.native.logits import logits_view
from workbench.errors import ContextOverflow, DecodeError
from workbench.interfaces import FloatArray


def score_tokens(context: Context, sequence: int, tokens: list[int], first: int) -> FloatArray:
    """Natural log-probability of each token given everything before it.

    Args:
        context: with ``sequence`` empty.
        sequence: ``llama_seq_id`` to use; holds ``tokens`` afterwards.
        tokens: (n,) context and scored tokens.
        first: index of the first scored token.

    Returns:
        (n - first,) float32; NaN for token 0, which has nothing before it.

    Raises:
        ContextOverflow: more tokens than the context holds.
        DecodeError: llama.cpp failed.
    """
    if len(tokens) > context.n_ctx_seq:
        raise ContextOverflow(len(tokens), context.n_ctx_seq)
    logprobs = np.full(len(tokens) - first, np.nan, np.float32)
    position = 0
    while position < len(tokens):
        wanted = position + 1 >= first  # logits of token i predict token i + 1
        step = context.score_tokens if wanted else min(context.batch.capacity, first - 1 - position)
        piece = tokens[position : position + step]
        decode_piece(context, sequence, piece, position, logits="all" if wanted else "none")
        if wanted:
            targets = tokens[position + 1 : position + len(piece) + 1]
            values = _log_softmax_at(piece_logits(context, len(targets)), targets)
            logprobs[position + 1 - first : position + 1 - first + len(targets)] = values
        position += len(piece)
    return logprobs


def decode_piece(context: Context, sequence: int, piece: list[int], position: int, *, logits: str) -> None:
    """Compute tokens of one sequence; ``logits``: whose are wanted, as for :meth:`Batch.add_run`.

    Raises:
        DecodeError: llama.cpp failed.
    """
    context.batch.clear()
    context.batch.add_run(piece, position, sequence, logits=logits)
    code = context.decode()
    if code:
        raise DecodeError(code)


def piece_logits(context: Context, rows: int) -> FloatArray:
    """(rows, n_vocab) float32 view of the last decode's logits; rows lie one behind the other."""
    lib = library()
    n_vocab = int(lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(lib.llama_get_model(context.raw))))
    if not rows:
        return np.empty((0, n_vocab), np.float32)
    return logits_view(lib.llama_get_logits(context.raw), ctypes.c_float * (rows * n_vocab)).reshape(rows, n_vocab)


def _log_softmax_at(logits: FloatArray, targets: list[int]) -> FloatArray:
    """(n,) log-softmax of each row at its target. Summed in float64: 49k float32 terms lose digits."""
    top = logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(logits - top).sum(axis=1, dtype=np.float64))
    chosen = logits[np.arange(len(targets)), targets] - top[:, 0]
    return np.asarray(chosen - total, np.float32)
