"""The measures a benchmark asks for: which arms they mean, and whether they are met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import SweepError
from workbench.sweep.design.planning import Configuration, configurations, label_of
from workbench.sweep.findings.statistics import paired_effect
from workbench.sweep.records.table import Table
from workbench.sweep.results import Effect, TargetResult
from workbench.sweep.specification.parts import TargetSpec
from workbench.sweep.specification.spec import SweepSpec


def select(spec: SweepSpec, wanted: Mapping[str, Any], defaults: Mapping[str, Any]) -> Configuration:
    """The one arm whose parameters include ``wanted``; what an arm does not set has the notebook's default.

    Raises:
        SweepError: none has, or several have.
    """
    arms = [arm for arm in configurations(spec) if arm.arm != "twin"]
    found = [arm for arm in arms if _includes({**defaults, **arm.varied, **arm.parameters}, wanted)]
    if len(found) == 1:
        return found[0]
    asked = label_of(wanted)
    if not found:
        raise SweepError(f"no configuration has {asked}. There are: {'; '.join(arm.label for arm in arms)}.")
    raise SweepError(
        f"{asked} fits {len(found)} configurations ({'; '.join(arm.label for arm in found)}). Name more parameters."
    )


def evaluate(spec: SweepSpec, target: TargetSpec, table: Table, defaults: Mapping[str, Any]) -> TargetResult:
    """Measure one target. ``met`` goes by the estimate; the text says when the interval does not agree."""
    ours = select(spec, target.of, defaults)
    if target.against_metric is not None:
        return _ratio_within(target, ours, table, target.against_metric)
    if target.against is None:
        return _level(target, ours, table)
    return _ratio(target, ours, select(spec, target.against, defaults), table)


def _includes(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in values and values[name] == value for name, value in wanted.items())


def _level(target: TargetSpec, arm: Configuration, table: Table) -> TargetResult:
    values = list(table.column(arm.label, target.metric).values())
    if not values:
        return _unmeasured(target, f"{arm.label} has no finished run with {target.metric}")
    middle = statistics.median(values)
    text = f"{middle:,.6g} (median; {min(values):,.6g} to {max(values):,.6g}), n={len(values)}"
    return TargetResult(name=target.name, asked=target.asked, measured=text, met=_holds(target, middle))


def _ratio(target: TargetSpec, ours: Configuration, theirs: Configuration, table: Table) -> TargetResult:
    pairs = list(table.pairs(ours.label, theirs.label, target.metric).values())
    if not pairs:
        return _unmeasured(target, f"no block has {target.metric} of {ours.label} and of {theirs.label}")
    return _paired(target, pairs)


def _ratio_within(target: TargetSpec, arm: Configuration, table: Table, other: str) -> TargetResult:
    """Two metrics of the same runs: each run is a pair."""
    ours, theirs = (table.column(arm.label, metric) for metric in (target.metric, other))
    pairs = [(value, theirs[block]) for block, value in ours.items() if block in theirs]
    if not pairs:
        return _unmeasured(target, f"no run has {target.metric} and {other}")
    return _paired(target, pairs)


def _paired(target: TargetSpec, pairs: Sequence[tuple[float, float]]) -> TargetResult:
    try:
        effect = paired_effect([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    except ValueError as error:
        return _unmeasured(target, str(error))
    met = _holds(target, effect.ratio)
    bounds = [bound for bound in (effect.low, effect.high) if bound is not None]
    doubt = "; the interval reaches across the target" if any(_holds(target, bound) != met for bound in bounds) else ""
    return TargetResult(name=target.name, asked=target.asked, measured=f"{show_effect(effect)}{doubt}", met=met)


def show_effect(effect: Effect) -> str:
    """A ratio for people: "1.23 × [1.20, 1.26], n=10"."""
    if effect.n == 0:
        return "not measured"
    if effect.low is None or effect.high is None:
        return f"{effect.ratio:.3g} × (no interval), n={effect.n}"
    digits = 3 if abs(effect.ratio - 1) < 0.05 or effect.ratio < 0.2 else 2
    return f"{effect.ratio:.{digits}f} × [{effect.low:.{digits}f}, {effect.high:.{digits}f}], n={effect.n}"


def _holds(target: TargetSpec, value: float) -> bool:
    if target.at_least is not None:
        return value >= target.at_least
    return target.at_most is not None and value <= target.at_most


def _unmeasured(target: TargetSpec, why: str) -> TargetResult:
    return TargetResult(name=target.name, asked=target.asked, measured=f"not measured: {why}", met=None)
