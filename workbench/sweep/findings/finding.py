"""The findings proper: ground, comparisons, main effects, and what there is to choose between. No words yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.sweep.design.planning import Configuration, situations
from workbench.sweep.findings.choosing import Found
from workbench.sweep.findings.comparing import against_reference, main_effects, steps
from workbench.sweep.findings.ground import Ground, ground
from workbench.sweep.records.table import Run
from workbench.sweep.results import Comparison, MainEffect, Objective
from workbench.sweep.specification.spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the blocks of a sweep show.

    Attributes:
        ground: values and noise.
        comparisons: every configuration against the reference, per metric.
        effects: per metric and parameter level.
        choices: one per objective and situation, with the situation in words.
    """

    ground: Ground
    comparisons: list[Comparison]
    effects: list[MainEffect]
    choices: list[tuple[str, Found]]


def find(spec: SweepSpec, runs: Sequence[Run], arms: Sequence[Configuration]) -> Findings:
    """Compare everything that is to be compared.

    Args:
        spec: what was asked for.
        runs: finished runs of the sweep's own blocks.
        arms: the configurations.
    """
    stand, measures, groups = ground(spec, arms, runs), spec.measures, situations(spec, arms)
    comparisons = [c for m in measures for c in against_reference(stand, [group for _, group in groups], m)]
    everywhere = steps(spec, arms)
    effects = [effect for m in measures for effect in main_effects(everywhere, stand, m)]
    # within one situation, effects are that situation's; over all of them they are averaged
    own_steps = {situation: steps(spec, group) if spec.within else everywhere for situation, group in groups}

    def choice(measure: Objective, situation: str, group: Sequence[Configuration]) -> Found:
        own = main_effects(own_steps[situation], stand, measure) if spec.within else effects
        return Found(measure, group, stand, comparisons, own, measures)

    decisive = [measure for measure in measures if measure.role == "objective"]
    choices = [(situation, choice(m, situation, group)) for m in decisive for situation, group in groups]
    return Findings(ground=stand, comparisons=comparisons, effects=effects, choices=choices)
