"""What a sweep has found, as plain values: the seam between the statistics and whoever shows them.

Ratios are ``configuration / reference``; above 1 is more of the metric, better or worse by the objective's direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A metric somebody cares about.

    Attributes:
        metric: name of a recorded metric, unit included ("decode_tps", "ttft_ms").
        direction: which way is good.
        role: "objective" decides the recommendation; "quality" must not get worse.
        tolerance: for quality: largest acceptable relative loss (0.01 = 1 %).
    """

    metric: str
    direction: Direction
    role: Literal["objective", "quality"] = "objective"
    tolerance: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """exp(Hodges-Lehmann estimate of within-block log ratios) and its exact Wilcoxon interval.

    Attributes:
        ratio: point estimate; NaN where no block has both runs (``n`` is 0).
        low: lower bound of the interval; ``None`` with too few blocks for one.
        high: upper bound.
        level: confidence the interval really has (at least the nominal one), e.g. 0.951.
        p: exact two-sided Wilcoxon signed-rank p of "ratio is 1"; ``None`` with too few blocks.
        n: blocks that count.
    """

    ratio: float
    low: float | None
    high: float | None
    level: float | None
    p: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One configuration against a reference, on one metric.

    Attributes:
        metric: what was compared.
        label: short name of the configuration for people ("n_batch=512, flash_attn=on").
        configuration: the parameters it differs in or is made of.
        reference: label of what it is compared with.
        effect: the ratio and its interval.
        p_holm: ``effect.p`` adjusted for the family (Holm 1979).
        band: half-width of the "no difference" zone as a share (0.02 = +-2 %): max(1 %, the A/A floor).
        verdict: by the objective's direction.
        reason: one sentence for people, e.g. why it is inconclusive.
        medians: ratio of medians with its bootstrap interval (estimate, low, high); secondary.
    """

    metric: str
    label: str
    configuration: Mapping[str, Any]
    reference: str
    effect: Effect
    p_holm: float | None
    band: float
    verdict: Verdict
    reason: str
    medians: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MainEffect:
    """One level of one parameter against its first level, other parameters equal, averaged within blocks."""

    parameter: str
    level: Any
    reference_level: Any
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How far two runs of the very same configuration differ on this machine (A/A).

    Attributes:
        metric: what was compared.
        effect: ratio of the twins within blocks.
        width: largest deviation from 1 that the interval allows, as a share.
    """

    metric: str
    effect: Effect
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Whether every planned run is accounted for: ``planned == done + failed + missing``."""

    planned: int
    done: int
    failed: int
    missing: int
    failures: Sequence[tuple[str, str]] = ()
    """(cell label, reason) of each failed cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to use for one objective.

    Attributes:
        metric: the objective.
        conclusive: False: the data do not decide; ``headline`` says what is missing.
        configuration: settings to use; where a parameter made no difference its cheapest or first level.
        headline: the recommendation in one sentence, with its evidence.
        notes: what else there is to say, a sentence or two each: parameters that made no difference, refusals, quality.
        code: ready to paste.
        evidence: the comparison with the baseline that supports it.
        quality: comparisons of the quality metrics for the same configuration.
    """

    metric: str
    conclusive: bool
    configuration: Mapping[str, Any]
    headline: str
    code: str
    evidence: Comparison | None
    quality: Sequence[Comparison] = ()
    notes: Sequence[str] = ()

    @property
    def text(self) -> str:
        """Everything in one paragraph."""
        return " ".join([self.headline, *self.notes])


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One measure of a benchmark: what was asked and what came out."""

    name: str
    asked: str
    measured: str
    met: bool | None
    """``None``: could not be measured here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything a report needs.

    Attributes:
        name: the sweep's name.
        title: a heading for people.
        description: what the sweep is for.
        objectives: objectives first, then quality metrics.
        parameters: name → its levels, in the order of the specification.
        baseline: label of the baseline configuration; ``None`` without one.
        frame: one row per finished run, in running order. Columns: ``cell``, ``label``, ``block``, ``order``,
            ``arm`` ("grid", "baseline", "twin"), ``host``, ``started_at`` (ISO 8601), ``elapsed_s``, ``outlier`` (an
            objective more than 3.5 scaled MADs from its configuration's median), one column per parameter, one per
            metric.
        floors: metric → its A/A floor; empty without twins.
        comparisons: every configuration against the baseline, per metric.
        main_effects: per metric and parameter level.
        recommendations: one per objective.
        targets: results of the measures the specification asks for.
        audit: completeness.
        environment: host, CPU, GPU, versions, build flags, git commit, model.
        definitions: metric → its formula in words.
    """

    name: str
    title: str
    description: str
    objectives: Sequence[Objective]
    parameters: Mapping[str, Sequence[Any]]
    baseline: str | None
    frame: pd.DataFrame
    floors: Mapping[str, Floor]
    comparisons: Sequence[Comparison]
    main_effects: Sequence[MainEffect]
    recommendations: Sequence[Recommendation]
    targets: Sequence[TargetResult]
    audit: Audit
    environment: Mapping[str, Any] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
