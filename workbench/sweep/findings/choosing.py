"""Which configuration to use for one objective: a choice and what it rests on. Words are the business of ``recommend``.

A parameter whose effect is not shown keeps its first level (the cheapest, by convention of the specification). A winner
that costs quality is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.sweep.design.planning import Configuration, label_of, reference
from workbench.sweep.findings.comparing import compare
from workbench.sweep.findings.ground import Ground
from workbench.sweep.findings.targets import show_effect
from workbench.sweep.results import Comparison, MainEffect, Objective


@dataclass(frozen=True, slots=True)
class Quality:
    """What a choice does to the quality metrics.

    Attributes:
        broken: estimates beyond their tolerance: the choice is refused, in doubt too, for quality comes first.
        unsure: what the data leave open, be it among the broken or the kept.
    """

    comparisons: tuple[Comparison, ...] = ()
    broken: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What came of the search for the best.

    Attributes:
        picked: the configuration of the grid that was held against the reference (or is it).
        arm: what to use: ``picked``, or the reference where that is shown to be better.
        evidence: ``picked`` against the reference; ``None``: it is the reference.
        quality: what ``arm`` does to quality.
        undecided: effects that decided nothing, so that the first level was kept.
        beaten: what the parts together would have been, where ``picked`` beats it, and the comparison.
        refusals: better ones that were refused, a sentence each.
        doubts: what is not settled about quality.
    """

    picked: Configuration
    arm: Configuration
    evidence: Comparison | None
    quality: Quality
    undecided: tuple[MainEffect, ...] = ()
    beaten: Comparison | None = None
    refusals: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


class Found:
    """The findings on one objective in one situation, looked up by label.

    Args:
        objective: what decides.
        arms: the configurations of the situation.
        ground: the sweep's ground.
        comparisons: against the reference, of every metric.
        effects: main effects.
        measures: objectives and quality metrics.
    """

    def __init__(
        self,
        objective: Objective,
        arms: Sequence[Configuration],
        ground: Ground,
        comparisons: Sequence[Comparison],
        effects: Sequence[MainEffect],
        measures: Sequence[Objective],
    ) -> None:
        self.objective, self.ground, self.arms = objective, ground, arms
        self.reference = reference(arms)
        self.grid = [arm for arm in arms if arm.arm == "grid"]
        self.by_label = {(c.metric, c.label): c for c in comparisons}
        self.effects = [effect for effect in effects if effect.comparison.metric == objective.metric]
        self.quality = [measure for measure in measures if measure.role == "quality"]

    def evidence(self, arm: Configuration) -> Comparison | None:
        """The arm against the reference."""
        return self.by_label.get((self.objective.metric, arm.label))

    def gain(self, arm: Configuration) -> float:
        """Ratio to the reference, turned so that above 1 is good; the reference itself is 1."""
        comparison = self.evidence(arm)
        return turned(comparison, self.objective) if comparison else 1.0

    def measured(self) -> list[Configuration]:
        """Configurations with evidence (or that are the reference), best estimate first."""
        known = [arm for arm in self.grid if arm is self.reference or _has_runs(self.evidence(arm))]
        return sorted(known, key=lambda arm: -self.gain(arm))

    @property
    def anything(self) -> bool:
        """Whether any run has the objective's metric."""
        return any(self.ground.table.column(arm.label, self.objective.metric) for arm in self.arms)


def choose(found: Found) -> Choice:
    """The configuration to use: parameters by their main effects, held against the best measured, quality kept."""
    measured = found.measured()
    first, undecided, beaten = _by_main_effects(found, measured)
    refusals: list[str] = []
    doubts: list[str] = []
    for arm in [first, *(arm for arm in measured if arm is not first)]:
        quality = quality_of(found, arm)
        if not quality.broken:
            notes = (undecided, beaten) if arm is first else ((), None)
            return _settled(found, arm, quality, notes, refusals, doubts)
        # only a winner needs a refusal; the slower ones would not have been chosen anyway
        if found.gain(arm) > 1:
            refusals.append(f"{arm.label} is refused: {'; '.join(quality.broken)}.")
            doubts += [f"of {arm.label}, {doubt}" for doubt in quality.unsure]
    return _settled(found, found.reference, Quality(), ((), None), refusals, doubts)


def _settled(
    found: Found,
    picked: Configuration,
    quality: Quality,
    notes: tuple[tuple[MainEffect, ...], Comparison | None],
    refusals: Sequence[str],
    doubts: Sequence[str],
) -> Choice:
    evidence = found.evidence(picked)
    arm = found.reference if evidence is not None and evidence.verdict == "worse" else picked
    return Choice(
        picked=picked,
        arm=arm,
        evidence=evidence,
        # what the grid does to quality is no property of the reference
        quality=Quality() if arm is found.reference else quality,
        undecided=notes[0],
        beaten=notes[1],
        refusals=tuple(refusals),
        doubts=tuple(doubts),
    )


def _by_main_effects(
    found: Found, measured: Sequence[Configuration]
) -> tuple[Configuration, tuple[MainEffect, ...], Comparison | None]:
    """Each parameter's best level where one is shown to be better, else its first; held against the best measured."""
    open_ones: list[MainEffect] = []
    first = found.grid[0]
    levels: dict[str, Any] = dict(first.varied)
    for name in first.varied:
        effects = [effect for effect in found.effects if effect.parameter == name]
        better = [effect for effect in effects if effect.comparison.verdict == "better"]
        if better:
            levels[name] = max(better, key=lambda effect: turned(effect.comparison, found.objective)).level
        open_ones += [effect for effect in effects if not better and effect.comparison.verdict != "worse"]
    best = measured[0] if measured else first
    # conditions may have left out what the best levels come to together
    chosen = next((arm for arm in found.grid if arm.label == label_of(levels)), best)
    if best is not chosen and chosen in measured:
        direct = compare(found.ground, best, chosen, found.objective, picked_from=len(measured) - 1)
        if direct.verdict == "better":
            return best, (), direct
    return (chosen if chosen in measured else best), tuple(open_ones), None


def contenders(found: Found) -> list[Configuration]:
    """Configurations that may be better than the reference by more than the band, best estimate first."""
    others = [arm for arm in found.grid if (c := found.evidence(arm)) and not _cannot_be_better(c, found.objective)]
    return sorted(others, key=lambda arm: (-found.gain(arm), arm.label))


def finalist(found: Found, choice: Choice) -> Configuration:
    """What fresh blocks are to test: the choice; where that is the reference for want of a decision, the contender."""
    if choice.arm is not found.reference or choice.evidence is not None:
        return choice.arm
    kept = (arm for arm in contenders(found) if not quality_of(found, arm).broken)
    return next(kept, found.reference)


def _cannot_be_better(comparison: Comparison, objective: Objective) -> bool:
    effect = comparison.effect
    if comparison.verdict in ("worse", "equivalent"):
        return True
    if effect.low is None or effect.high is None or comparison.verdict == "better":
        return False
    best = effect.high if objective.direction == "maximize" else 1 / effect.low
    return best <= 1 + comparison.band


def quality_of(found: Found, arm: Configuration) -> Quality:
    """What an arm does to the quality metrics, against the reference."""
    if arm is found.reference:
        return Quality()
    compared, broken, unsure = [], [], []
    for measure in found.quality:
        comparison = found.by_label.get((measure.metric, arm.label))
        if comparison is None or not comparison.effect.n:
            unsure.append(f"{measure.metric} could not be compared")
            continue
        compared.append(comparison)
        shown, least, most = f"{measure.metric} {show_effect(comparison.effect)}", *_losses(comparison, measure)
        if _loss(comparison.effect.ratio, measure) > measure.tolerance:
            broken.append(f"{shown} breaks the tolerance of {measure.tolerance:.1%}")
        if least <= measure.tolerance < most:
            unsure.append(f"{shown} may or may not keep its tolerance of {measure.tolerance:.1%}")
    return Quality(tuple(compared), tuple(broken), tuple(unsure))


def turned(comparison: Comparison, objective: Objective) -> float:
    """A ratio turned so that above 1 is good; 0 where there is nothing to rank by."""
    ratio = comparison.effect.ratio
    if math.isnan(ratio):
        return 0.0
    return ratio if objective.direction == "maximize" else 1 / ratio


def _loss(ratio: float, measure: Objective) -> float:
    return ratio - 1 if measure.direction == "minimize" else 1 - ratio


def _losses(comparison: Comparison, measure: Objective) -> tuple[float, float]:
    """The smallest and the largest loss the interval allows; without an interval anything is possible."""
    low, high = comparison.effect.low, comparison.effect.high
    if low is None or high is None:
        return -math.inf, math.inf
    least, most = sorted((_loss(low, measure), _loss(high, measure)))
    return least, most


def _has_runs(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.effect.n > 0
