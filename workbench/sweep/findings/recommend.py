"""Which settings to use, in plain words with the evidence: honest about what the data do not decide.

A parameter whose effect is not shown keeps its first level (the cheapest, by convention of the specification). A winner
that costs quality is refused. Knows verdicts, not how they were reached.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.registry import Registry, embedders, memories
from workbench.settings import EngineSettings
from workbench.sweep.design.planning import Configuration, label_of, reference, show
from workbench.sweep.findings.comparing import compare
from workbench.sweep.findings.targets import show_effect
from workbench.sweep.records.table import Table
from workbench.sweep.results import Comparison, MainEffect, Objective, Recommendation


@dataclass(frozen=True, slots=True)
class _Choice:
    """A configuration somebody could use, and what there is to say about it."""

    arm: Configuration
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Quality:
    """What a choice does to the quality metrics.

    Attributes:
        broken: estimates beyond their tolerance: the choice is refused, in doubt too, for quality comes first.
        unsure: what the data leave open, be it among the broken or the kept.
    """

    comparisons: tuple[Comparison, ...]
    broken: tuple[str, ...]
    unsure: tuple[str, ...]


class _Findings:
    """The findings on one objective, looked up by label."""

    def __init__(
        self,
        objective: Objective,
        arms: Sequence[Configuration],
        table: Table,
        comparisons: Sequence[Comparison],
        effects: Sequence[MainEffect],
        measures: Sequence[Objective],
    ) -> None:
        self.objective, self.table = objective, table
        self.reference = reference(arms)
        self.grid = [arm for arm in arms if arm.arm == "grid"]
        self.by_label = {(c.metric, c.label): c for c in comparisons}
        self.effects = [effect for effect in effects if effect.comparison.metric == objective.metric]
        self.quality = [measure for measure in measures if measure.role == "quality"]

    def evidence(self, arm: Configuration) -> Comparison | None:
        return self.by_label.get((self.objective.metric, arm.label))

    def gain(self, comparison: Comparison | None) -> float:
        """Ratio turned so that above 1 is good; the reference against itself is 1."""
        return _turned(comparison, self.objective) if comparison else 1.0

    def measured(self) -> list[Configuration]:
        """Configurations with evidence (or that are the reference), best estimate first."""
        known = [arm for arm in self.grid if arm is self.reference or _has_runs(self.evidence(arm))]
        return sorted(known, key=lambda arm: -self.gain(self.evidence(arm)))


def recommend(
    objective: Objective,
    arms: Sequence[Configuration],
    table: Table,
    comparisons: Sequence[Comparison],
    effects: Sequence[MainEffect],
    measures: Sequence[Objective],
    situation: str = "",
) -> Recommendation:
    """What to use for one objective, and in which situation, where there are several."""
    found = _recommended(objective, arms, table, comparisons, effects, measures)
    return replace(found, headline=f"{situation}: {found.headline}") if situation else found


def _recommended(
    objective: Objective,
    arms: Sequence[Configuration],
    table: Table,
    comparisons: Sequence[Comparison],
    effects: Sequence[MainEffect],
    measures: Sequence[Objective],
) -> Recommendation:
    findings = _Findings(objective, arms, table, comparisons, effects, measures)
    measured = findings.measured()
    if not any(table.column(arm.label, objective.metric) for arm in arms):
        return _nothing(findings)
    first = _by_main_effects(findings, measured)
    candidates = [first, *(_Choice(arm, ()) for arm in measured if arm is not first.arm)]
    refusals: list[str] = []
    doubts: list[str] = []
    for choice in candidates:
        quality = _quality(findings, choice.arm)
        if not quality.broken:
            return _settle(findings, choice, quality, refusals, doubts)
        # only a winner needs a refusal; the slower ones would not have been chosen anyway
        if findings.gain(findings.evidence(choice.arm)) > 1:
            refusals.append(f"{choice.arm.label} is refused: {'; '.join(quality.broken)}.")
            doubts += [f"of {choice.arm.label}, {doubt}" for doubt in quality.unsure]
    return _settle(findings, _Choice(findings.reference, ()), _Quality((), (), ()), refusals, doubts)


def _by_main_effects(findings: _Findings, measured: Sequence[Configuration]) -> _Choice:
    """Each parameter's best level where one is shown to be better, else its first; held against the best measured."""
    notes: list[str] = []
    first = findings.grid[0]
    levels: dict[str, Any] = dict(first.varied)
    for name in first.varied:
        effects = [effect for effect in findings.effects if effect.parameter == name]
        better = [effect for effect in effects if effect.comparison.verdict == "better"]
        if better:
            levels[name] = max(better, key=lambda effect: findings.gain(effect.comparison)).level
        notes += [_undecided(effect) for effect in effects if not better and effect.comparison.verdict != "worse"]
    best = measured[0] if measured else first
    # conditions may have left out what the best levels come to together
    chosen = next((arm for arm in findings.grid if arm.label == label_of(levels)), best)
    if best is not chosen and chosen in measured:
        rivals = len(measured) - 1
        direct = compare(findings.table, best, chosen, findings.objective, _band_of(findings), picked_from=rivals)
        if direct.verdict == "better":
            note = f"Its parts do not simply add up: it beats {chosen.label} by {show_effect(direct.effect)}."
            return _Choice(best, (note,))
    return _Choice(chosen if chosen in measured else best, tuple(notes))


def _undecided(effect: MainEffect) -> str:
    comparison = effect.comparison
    said = "makes no difference that matters" if comparison.verdict == "equivalent" else "is not decided"
    return (
        f"{effect.parameter}={show(effect.level)} instead of {show(effect.reference_level)} {said}: "
        f"{show_effect(comparison.effect)}; {show(effect.reference_level)} is kept."
    )


def _quality(findings: _Findings, arm: Configuration) -> _Quality:
    if arm is findings.reference:
        return _Quality((), (), ())
    compared, broken, unsure = [], [], []
    for measure in findings.quality:
        comparison = findings.by_label.get((measure.metric, arm.label))
        if comparison is None or not comparison.effect.n:
            unsure.append(f"{measure.metric} could not be compared")
            continue
        compared.append(comparison)
        shown, least, most = f"{measure.metric} {show_effect(comparison.effect)}", *_losses(comparison, measure)
        if _loss(comparison.effect.ratio, measure) > measure.tolerance:
            broken.append(f"{shown} breaks the tolerance of {measure.tolerance:.1%}")
        if least <= measure.tolerance < most:
            unsure.append(f"{shown} may or may not keep its tolerance of {measure.tolerance:.1%}")
    return _Quality(tuple(compared), tuple(broken), tuple(unsure))


def _loss(ratio: float, measure: Objective) -> float:
    return ratio - 1 if measure.direction == "minimize" else 1 - ratio


def _losses(comparison: Comparison, measure: Objective) -> tuple[float, float]:
    """The smallest and the largest loss the interval allows; without an interval anything is possible."""
    low, high = comparison.effect.low, comparison.effect.high
    if low is None or high is None:
        return -math.inf, math.inf
    least, most = sorted((_loss(low, measure), _loss(high, measure)))
    return least, most


def _settle(
    findings: _Findings, choice: _Choice, quality: _Quality, refusals: Sequence[str], doubts: Sequence[str]
) -> Recommendation:
    evidence = findings.evidence(choice.arm)
    arm, conclusive, sentence = choice.arm, False, ""
    if evidence is None:
        conclusive, sentence = _keep_reference(findings)
    elif evidence.verdict == "better":
        conclusive, sentence = True, f"Use {arm.label}: {_shown(findings, evidence)}."
    elif evidence.verdict == "equivalent":
        conclusive = True
        sentence = f"Use {arm.label}, or keep {findings.reference.label}: no difference, {_shown(findings, evidence)}."
    elif evidence.verdict == "worse":
        arm, conclusive = findings.reference, True
        sentence = f"Keep {arm.label}: the best of the grid, {choice.arm.label}, is {_shown(findings, evidence)}."
    else:
        sentence = f"Inconclusive: {arm.label} is {_shown(findings, evidence)}; {evidence.reason}."
    if arm is findings.reference:  # what the grid does to quality is no property of the reference
        quality = _Quality((), (), ())
    open_points = [*doubts, *quality.unsure]
    best = () if conclusive or evidence is None else _best_so_far(findings, arm)
    notes = [*best, *choice.notes, *refusals, *_quality_sentences(quality.comparisons, open_points)]
    return Recommendation(
        metric=findings.objective.metric,
        conclusive=conclusive and not open_points,
        configuration=dict(arm.varied),
        headline=sentence,
        notes=notes,
        code=code_for(arm.parameters),
        evidence=evidence,
        quality=quality.comparisons,
    )


def _best_so_far(findings: _Findings, arm: Configuration) -> tuple[str, ...]:
    """For an open question: the configuration with the best estimate, if it is another one."""
    best = findings.measured()[0]
    leading = findings.evidence(best)
    if best is arm or leading is None:
        return ()
    return (f"The best estimate so far is {best.label}: {findings.objective.metric} {show_effect(leading.effect)}.",)


def _keep_reference(findings: _Findings) -> tuple[bool, str]:
    """The reference itself is the choice: conclusive if nothing measured could be better by more than the band."""
    others = [c for arm in findings.grid if (c := findings.evidence(arm)) is not None]
    open_ones = [c for c in others if not _cannot_be_better(c, findings.objective)]
    label = findings.reference.label
    if not others:
        return True, f"Nothing to choose between: {label} is the only configuration."
    if open_ones:
        best = max(open_ones, key=lambda c: (_turned(c, findings.objective), c.label))
        return False, (
            f"Inconclusive: no configuration is shown to be better than {label}, but {len(open_ones)} may be, first of "
            f"all {best.label}: {_shown(findings, best)}, {best.reason}."
        )
    return True, f"Keep {label}: none of the {len(others)} other configurations is better by more than the noise."


def _cannot_be_better(comparison: Comparison, objective: Objective) -> bool:
    effect = comparison.effect
    if comparison.verdict in ("worse", "equivalent"):
        return True
    if effect.low is None or effect.high is None or comparison.verdict == "better":
        return False
    best = effect.high if objective.direction == "maximize" else 1 / effect.low
    return best <= 1 + comparison.band


def _shown(findings: _Findings, comparison: Comparison) -> str:
    hosts = sorted({run.host for run in findings.table.runs})
    p = f", p={comparison.p_holm:.2g} after Holm" if comparison.p_holm is not None else ""
    return (
        f"{findings.objective.metric} {show_effect(comparison.effect)} blocks against {comparison.reference}{p}, "
        f"on {', '.join(hosts)}"
    )


def _quality_sentences(comparisons: Sequence[Comparison], open_points: Sequence[str]) -> list[str]:
    kept = [f"{c.metric} {show_effect(c.effect)} ({c.verdict})" for c in comparisons]
    return [
        *([f"Quality: {', '.join(kept)}."] if kept else []),
        *([f"Quality is not settled: {'; '.join(open_points)}."] if open_points else []),
    ]


def _nothing(findings: _Findings) -> Recommendation:
    return Recommendation(
        metric=findings.objective.metric,
        conclusive=False,
        configuration=dict(findings.reference.varied),
        headline=f"Inconclusive: no finished run has {findings.objective.metric}.",
        code=code_for(findings.reference.parameters),
        evidence=None,
    )


def code_for(parameters: Mapping[str, Any]) -> str:
    """Code to paste: what makes the component that was varied, and only what belongs to it, not to the workload."""
    for parameter, variable, registry in (("strategy", "memory", memories), ("embedding", "embedder", embedders)):
        if parameters.get(parameter) in registry.names():
            return f"{variable} = {_creation(registry, parameters[parameter], parameters)}".replace("'", '"')
    settings = {name: value for name, value in parameters.items() if name in EngineSettings.names()}
    if parameters.get("engine", "tuned") != "tuned":
        settings["engine"] = parameters["engine"]
    arguments = [f"{name}={value!r}" for name, value in settings.items()]
    if "model" in parameters:
        return f"engine = wb.load({', '.join([repr(parameters['model']), *arguments])})".replace("'", '"')
    return f"settings = dict({', '.join(f'{name}={value!r}' for name, value in parameters.items())})"


def _creation(registry: Registry[Any], name: str, parameters: Mapping[str, Any]) -> str:
    """The call that makes a component, with what its factory takes of the parameters; ``embedding``: its embedder."""
    offered = {**parameters, "embedder": parameters.get("embedding")}
    takes = inspect.signature(registry.get(name)).parameters
    given = [f"{key}={offered[key]!r}" for key in takes if key in offered and offered[key] is not None]
    return f"wb.{registry.group.rpartition('.')[2]}.create({', '.join([repr(name), *given])})"


def _band_of(findings: _Findings) -> float:
    return max((effect.comparison.band for effect in findings.effects), default=0.01)


def _has_runs(comparison: Comparison | None) -> bool:
    return comparison is not None and comparison.effect.n > 0


def _turned(comparison: Comparison, objective: Objective) -> float:
    ratio = comparison.effect.ratio
    if math.isnan(ratio):  # nothing to rank by
        return 0.0
    return ratio if objective.direction == "maximize" else 1 / ratio
