"""The figures that claims are held against, and their intervals. Draws and runs nothing.

Of a ratio: the exact Wilcoxon interval over blocks (:mod:`.statistics`), which takes 10 blocks to decide. Of a value:
what the notebook recorded as its interval (``bounds``), the exact binomial one (``trials``), or its range over the
blocks, which is an interval for the median with confidence 1 - 2^(1-n): 96.9 % with the six blocks it takes. Of an
``exact`` figure (a count, a size): the range, and one block decides.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.evaluation.retrieval import exact_share
from workbench.sweep.design.planning import Configuration, configurations
from workbench.sweep.findings.claims import REMEDIES, ClaimResult, Measured, judge
from workbench.sweep.findings.comparing import EMPTY_ANSWERS, LENGTH_METRIC, TIME_UNITS
from workbench.sweep.findings.ground import floor
from workbench.sweep.findings.statistics import BLOCKS_FOR_INTERVAL, BLOCKS_TO_DECIDE, LEAST_BAND, paired_effect
from workbench.sweep.findings.targets import select
from workbench.sweep.records.table import Run, Table
from workbench.sweep.specification.parts import ClaimSpec
from workbench.sweep.specification.spec import SweepSpec


def evaluate_claims(
    spec: SweepSpec,
    runs: Sequence[Run],
    *,
    defaults: Mapping[str, Any] | None = None,
    lacking: Sequence[str] = (),
    failure: str = "",
) -> list[ClaimResult]:
    """Hold every claim of a sweep against its runs.

    Args:
        spec: what was run.
        runs: finished runs.
        defaults: the notebook's own parameter values, which a claim may name.
        lacking: of :data:`REMEDIES`, what is missing on this machine; asked only where no run has finished.
        failure: what the last failed run said; told where no run has finished.

    Raises:
        SweepError: a claim names no arm, or several.
    """
    table = Table(runs)
    return [_evaluate(spec, claim, table, defaults or {}, lacking, failure) for claim in spec.claims]


def _evaluate(
    spec: SweepSpec,
    claim: ClaimSpec,
    table: Table,
    defaults: Mapping[str, Any],
    lacking: Sequence[str],
    failure: str,
) -> ClaimResult:
    arm = select(spec, claim.of, defaults)
    missing = _missing(claim, table, lacking)
    if missing:
        return ClaimResult(claim=claim, measured=Measured(), verdict="cannot be tested here", reason=missing)
    if not table.runs:
        said = f"no run has finished; the last said: {failure}" if failure else "no run has finished"
        return ClaimResult(claim=claim, measured=Measured(), verdict="not run yet", reason=said)
    against = None if claim.against is None else select(spec, claim.against, defaults)
    seen = _value(claim, arm, table) if not claim.is_ratio else _ratio(spec, claim, arm, against, table)
    verdict, reason = judge(claim, seen)
    return ClaimResult(claim=claim, measured=seen, verdict=verdict, reason=reason)


def _missing(claim: ClaimSpec, table: Table, lacking: Sequence[str]) -> str:
    """What the claim needs and did not have; where there are runs, they tell, and not the machine that asks."""
    if claim.needs is None:
        return ""
    if table.runs:
        without = claim.needs == "gpu" and not all(_on_gpu(run) for run in table.runs)
    else:
        without = claim.needs in lacking
    return REMEDIES[claim.needs] if without else ""


def _on_gpu(run: Run) -> bool:
    """A GPU was there and llama.cpp was built for one; the two do not always come together."""
    build = run.environment.get("llama_cpp") or {}
    return bool(run.environment.get("gpus")) and bool(build.get("gpu_offload"))


def _ratio(
    spec: SweepSpec, claim: ClaimSpec, arm: Configuration, against: Configuration | None, table: Table
) -> Measured:
    pairs = _pairs(claim, arm, against, table, claim.metric)
    if not pairs:
        return Measured(objection=f"no block has {claim.metric} with and without it")
    if any(min(pair) <= 0 and pair[0] != pair[1] for pair in pairs):
        return Measured(n=len(pairs), objection="values without a ratio: zero or negative")
    if claim.exact:
        ratios = [1.0 if ours == theirs else ours / theirs for ours, theirs in pairs]
        return _range(ratios, "its range over the blocks")
    effect = paired_effect([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    few = f"only {effect.n} complete blocks; {BLOCKS_TO_DECIDE} decide" if effect.n < BLOCKS_TO_DECIDE else ""
    return Measured(
        estimate=effect.ratio,
        low=effect.low,
        high=effect.high,
        n=effect.n,
        band=_band(spec, claim, table),
        objection=few or _length(claim, arm, against, table),
        note="exact Wilcoxon interval over blocks",
    )


def _pairs(
    claim: ClaimSpec, arm: Configuration, against: Configuration | None, table: Table, metric: str
) -> list[tuple[float, float]]:
    if against is not None:
        return list(table.pairs(arm.label, against.label, metric).values())
    ours, theirs = table.column(arm.label, metric), table.column(arm.label, claim.against_metric or metric)
    return [(value, theirs[block]) for block, value in ours.items() if block in theirs]


def _band(spec: SweepSpec, claim: ClaimSpec, table: Table) -> float:
    """Two metrics of one run have no twins."""
    twins = None if claim.against is None else floor(table, configurations(spec), claim.metric)
    return max(LEAST_BAND, twins.width if twins else 0.0)


def _length(claim: ClaimSpec, arm: Configuration, against: Configuration | None, table: Table) -> str:
    """Answers of unequal length make times incomparable: "faster because shorter"."""
    if against is None or not claim.metric.endswith(TIME_UNITS):
        return ""
    every = _pairs(claim, arm, against, table, LENGTH_METRIC)
    if any(min(pair) <= 0 < max(pair) for pair in every):
        return EMPTY_ANSWERS
    pairs = [pair for pair in every if min(pair) > 0]
    ratio = math.exp(statistics.fmean(math.log(ours / theirs) for ours, theirs in pairs)) if pairs else 1.0
    if abs(math.log(ratio)) <= LEAST_BAND:
        return ""
    return f"the answers differ in length ({ratio:.3f} × the output tokens), so times do not compare"


def _value(claim: ClaimSpec, arm: Configuration, table: Table) -> Measured:
    column = table.column(arm.label, claim.metric)
    values = list(column.values())
    if not values:
        return Measured(objection=f"no finished run has {claim.metric}")
    if claim.bounds is not None:
        ends = [[table.column(arm.label, name).get(block) for block in column] for name in claim.bounds]
        return _bounded(values, ends[0], ends[1], "as the notebook recorded it")
    if claim.trials is not None:
        counts = [table.column(arm.label, claim.trials).get(block) for block in column]
        shares = [exact_share(round(v * n), round(n)) if n else None for v, n in zip(values, counts, strict=True)]
        lows, highs = [s.low if s else None for s in shares], [s.high if s else None for s in shares]
        return _bounded(values, lows, highs, "exact binomial interval (Clopper and Pearson)")
    if claim.exact or len(values) >= BLOCKS_FOR_INTERVAL:
        return _range(values, "median and range over the blocks")
    few = f"only {len(values)} blocks; {BLOCKS_FOR_INTERVAL} give a range that is an interval"
    return Measured(estimate=statistics.median(values), n=len(values), note=few)


def _range(values: Sequence[float], note: str) -> Measured:
    return Measured(estimate=statistics.median(values), low=min(values), high=max(values), n=len(values), note=note)


def _bounded(
    values: Sequence[float], lows: Sequence[float | None], highs: Sequence[float | None], note: str
) -> Measured:
    """Of several runs the widest: they repeat a measurement, they do not add to its sample."""
    known = [(low, high) for low, high in zip(lows, highs, strict=True) if low is not None and high is not None]
    whole = len(known) == len(values)
    return Measured(
        estimate=statistics.median(values),
        low=min(low for low, _ in known) if whole else None,
        high=max(high for _, high in known) if whole else None,
        least=min(values),
        n=len(values),
        note=note if whole else "a run recorded none",
    )
