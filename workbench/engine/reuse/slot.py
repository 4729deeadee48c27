"""A sequence id of the context and the tokens whose KV it holds."""

from __future__ import annotations

from collections.abc import Sequence

_STRIDE = 128
"""Tokens compared at once."""


class Slot:
    """A sequence id of the context, and the tokens whose KV it holds.

    Attributes:
        index: ``llama_seq_id``.
        tokens: tokens in the KV cache, in order.
        used: when it was last used, for least-recently-used choice.
        busy: whether a sequence runs in it.
        kept: how many of its tokens the disk tier has already.
    """

    __slots__ = ("busy", "index", "kept", "tokens", "used")

    def __init__(self, index: int) -> None:
        self.index = index
        self.tokens: list[int] = []
        self.used = 0.0
        self.busy = False
        self.kept = 0

    def common_prefix(self, prompt: list[int]) -> int:
        """How many leading tokens of ``prompt`` this slot holds."""
        return common_prefix(self.tokens, prompt)


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Leading tokens that two lists have in common; compared in strides, in C."""
    limit = min(len(one), len(other))
    if not limit or one[0] != other[0]:
        return 0
    start = 0
    while start < limit and one[start : start + _STRIDE] == other[start : start + _STRIDE]:
        start += _STRIDE
    start = min(start, limit)
    while start < limit and one[start] == other[start]:
        start += 1
    return start
