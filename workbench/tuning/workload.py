"""What the settings shall be good at: a prompt of so many tokens, then so many generated ones. Plain numbers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from workbench.errors import InvalidSettings

LEAST_PROMPT, LEAST_DECODE = 64, 16
"""Below these a measurement is mostly overhead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One turn, and how much each half of it counts.

    Attributes:
        prompt_tokens: tokens read at once (llama-bench: ``pp``).
        decode_tokens: tokens generated after them (llama-bench: ``tg`` at depth ``prompt_tokens``).
        prompt_weight: how much the speed of reading counts.
        decode_weight: how much the speed of generating counts.
    """

    prompt_tokens: int = 512
    decode_tokens: int = 128
    prompt_weight: float = 1.0
    decode_weight: float = 1.0

    def __post_init__(self) -> None:
        if min(self.prompt_tokens, self.decode_tokens) < 1:
            raise InvalidSettings("prompt_tokens and decode_tokens must be at least 1.")
        if min(self.prompt_weight, self.decode_weight) < 0 or self.prompt_weight + self.decode_weight <= 0:
            raise InvalidSettings("prompt_weight and decode_weight may not be negative, and not both 0.")

    def score(self, prefill: float, decode: float) -> float:
        """Logarithm of the weighted geometric mean of two ratios; above 0 is faster.

        The mean of ratios, not of times: reading counts as much as generating although it takes less of the time.
        """
        total = self.prompt_weight + self.decode_weight
        return (self.prompt_weight * math.log(prefill) + self.decode_weight * math.log(decode)) / total

    def scaled(self, factor: float) -> Workload:
        """The same with fewer tokens, where a whole turn takes too much of the time there is; never more of them."""
        if factor >= 1:
            return self
        return dataclasses.replace(
            self,
            prompt_tokens=min(self.prompt_tokens, max(LEAST_PROMPT, int(self.prompt_tokens * factor))),
            decode_tokens=min(self.decode_tokens, max(LEAST_DECODE, int(self.decode_tokens * factor))),
        )
