"""What every comparison of one sweep stands on: its values, its looks, and which noise it is held against.

In a split plot (``slow``) the cells of a block that share the slow parameters are one whole plot: one process, one
loaded model. Two errors are at work then. What a whole plot does to all of its cells (where the weights came to lie in
memory, say) is in every ratio between plots and in none within one. Averaged over a plot's cells it does not shrink, so
the unit of every comparison is the block, never the cell: within-block log ratios, averaged within the block, n the
number of blocks. That is the whole-plot error term where plots differ and the sub-plot one where they do not (Jones &
Nachtsheim 2009, "Split-plot designs: what, why, and how", J. Qual. Technol. 41:340-361), without a variance estimated.

The twin runs in a whole plot of its own, so the A/A floor has the whole-plot error in it. Ratios within a plot are held
against a band of their own; see :func:`inner_floor`.
"""

from __future__ import annotations

import itertools
import math
import statistics as middle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.sweep.design.configurations import Configuration, reference
from workbench.sweep.design.order import PlotKey, whole_plot
from workbench.sweep.findings import statistics
from workbench.sweep.findings.looks import Looks
from workbench.sweep.records.table import BlockKey, Run, Table
from workbench.sweep.results import Effect, Floor
from workbench.sweep.specification.spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Values and noise of a sweep.

    Attributes:
        table: values by configuration, metric and block.
        looks: what each look at the data may spend.
        slow: parameters that make the whole plots; none: there are no plots.
        floors: metric → its A/A floor.
        inner: metric → half-width of the noise within a whole plot.
        least: blocks it takes to decide.
    """

    table: Table
    looks: Looks
    slow: tuple[str, ...] = ()
    floors: Mapping[str, Floor] = field(default_factory=dict)
    inner: Mapping[str, float] = field(default_factory=dict)
    least: int = statistics.BLOCKS_TO_DECIDE

    def band(self, metric: str, within_plot: bool = False) -> float:
        """Half-width of the zone of "no difference": 1 %, or the noise of equal runs where that is wider."""
        twins = self.floors.get(metric)
        noise = self.inner.get(metric) if within_plot else None
        if noise is None:
            noise = twins.width if twins else 0.0
        return max(statistics.LEAST_BAND, noise)

    def within_plot(self, ours: Configuration, theirs: Configuration) -> bool:
        """Whether both run in the same whole plot of each block."""
        return bool(self.slow) and whole_plot(ours, self.slow) == whole_plot(theirs, self.slow)

    def effect(self, pairs: Mapping[BlockKey, tuple[float, float]]) -> tuple[Effect, str]:
        """Effect of paired values at the level this look may spend, and what speaks against reading it."""
        return effect_of(pairs, self.looks.level(pairs))


def ground(spec: SweepSpec, arms: Sequence[Configuration], runs: Sequence[Run]) -> Ground:
    """The ground of a sweep's comparisons.

    Args:
        spec: what was asked for.
        arms: its configurations.
        runs: finished runs of its blocks, confirmations not among them.
    """
    table, metrics = Table(runs), [measure.metric for measure in spec.measures]
    floors = {metric: found for metric in metrics if (found := floor(table, arms, metric)) is not None}
    inner = {m: width for m in metrics if (width := inner_floor(table, arms, spec.slow, m)) is not None}
    # a plot's noise is a part of the noise between plots
    capped = {m: min(reach, floors[m].width) if m in floors else reach for m, reach in inner.items()}
    return Ground(table=table, looks=Looks.of(spec), slow=spec.slow, floors=floors, inner=capped)


def fresh_ground(before: Ground, runs: Sequence[Run]) -> Ground:
    """The ground of confirmations: one hypothesis said beforehand, one look, the noise known from before."""
    return Ground(
        table=Table(runs),
        looks=Looks.single(0),
        slow=before.slow,
        floors=before.floors,
        inner=before.inner,
        least=statistics.BLOCKS_FOR_INTERVAL,
    )


def effect_of(pairs: Mapping[BlockKey, tuple[float, float]], level: float = 1 - statistics.ALPHA) -> tuple[Effect, str]:
    """Effect of paired values, and what speaks against reading anything into it."""
    if not pairs:
        return statistics.effect_of_logs([]), "no block has a finished run of both"
    ours, theirs = zip(*pairs.values(), strict=True)
    try:
        return statistics.paired_effect(ours, theirs, level), ""
    except ValueError as error:
        return statistics.effect_of_logs([]), str(error)


def floor(table: Table, arms: Sequence[Configuration], metric: str) -> Floor | None:
    """The A/A floor of a metric; ``None`` without twins or without a pair of them."""
    twin = next((arm for arm in arms if arm.arm == "twin"), None)
    if twin is None:
        return None
    effect, objection = effect_of(table.pairs(twin.label, reference(arms).label, metric))
    return None if objection else statistics.floor_of(metric, effect)


def inner_floor(table: Table, arms: Sequence[Configuration], slow: Sequence[str], metric: str) -> float | None:
    """What an A/A pair within a whole plot would show if it had no bias; ``None`` without such pairs.

    No twin runs there, so it is estimated from configurations that do differ: how far the interval of two of them
    reaches from its own estimate, the median over neighbours in a plot. An effect that is the same in every block
    moves estimate and interval alike and leaves that distance as it is.
    """
    if not slow:
        return None
    effects = (effect_of(table.pairs(ours.label, theirs.label, metric))[0] for ours, theirs in _neighbours(arms, slow))
    reaches = [_reach(effect) for effect in effects if effect.low is not None]
    return middle.median(reaches) if reaches else None


def _reach(effect: Effect) -> float:
    bounds = [bound for bound in (effect.low, effect.high) if bound is not None]
    return math.expm1(max(abs(math.log(bound / effect.ratio)) for bound in bounds))


def _neighbours(arms: Sequence[Configuration], slow: Sequence[str]) -> Iterator[tuple[Configuration, Configuration]]:
    plots: dict[PlotKey, list[Configuration]] = {}
    for arm in arms:
        plots.setdefault(whole_plot(arm, slow), []).append(arm)
    for plot in plots.values():
        yield from itertools.pairwise(plot)
