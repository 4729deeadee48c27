"""The order in which the arms of a block run: chance decides, a seed repeats it.

Randomised complete blocks: each arm once per block, so that whatever drifts (temperature, other load) hits all of them
alike. Two arms alternate ABBA. Where a parameter is expensive to change (``slow``) the block is a split plot. Knows
nothing of how an arm is run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from workbench.sweep.design.configurations import Configuration, canonical

PlotKey = tuple[str, bool]


def order(arms: Sequence[Configuration], slow: Sequence[str], seed: str, block: int) -> list[int]:
    """Indices of the arms in the order they run in one block, from nothing but the seed and the block's number.

    With ``slow`` parameters the arms that agree in them form a *whole plot* and run one after the other. Whole plots
    are put in random order within the block, and arms in random order within their whole plot: a restricted
    randomisation, so errors come in two sizes. What sets whole plots apart (the model loaded anew, the memory it
    landed in) is shared by all arms of one; a comparison across whole plots contains it, one inside a whole plot does
    not. Effects are ratios within blocks, with the block as the unit, and every block draws its whole plots anew: a
    ratio across whole plots scatters from block to block with the whole-plot error, so its interval has the right
    error term, and n is the number of blocks, never of cells. The twin of the reference is a whole plot of its own, so
    that the A/A floor, too, contains the whole-plot error; for comparisons inside a whole plot it is then wider than
    need be, never narrower.

    Sources: Box, Hunter and Hunter, Statistics for Experimenters, 2nd ed. (2005), chapter 9; Jones and Nachtsheim,
    "Split-plot designs: what, why, and how", Journal of Quality Technology 41 (2009), 340-361.
    """
    if not slow:
        return _shuffled(len(arms), seed, block)
    plots: dict[PlotKey, list[int]] = {}
    for index, arm in enumerate(arms):
        plots.setdefault(whole_plot(arm, slow), []).append(index)
    members = list(plots.values())
    return [
        members[plot][at]
        for plot in _shuffled(len(members), seed, block)
        for at in _shuffled(len(members[plot]), f"{seed}:{plot}", block)
    ]


def whole_plot(arm: Configuration, slow: Sequence[str]) -> PlotKey:
    """Equal for arms of the same whole plot: its slow parameters, and whether it is the twin's."""
    return canonical({name: arm.value(name) for name in slow}), arm.arm == "twin"


def _shuffled(count: int, seed: str, block: int) -> list[int]:
    if count == 2:  # ABBA: the two of each pair of blocks mirror each other, so linear drift cancels
        first = random.Random(f"{seed}:{block // 2}").randrange(2)  # noqa: S311 - an experiment, not a secret
        start = first if block % 2 == 0 else 1 - first
        return [start, 1 - start]
    shuffled = list(range(count))
    random.Random(f"{seed}:{block}").shuffle(shuffled)  # noqa: S311
    return shuffled
