"""How often an adaptive sweep may look at its data, and how much error each look may spend.

Who looks until the data please is pleased too often: ten looks at 5 % give 19 % false alarms. So the looks are fixed
beforehand, by the numbers of blocks alone, and alpha is divided among them: at look k every interval has the level
1 - alpha w_k and every p is divided by w_k, with the w_k adding up to one. By Bonferroni's inequality such repeated
intervals hold together at all looks, whatever rule decides who gets another block (Jennison & Turnbull 1989, "Interim
analyses: the repeated confidence interval approach", J. R. Statist. Soc. B 51:305-361). Later looks may spend more, as
O'Brien & Fleming (1979) argue: each twice as much as the one before, so that the last keeps more than half of alpha.
Boundaries that use the correlation between looks would be a little narrower; they are exact for normal data only.

What is not controlled: somebody who raises ``more_blocks`` after having seen the end of the last ones takes a look that
nobody planned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from workbench.sweep.findings.statistics import ALPHA, BLOCKS_TO_DECIDE
from workbench.sweep.records.table import BlockKey
from workbench.sweep.specification.spec import SweepSpec

GROWTH = 1.5
"""From one look to the next there are at least so many times as many blocks: fewer hardly narrow an interval."""

MOST = 4
"""Looks: with more of them ten blocks could not decide anything at the first one's share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The looks of a sweep.

    Attributes:
        blocks: that every configuration has.
        ends: blocks in all at which it is looked, ascending; the last one is the end.
    """

    blocks: int
    ends: tuple[int, ...]

    @classmethod
    def of(cls, spec: SweepSpec) -> Self:
        """The looks a specification asks for: a single one without ``more_blocks``."""
        last = spec.blocks + spec.more_blocks
        first = min(max(spec.blocks, BLOCKS_TO_DECIDE), last)
        growth = max(GROWTH, (last / first) ** (1 / (MOST - 1)))
        sizes = (math.ceil(first * growth**step) for step in range(MOST - 1))
        # a look right before the last one would cost alpha and save nothing
        early = (size for size in sizes if size < last and (size == first or 1.25 * size <= last))
        return cls(blocks=spec.blocks, ends=(*early, last))

    @classmethod
    def single(cls, blocks: int) -> Self:
        """One look, that may spend everything."""
        return cls(blocks=blocks, ends=(blocks,))

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of alpha each look may spend: doubling, together 1."""
        return tuple(2.0**index / (2.0 ** len(self.ends) - 1) for index in range(len(self.ends)))

    def share(self, blocks: Iterable[BlockKey]) -> float:
        """Share of alpha for a comparison that stands on these blocks: by the last of them."""
        reached = self.reached(blocks)
        shares = self.shares
        return next((share for end, share in zip(self.ends, shares, strict=True) if reached <= end), shares[-1])

    def level(self, blocks: Iterable[BlockKey]) -> float:
        """Nominal level of an interval that stands on these blocks."""
        return 1 - ALPHA * self.share(blocks)

    def reached(self, blocks: Iterable[BlockKey]) -> int:
        """How many blocks there were in all when the last of these ended; all of the grid's count as there."""
        return self.blocks + max((block + 1 for _, phase, block in blocks if phase == "more"), default=0)

    def last_look(self, reached: int) -> int | None:
        """The latest look with so many blocks in all; ``None``: it is not yet time for the first."""
        return max((end for end in self.ends if end <= reached), default=None)
