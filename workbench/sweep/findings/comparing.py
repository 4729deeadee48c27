"""Comparisons: within-block pairs → effects → Holm → verdicts. Three families: twins, configurations, main effects.

A family is all comparisons of one kind on one metric. Knows no recommendations and runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.sweep.design.planning import Configuration, canonical, reference, show
from workbench.sweep.findings import statistics
from workbench.sweep.findings.ground import Ground, effect_of
from workbench.sweep.records.table import BlockKey, Table
from workbench.sweep.results import Comparison, Effect, MainEffect, Objective
from workbench.sweep.specification.spec import SweepSpec

LENGTH_METRIC = "output_tokens"
EMPTY_ANSWERS = "one of two had an answer without tokens, so times do not compare"
_NO_RATIO = "values without a ratio: zero or negative"
TIME_UNITS = ("_ms", "_s", "_tps", "_joules", "_rps")
"""Endings of metrics that a shorter answer makes look better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A comparison before Holm's correction, which needs the whole family. ``share``: of alpha that it may spend."""

    label: str
    configuration: Mapping[str, Any]
    reference: str
    effect: Effect
    share: float
    band: float
    objection: str = ""
    medians: tuple[float, float, float] | None = None


def compare(
    ground: Ground, ours: Configuration, theirs: Configuration, objective: Objective, *, picked_from: int = 1
) -> Comparison:
    """One configuration against another. ``picked_from``: among how many it was chosen for its result (Bonferroni)."""
    return _judged(ground, objective, [_draft(ground, ours, theirs, objective.metric)], picked_from)[0]


def compare_all(
    ground: Ground, pairs: Sequence[tuple[Configuration, Configuration]], objective: Objective
) -> list[Comparison]:
    """Several of them, as one family."""
    return _judged(ground, objective, [_draft(ground, ours, theirs, objective.metric) for ours, theirs in pairs])


def against_reference(
    ground: Ground, groups: Sequence[Sequence[Configuration]], objective: Objective
) -> list[Comparison]:
    """Every configuration of the grid against the reference of its own group, on one metric: one family."""
    pairs = []
    for arms in groups:
        against = reference(arms)
        pairs += [(arm, against) for arm in arms if arm.arm == "grid" and arm is not against]
    return compare_all(ground, pairs, objective)


def objection(ground: Ground, ours: Configuration, theirs: Configuration, metric: str) -> str:
    """What speaks against comparing two configurations at all, however many blocks there are; empty: nothing."""
    return _weighed(ground, ours, theirs, metric)[2]


def _weighed(
    ground: Ground, ours: Configuration, theirs: Configuration, metric: str
) -> tuple[dict[BlockKey, tuple[float, float]], Effect, str]:
    """Pairs, their effect, and what speaks against it."""
    pairs = ground.table.pairs(ours.label, theirs.label, metric)
    effect, said = ground.effect(pairs)
    if effect.n and not said and metric.endswith(TIME_UNITS):
        lengths = ground.table.pairs(ours.label, theirs.label, LENGTH_METRIC)
        if any(min(pair) <= 0 < max(pair) for pair in lengths.values()):
            said = EMPTY_ANSWERS
        elif any(one != other for one, other in lengths.values()):
            said = _length_objection(metric, effect_of(lengths)[0].ratio)
    return pairs, effect, said


def _draft(ground: Ground, ours: Configuration, theirs: Configuration, metric: str) -> _Draft:
    pairs, effect, said = _weighed(ground, ours, theirs, metric)
    return _Draft(
        label=ours.label,
        configuration=ours.varied,
        reference=theirs.label,
        effect=effect,
        share=ground.looks.share(pairs),
        band=ground.band(metric, ground.within_plot(ours, theirs)),
        objection=said,
        medians=_medians(pairs, effect),
    )


def _medians(pairs: Mapping[BlockKey, tuple[float, float]], effect: Effect) -> tuple[float, float, float] | None:
    if effect.n < 2 or any(min(pair) <= 0 for pair in pairs.values()):
        return None
    ours, theirs = zip(*pairs.values(), strict=True)
    return statistics.bootstrap_ratio_of_medians(ours, theirs)


def _length_objection(metric: str, length: float) -> str:
    """Reject "faster because shorter": times are comparable only for answers of equal length. NaN: not known."""
    if math.isnan(length) or not metric.endswith(TIME_UNITS) or abs(math.log(length)) <= statistics.LEAST_BAND:
        return ""
    return f"the answers differ in length ({length:.3f} × the output tokens), so times do not compare"


def _judged(ground: Ground, objective: Objective, drafts: Sequence[_Draft], picked_from: int = 1) -> list[Comparison]:
    """Verdicts for one family: all comparisons of one kind on one metric (Holm 1979)."""
    ps = [None if d.effect.p is None else min(1.0, d.effect.p * picked_from / d.share) for d in drafts]
    adjusted, family = statistics.holm(ps), len(drafts) * picked_from
    return [_verdict(ground, objective, draft, p, family) for draft, p in zip(drafts, adjusted, strict=True)]


def _verdict(ground: Ground, objective: Objective, draft: _Draft, p_holm: float | None, family: int) -> Comparison:
    verdict, reason = statistics.judge(
        draft.effect, p_holm, draft.band, objective.direction, family, share=draft.share, least=ground.least
    )
    if draft.objection:
        verdict, reason = "inconclusive", draft.objection
    return Comparison(
        metric=objective.metric,
        label=draft.label,
        configuration=draft.configuration,
        reference=draft.reference,
        effect=draft.effect,
        p_holm=p_holm,
        band=draft.band,
        verdict=verdict,
        reason=reason,
        medians=draft.medians,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One level of a parameter against its first, and the configurations that differ in nothing else."""

    parameter: str
    level: Any
    first: Any
    matched: Sequence[tuple[Configuration, Configuration]]


def steps(spec: SweepSpec, arms: Sequence[Configuration]) -> list[Step]:
    """Every level of every parameter against its first, where configurations differ in nothing else."""
    return [
        Step(parameter=name, level=level, first=levels[0], matched=matched)
        for name, levels in spec.levels.items()
        if _is_a_choice(spec, name)
        for level in levels[1:]
        if (matched := list(_matched(arms, _together(spec, name), name, levels[0], level)))
    ]


def main_effects(steps: Sequence[Step], ground: Ground, objective: Objective) -> list[MainEffect]:
    """Main effects on one metric: one family."""
    judged = _judged(ground, objective, [_main_draft(ground, objective.metric, step) for step in steps])
    return [
        MainEffect(parameter=step.parameter, level=step.level, reference_level=step.first, comparison=comparison)
        for step, comparison in zip(steps, judged, strict=True)
    ]


def _main_draft(ground: Ground, metric: str, step: Step) -> _Draft:
    logs, objection = _averaged(ground.table, step.matched, metric)
    if logs and not objection and metric.endswith(TIME_UNITS):
        lengths, said = _averaged(ground.table, step.matched, LENGTH_METRIC)
        ratio = statistics.effect_of_logs(list(lengths.values())).ratio
        objection = EMPTY_ANSWERS if said == _NO_RATIO else _length_objection(metric, ratio)
    return _Draft(
        label=f"{step.parameter}={show(step.level)}",
        configuration={step.parameter: step.level},
        reference=f"{step.parameter}={show(step.first)}",
        effect=statistics.effect_of_logs(list(logs.values()), ground.looks.level(logs)),
        share=ground.looks.share(logs),
        band=ground.band(metric, all(ground.within_plot(*pair) for pair in step.matched)),
        objection=objection,
    )


def _together(spec: SweepSpec, name: str) -> frozenset[str]:
    """The parameters that change with this one, itself included."""
    return next((frozenset(group) for group in spec.linked if name in group), frozenset([name]))


def _is_a_choice(spec: SweepSpec, name: str) -> bool:
    """Whether a level of this parameter says which others changed with it: if not, its effect is nobody's own."""
    together = next((group for group in spec.linked if name in group), None)
    return together is None or len({canonical(level) for level in together[name]}) == len(together[name])


def _matched(
    arms: Sequence[Configuration], together: frozenset[str], name: str, first: Any, level: Any
) -> Iterable[tuple[Configuration, Configuration]]:
    """Configurations that differ in one parameter, and what changes with it, only: (``level``, ``first``)."""

    def rest(arm: Configuration) -> str:
        return canonical({key: value for key, value in arm.varied.items() if key not in together})

    grid = [arm for arm in arms if arm.arm == "grid" and name in arm.varied]
    with_first = {rest(arm): arm for arm in grid if canonical(arm.varied[name]) == canonical(first)}
    for arm in grid:
        if canonical(arm.varied[name]) == canonical(level) and rest(arm) in with_first:
            yield arm, with_first[rest(arm)]


def _averaged(
    table: Table, matched: Sequence[tuple[Configuration, Configuration]], metric: str
) -> tuple[dict[BlockKey, float], str]:
    """Log ratios averaged over the other parameters within each block, so that n is the number of blocks.

    Pairs that never finished are left out everywhere, and so are blocks that lack one of the rest: an average over
    changing members would measure who is missing.
    """
    found = [pairs for ours, theirs in matched if (pairs := table.pairs(ours.label, theirs.label, metric))]
    if not found:
        return {}, "no block has a finished run of both"
    blocks = sorted(set.intersection(*(set(pairs) for pairs in found)))
    if any(a != b and min(a, b) <= 0 for pairs in found for a, b in pairs.values()):
        return {}, _NO_RATIO
    logs = {
        block: [
            0.0 if pairs[block][0] == pairs[block][1] else math.log(pairs[block][0] / pairs[block][1])
            for pairs in found
        ]
        for block in blocks
    }
    averaged = {block: math.fsum(one) / len(one) for block, one in logs.items()}
    return averaged, "" if blocks else "no block is complete"
