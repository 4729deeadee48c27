"""One sweep against another: configurations matched by their parameters, ratios with intervals, a gate for CI.

Runs of different sweeps share no blocks, so they are compared as two samples (:mod:`.unpaired`): what the machine did
between the two is in the ratio, and no statistics take it out. Runs of one and the same sweep are compared in pairs.
"""

from __future__ import annotations

import dataclasses
import statistics as middle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.sweep.design.configurations import canonical, label_of, show
from workbench.sweep.findings import statistics
from workbench.sweep.findings.ground import effect_of
from workbench.sweep.findings.unpaired import unpaired_effect
from workbench.sweep.records.table import BlockKey
from workbench.sweep.results import Direction, Effect, Objective

SideVerdict = Literal["better", "worse", "equivalent", "inconclusive", "higher", "lower"]

UNITS: Mapping[str, Direction] = {
    "_tps": "maximize",
    "_rps": "maximize",
    "_ms": "minimize",
    "_s": "minimize",
    "_bytes": "minimize",
    "_joules": "minimize",
}
"""Which way is good, by a metric's unit, where no specification says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRun:
    """A finished run of one side."""

    cell: str
    arm: str
    key: BlockKey
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two sweeps.

    Attributes:
        name: for people.
        runs: finished runs.
        facts: what may explain a difference: hosts, models, versions, code; name → value in words.
        same_sweep: a text that is equal for equal results folders.
        objectives: metrics it is about, and which way is good.
        unfinished: runs that were tried and did not finish.
    """

    name: str
    runs: Sequence[SideRun]
    facts: Mapping[str, str]
    same_sweep: str
    objectives: Sequence[Objective] = ()
    unfinished: Sequence[SideRun] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One metric of one configuration on both sides.

    Attributes:
        metric: what was compared.
        direction: which way is good; ``None``: not known, then nothing is better or worse.
        label: the configuration in words.
        configuration: what it is made of, where either sweep varies it.
        median_a: of A's runs; ``None`` without any.
        median_b: of B's.
        effect: B / A and its interval.
        n_a: runs of A.
        n_b: runs of B.
        p_holm: p adjusted for the configurations compared on this metric.
        band: half-width of the zone of "no difference".
        verdict: of B against A; "higher" and "lower" where no way is known to be good.
        reason: one sentence.
        gated: B is worse by more than the gate, for sure.
    """

    metric: str
    direction: Direction | None
    label: str
    configuration: Mapping[str, Any]
    median_a: float | None
    median_b: float | None
    effect: Effect
    n_a: int
    n_b: int
    p_holm: float | None
    band: float
    verdict: SideVerdict
    reason: str
    gated: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    """Runs of one configuration on both sides."""

    label: str
    configuration: Mapping[str, Any]
    a: Sequence[SideRun]
    b: Sequence[SideRun]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which configurations both sides have.

    Attributes:
        pairs: those.
        only_a: labels of what only A has.
        only_b: and only B.
        lost: those of ``only_a`` that B tried, too, and never finished.
        settings: parameters that are the same throughout each side, but not the same on both: name → (A's, B's).
        paired: both sides are of one sweep, so that runs of a block are pairs.
    """

    pairs: Sequence[_Pair]
    only_a: Sequence[str]
    only_b: Sequence[str]
    lost: Sequence[str]
    settings: Mapping[str, tuple[str, str]]
    paired: bool


def match(a: Side, b: Side) -> Match:
    """Configurations by what either side varies; what is constant on each side does not tell them apart.

    Twins are left out: they repeat a configuration that is there. So are further blocks: how many there are depends on
    what they showed.
    """
    sides = [[run for run in side.runs if run.arm != "twin" and run.key[1] != "more"] for side in (a, b)]
    names = list(dict.fromkeys(name for runs in sides for run in runs for name in run.parameters))
    levels = [{name: _levels(runs, name) for name in names} for runs in sides]
    varied = [name for name in names if any(len(side[name]) > 1 for side in levels)]
    groups = [_grouped(runs, varied) for runs in sides]
    both = [key for key in groups[0] if key in groups[1]]
    tried = _grouped(b.unfinished, varied)
    gone = {key: _label(runs[0], varied) for key, runs in groups[0].items() if key not in groups[1]}
    return Match(
        pairs=[_pair(groups[0][key], groups[1][key], varied) for key in both],
        only_a=list(gone.values()),
        only_b=[_label(runs[0], varied) for key, runs in groups[1].items() if key not in groups[0]],
        lost=[label for key, label in gone.items() if key in tried],
        settings={
            name: (_shown(levels[0][name]), _shown(levels[1][name]))
            for name in names
            if name not in varied and set(levels[0][name]) != set(levels[1][name])
        },
        paired=a.same_sweep == b.same_sweep,
    )


def differences(a: Side, b: Side, found: Match, measures: Sequence[Objective | str], gate: float) -> list[Difference]:
    """Every metric of every configuration both sides have; one family a metric (Holm 1979).

    Args:
        a: the one before.
        b: the one after.
        found: what they have in common.
        measures: metrics, those with a known direction as objectives.
        gate: how much worse B may be: 0.05 = 5 %.
    """
    every = []
    for measure in measures:
        metric = measure if isinstance(measure, str) else measure.metric
        direction = None if isinstance(measure, str) else measure.direction
        band = max(statistics.LEAST_BAND, *(_floor(side, metric) for side in (a, b)))
        drafts = [_draft(pair, metric, direction, band, found.paired) for pair in found.pairs]
        adjusted = statistics.holm([draft.effect.p for draft in drafts])
        every += [_judged(draft, p, gate) for draft, p in zip(drafts, adjusted, strict=True)]
    return every


def _draft(pair: _Pair, metric: str, direction: Direction | None, band: float, paired: bool) -> Difference:
    a, b = _values(pair.a, metric), _values(pair.b, metric)
    effect, reason = _paired(a, b) if paired else _unpaired(a, b)
    if paired and reason and set(a) & set(b):  # pairs need logarithms, ranks do not
        effect, reason = _unpaired(a, b)
    return Difference(
        metric=metric,
        direction=direction,
        label=pair.label,
        configuration=pair.configuration,
        median_a=middle.median(a.values()) if a else None,
        median_b=middle.median(b.values()) if b else None,
        effect=effect,
        n_a=len(a),
        n_b=len(b),
        p_holm=None,
        band=band,
        verdict="inconclusive",
        reason=reason,
    )


def _unpaired(a: Mapping[BlockKey, float], b: Mapping[BlockKey, float]) -> tuple[Effect, str]:
    if not a or not b:
        return statistics.effect_of_logs([]), "one side has no finished run with it"
    try:
        return unpaired_effect(list(b.values()), list(a.values())), ""
    except ValueError as error:
        return statistics.effect_of_logs([]), str(error)


def _paired(a: Mapping[BlockKey, float], b: Mapping[BlockKey, float]) -> tuple[Effect, str]:
    return effect_of({key: (value, a[key]) for key, value in sorted(b.items()) if key in a})


def _judged(draft: Difference, p_holm: float | None, gate: float) -> Difference:
    """Verdict, and whether the gate is broken: both by the whole interval and the corrected p."""
    if draft.reason:
        return draft
    verdict, reason = _verdict(draft, p_holm, draft.band)
    broken = draft.direction is not None and _verdict(draft, p_holm, gate)[0] == "worse"
    return dataclasses.replace(draft, p_holm=p_holm, verdict=verdict, reason=reason, gated=broken)


def _verdict(draft: Difference, p_holm: float | None, band: float) -> tuple[SideVerdict, str]:
    effect, least = draft.effect, statistics.BLOCKS_FOR_INTERVAL
    if effect.low is None or effect.n < least:
        return "inconclusive", f"only {effect.n} runs on the smaller side; {least} are needed to decide"
    if p_holm is None or p_holm > statistics.ALPHA:
        within = statistics.judge(effect, 0.0, band, "maximize", least=least)
        same = within[0] == "equivalent"
        return ("equivalent" if same else "inconclusive"), within[1] if same else "it may be chance"
    verdict, reason = statistics.judge(effect, p_holm, band, draft.direction or "maximize", least=least)
    if draft.direction is None and verdict in ("better", "worse"):
        return ("higher" if verdict == "better" else "lower"), reason
    return verdict, reason


def _floor(side: Side, metric: str) -> float:
    """How far twins of a side differ, as a share; 0 without twins."""
    twins = [run for run in side.runs if run.arm == "twin"]
    same = {canonical(dict(run.parameters)) for run in twins}
    originals = [r for r in side.runs if r.arm != "twin" and canonical(dict(r.parameters)) in same]
    effect, objection = _paired(_values(originals, metric), _values(twins, metric))
    return 0.0 if objection or not effect.n else statistics.floor_of(metric, effect).width


def _values(runs: Iterable[SideRun], metric: str) -> dict[BlockKey, float]:
    return {run.key: value for run in runs if (value := run.metrics.get(metric)) is not None}


def _levels(runs: Iterable[SideRun], name: str) -> dict[str, Any]:
    return {canonical([name in run.parameters, run.parameters.get(name)]): run.parameters.get(name) for run in runs}


def _shown(levels: Mapping[str, Any]) -> str:
    return "/".join("not set" if key.startswith("[false") else show(value) for key, value in levels.items())


def _grouped(runs: Iterable[SideRun], varied: Sequence[str]) -> dict[str, list[SideRun]]:
    groups: dict[str, list[SideRun]] = {}
    for run in runs:
        key = canonical([[name in run.parameters, run.parameters.get(name)] for name in varied])
        groups.setdefault(key, []).append(run)
    return groups


def _pair(a: Sequence[SideRun], b: Sequence[SideRun], varied: Sequence[str]) -> _Pair:
    configuration = {name: a[0].parameters[name] for name in varied if name in a[0].parameters}
    return _Pair(label=label_of(configuration), configuration=configuration, a=a, b=b)


def _label(run: SideRun, varied: Sequence[str]) -> str:
    return label_of({name: run.parameters[name] for name in varied if name in run.parameters})
