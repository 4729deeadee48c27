"""Dropping at random: the baseline every other strategy has to beat at the same budget.

Knows nothing of what it drops, but never breaks what no compressor may break.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from typing import Literal

from workbench.compression.base import BaseCompressor, Kept
from workbench.compression.budget import CountTokens
from workbench.compression.pieces import Split, keep_best, pieces, sentences, words
from workbench.errors import InvalidSettings
from workbench.interfaces import Engine, Message

_SPLITS: dict[str, Split | None] = {"message": None, "sentence": sentences, "word": words}


class RandomCompressor(BaseCompressor):
    """Keeps random pieces, as many as fit; the same conversation and seed keep the same ones.

    What is kept in a small budget is, but for the last few pieces, also kept in a larger one.

    Args:
        count_tokens: as for :class:`BaseCompressor`.
        seed: another one keeps other pieces.
        unit: what is kept or dropped as a whole: a "message", a "sentence" or a "word".

    Raises:
        InvalidSettings: an unknown ``unit``.
    """

    name = "random"

    def __init__(
        self,
        count_tokens: CountTokens | Engine,
        *,
        seed: int = 0,
        unit: Literal["message", "sentence", "word"] = "message",
    ) -> None:
        if unit not in _SPLITS:
            raise InvalidSettings(f"unit must be one of {', '.join(_SPLITS)}, not {unit!r}.")
        super().__init__(count_tokens)
        self.seed, self.unit = seed, unit

    def _shorten(self, messages: Sequence[Message], budget_tokens: int, query: str | None) -> list[Kept]:  # noqa: ARG002 - the query does not matter to this strategy
        order = pieces(messages, _SPLITS[self.unit])
        self._dice(messages).shuffle(order)
        return keep_best(messages, order, budget_tokens, self.counter)

    def _dice(self, messages: Sequence[Message]) -> random.Random:
        """Seeded by what is said as well, so that conversations do not all lose the same places."""
        said = json.dumps([self.seed, *((message.role, message.content) for message in messages)])
        return random.Random(hashlib.blake2b(said.encode(), digest_size=8).digest())  # noqa: S311 - no secret
