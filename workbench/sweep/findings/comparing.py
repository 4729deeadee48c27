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
from workbench.sweep.records.table import BlockKey, Table
from workbench.sweep.results import Comparison, Effect, Floor, MainEffect, Objective
from workbench.sweep.specification.spec import SweepSpec

LENGTH_METRIC = "output_tokens"
TIME_UNITS = ("_ms", "_s", "_tps", "_joules", "_rps")
"""Endings of metrics that a shorter answer makes look better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A comparison before Holm's correction, which needs the whole family."""

    label: str
    configuration: Mapping[str, Any]
    reference: str
    effect: Effect
    objection: str = ""
    medians: tuple[float, float, float] | None = None


def compare(
    table: Table, ours: Configuration, theirs: Configuration, objective: Objective, band: float, *, picked_from: int = 1
) -> Comparison:
    """One configuration against another. ``picked_from``: among how many it was chosen for its result (Bonferroni)."""
    return _judged(objective, [_draft(table, ours, theirs, objective.metric)], band, picked_from)[0]


def against_reference(
    table: Table, groups: Sequence[Sequence[Configuration]], objective: Objective, band: float
) -> list[Comparison]:
    """Every configuration of the grid against the reference of its own group, on one metric: one family."""
    drafts = []
    for arms in groups:
        against = reference(arms)
        others = [arm for arm in arms if arm.arm == "grid" and arm is not against]
        drafts += [_draft(table, arm, against, objective.metric) for arm in others]
    return _judged(objective, drafts, band)


def _draft(table: Table, ours: Configuration, theirs: Configuration, metric: str) -> _Draft:
    pairs = table.pairs(ours.label, theirs.label, metric)
    effect, objection = _effect(pairs)
    if effect.n and not objection:
        objection = _length_objection(metric, _effect(table.pairs(ours.label, theirs.label, LENGTH_METRIC))[0])
    return _Draft(
        label=ours.label,
        configuration=ours.varied,
        reference=theirs.label,
        effect=effect,
        objection=objection,
        medians=_medians(pairs, effect),
    )


def _effect(pairs: Mapping[BlockKey, tuple[float, float]]) -> tuple[Effect, str]:
    """Effect of paired values, and what speaks against reading anything into it."""
    if not pairs:
        return statistics.effect_of_logs([]), "no block has a finished run of both"
    ours, theirs = zip(*pairs.values(), strict=True)
    try:
        return statistics.paired_effect(ours, theirs), ""
    except ValueError as error:
        return statistics.effect_of_logs([]), str(error)


def _medians(pairs: Mapping[BlockKey, tuple[float, float]], effect: Effect) -> tuple[float, float, float] | None:
    if effect.n < 2 or any(min(pair) <= 0 for pair in pairs.values()):
        return None
    ours, theirs = zip(*pairs.values(), strict=True)
    return statistics.bootstrap_ratio_of_medians(ours, theirs)


def _length_objection(metric: str, length: Effect) -> str:
    """Reject "faster because shorter": times are comparable only for answers of equal length."""
    if length.n == 0 or not metric.endswith(TIME_UNITS) or abs(math.log(length.ratio)) <= statistics.LEAST_BAND:
        return ""
    return f"the answers differ in length ({length.ratio:.3f} × the output tokens), so times do not compare"


def _judged(objective: Objective, drafts: Sequence[_Draft], band: float, picked_from: int = 1) -> list[Comparison]:
    """Verdicts for one family: all comparisons of one kind on one metric (Holm 1979)."""
    ps = [None if draft.effect.p is None else min(1.0, draft.effect.p * picked_from) for draft in drafts]
    adjusted, family = statistics.holm(ps), len(drafts) * picked_from
    judged = []
    for draft, p_holm in zip(drafts, adjusted, strict=True):
        verdict, reason = statistics.judge(draft.effect, p_holm, band, objective.direction, family)
        if draft.objection:
            verdict, reason = "inconclusive", draft.objection
        judged.append(
            Comparison(
                metric=objective.metric,
                label=draft.label,
                configuration=draft.configuration,
                reference=draft.reference,
                effect=draft.effect,
                p_holm=p_holm,
                band=band,
                verdict=verdict,
                reason=reason,
                medians=draft.medians,
            )
        )
    return judged


def floor(table: Table, arms: Sequence[Configuration], metric: str) -> Floor | None:
    """The A/A floor of a metric; ``None`` without twins or without a pair of them."""
    twin = next((arm for arm in arms if arm.arm == "twin"), None)
    if twin is None:
        return None
    effect, objection = _effect(table.pairs(twin.label, reference(arms).label, metric))
    return None if objection else statistics.floor_of(metric, effect)


def band_of(twins: Floor | None) -> float:
    """Half-width of the zone of "no difference": 1 %, or the floor where that is wider."""
    return max(statistics.LEAST_BAND, twins.width if twins else 0.0)


def main_effects(
    spec: SweepSpec, arms: Sequence[Configuration], table: Table, objective: Objective, band: float
) -> list[MainEffect]:
    """Every level of every parameter against its first, on one metric, where configurations differ in nothing else."""
    drafts, steps = [], []
    for name, levels in spec.levels.items():
        for level in levels[1:] if _is_a_choice(spec, name) else ():
            matched = list(_matched(arms, _together(spec, name), name, levels[0], level))
            if matched:
                steps.append((name, levels[0], level))
                drafts.append(_main_draft(table, objective.metric, matched, steps[-1]))
    judged = _judged(objective, drafts, band)
    return [
        MainEffect(parameter=name, level=level, reference_level=first, comparison=comparison)
        for (name, first, level), comparison in zip(steps, judged, strict=True)
    ]


def _main_draft(table: Table, metric: str, matched: Sequence[tuple[str, str]], step: tuple[str, Any, Any]) -> _Draft:
    name, first, level = step
    logs, objection = _averaged(table, matched, metric)
    if logs and not objection:
        lengths, _ = _averaged(table, matched, LENGTH_METRIC)
        objection = _length_objection(metric, statistics.effect_of_logs(lengths))
    return _Draft(
        label=f"{name}={show(level)}",
        configuration={name: level},
        reference=f"{name}={show(first)}",
        effect=statistics.effect_of_logs(logs),
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
) -> Iterable[tuple[str, str]]:
    """Labels of configurations that differ in one parameter, and what changes with it, only: (``level``, ``first``)."""

    def rest(arm: Configuration) -> str:
        return canonical({key: value for key, value in arm.varied.items() if key not in together})

    grid = [arm for arm in arms if arm.arm == "grid" and name in arm.varied]
    with_first = {rest(arm): arm.label for arm in grid if canonical(arm.varied[name]) == canonical(first)}
    for arm in grid:
        if canonical(arm.varied[name]) == canonical(level) and rest(arm) in with_first:
            yield arm.label, with_first[rest(arm)]


def _averaged(table: Table, matched: Sequence[tuple[str, str]], metric: str) -> tuple[list[float], str]:
    """Log ratios averaged over the other parameters within each block, so that n is the number of blocks.

    Pairs that never finished are left out everywhere, and so are blocks that lack one of the rest: an average over
    changing members would measure who is missing.
    """
    found = [pairs for ours, theirs in matched if (pairs := table.pairs(ours, theirs, metric))]
    if not found:
        return [], "no block has a finished run of both"
    blocks = sorted(set.intersection(*(set(pairs) for pairs in found)))
    if any(a != b and min(a, b) <= 0 for pairs in found for a, b in pairs.values()):
        return [], "values without a ratio: zero or negative"
    logs = [
        [0.0 if pairs[b][0] == pairs[b][1] else math.log(pairs[b][0] / pairs[b][1]) for pairs in found] for b in blocks
    ]
    return [math.fsum(one) / len(one) for one in logs], "" if blocks else "no block is complete"
