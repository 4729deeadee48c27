"""Several contexts fed with the same tokens, piece by piece, so that their logits can be compared where they lie.

Nothing is kept: memory is bounded by a piece (32 MiB of logits a context), whatever the text's length. Knows nothing of
what is compared. Runs in the thread that owns the contexts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.engine.native.context import Context
from workbench.engine.native.scoring import decode_piece, piece_logits
from workbench.engine.quality.agreement import IndexArray
from workbench.engine.quality.windows import Window
from workbench.interfaces import FloatArray

_SEQUENCE = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Scored positions of one window.

    Attributes:
        logits: one (n, n_vocab) float32 view a context; valid until the next piece.
        targets: (n,) the tokens that really came next.
    """

    logits: tuple[FloatArray, ...]
    targets: IndexArray


def walk(
    contexts: Sequence[Context], tokens: Sequence[int], plan: Sequence[Window], *, bos: int | None
) -> Iterator[Piece]:
    """Decode the windows of a text in every context, in turn.

    Args:
        contexts: each must hold a window; their sequence 0 is used.
        tokens: the text.
        plan: windows over it.
        bos: takes the place of each window's first token, as in llama-perplexity; ``None``: that token stays.

    Raises:
        DecodeError: llama.cpp failed.
    """
    step = min(context.score_tokens for context in contexts)  # equal pieces round equally
    for window in plan:
        inputs = list(tokens[window.begin : window.end - 1])
        if bos is not None:
            inputs[0] = bos
        targets = np.asarray(tokens[window.begin + 1 : window.end], np.int64)
        first = window.first - window.begin - 1
        for context in contexts:
            _start(context, inputs[:first])
        for at in range(first, len(inputs), step):
            some = inputs[at : at + step]
            yield Piece(tuple(_computed(context, some, at) for context in contexts), targets[at : at + step])


def _start(context: Context, before: list[int]) -> None:
    """An empty sequence, then the tokens before the first scored one."""
    context.drop(_SEQUENCE)
    for at in range(0, len(before), context.batch.capacity):
        decode_piece(context, _SEQUENCE, before[at : at + context.batch.capacity], at, logits="none")


def _computed(context: Context, some: list[int], position: int) -> FloatArray:
    decode_piece(context, _SEQUENCE, some, position, logits="all")
    return piece_logits(context, len(some))
