"""What a sweep has found, as plain values: the seam between the statistics and whoever shows them.

Ratios are ``configuration / reference``; above 1 is more of the metric, better or worse by the objective's direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from workbench.showing import Shown, Table, View, fact, facts

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
Direction = Literal["maximize", "minimize"]

_ROWS_SHOWN = 40


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
        level: confidence the interval really has (at least the nominal one), e.g. 0.951; more where a sweep may look at
            its data several times (``more_blocks``): all looks together then keep 95 %.
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
class Comparison(Shown):
    """One configuration against a reference, on one metric.

    Attributes:
        metric: what was compared.
        label: short name of the configuration for people ("n_batch=512, flash_attn=on").
        configuration: the parameters it differs in or is made of.
        reference: label of what it is compared with.
        effect: the ratio and its interval.
        p_holm: ``effect.p`` adjusted for the looks of an adaptive sweep and for the family (Holm 1979).
        band: half-width of the "no difference" zone as a share (0.02 = +-2 %): max(1 %, the A/A floor); within a whole
            plot of a split plot max(1 %, the noise there).
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

    def _view(self) -> View:
        told = facts(self, "metric", "label", "reference", "verdict", "p_holm", "band", "reason")
        effect = facts(self.effect, "ratio", "low", "high", "level", "n")
        return View(heading="Comparison", tables=[told, effect])


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
class Boundary:
    """A configuration that does not fit into memory: a result, not a failure.

    Attributes:
        label: short name of the configuration.
        configuration: the parameters it is made of.
        runs: how many of its runs ended so.
        said: what the last of them said: need and have, where they are known.
    """

    label: str
    configuration: Mapping[str, Any]
    runs: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(Shown):
    """Whether every planned run is accounted for.

    ``planned == done + failed + out_of_memory + left_out + missing``: nothing is silent.

    Attributes:
        planned: runs the design asks for.
        done: runs that recorded what they should.
        failed: runs that did not, as often as they were tried.
        missing: runs still to come.
        out_of_memory: runs that did not fit: results, see :class:`Boundary`.
        left_out: runs a budget did not allow, or that an earlier run of the same configuration showed not to fit.
        failures: (cell label, reason) of each failed cell.
    """

    planned: int
    done: int
    failed: int
    missing: int
    out_of_memory: int = 0
    left_out: int = 0
    failures: Sequence[tuple[str, str]] = ()

    def __str__(self) -> str:
        """In one line: "58/60 runs done, 2 out of memory, 0 failed, 0 missing"."""
        parts = [f"{self.done:,}/{self.planned:,} runs done"]
        parts += [f"{self.out_of_memory:,} out of memory"] if self.out_of_memory else []
        parts += [f"{self.left_out:,} left out"] if self.left_out else []
        return ", ".join([*parts, f"{self.failed:,} failed", f"{self.missing:,} missing"])

    def _view(self) -> View:
        return View(heading=str(self), tables=[Table(columns=("failed", "why"), rows=self.failures)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How much of what a metric does is one parameter's doing.

    Attributes:
        metric: the metric.
        parameter: the parameter; or several, joined by " × ": their interaction. Parameters that change together
            (``linked``) are one, joined by ", ".
        share: of the variance between configurations, 0 to 1.
        low: lower bound of its 95 % interval, blocks resampled; ``None`` with too few blocks.
        high: upper bound.
    """

    metric: str
    parameter: str
    share: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(Shown):
    """What to use for one objective.

    Attributes:
        metric: the objective.
        conclusive: False: the data do not decide; ``headline`` says what is missing.
        configuration: settings to use; where a parameter made no difference its cheapest or first level.
        headline: the recommendation in one sentence, with its evidence.
        notes: what else there is to say, a sentence or two each: quality first, then parameters that made no
            difference, refusals, what did not fit into memory.
        code: ready to paste.
        evidence: the comparison with the baseline that supports it.
        quality: comparisons of the quality metrics for the same configuration.
        confirmation: the same comparison in fresh blocks, run after the choice was made: free of the winner's curse
            (the best of many estimates is too good); ``None``: not made.
        runs: folders of the runs behind the evidence, relative to the results' folder, the executed notebooks in them.
        profile: the settings as JSON values of a profile: saved to a file, that is what ``wb.load(..., profile=...)``
            takes; ``None`` if they are not the tuned engine's, or model and machine are not known.
    """

    metric: str
    conclusive: bool
    configuration: Mapping[str, Any]
    headline: str
    code: str
    evidence: Comparison | None
    quality: Sequence[Comparison] = ()
    notes: Sequence[str] = ()
    confirmation: Comparison | None = None
    runs: Sequence[str] = ()
    profile: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """Everything in one paragraph."""
        return " ".join([self.headline, *self.notes])

    def _view(self) -> View:
        rows = [(name, fact(value, name)) for name, value in self.configuration.items()]
        checks = [one for one in (self.evidence, self.confirmation, *self.quality) if one is not None]
        return View(
            heading=f"{self.metric}: {self.headline}",
            text=self.code,
            tables=[Table(rows=rows), _compared(checks)],
            notes=self.notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One measure of a benchmark: what was asked and what came out."""

    name: str
    asked: str
    measured: str
    met: bool | None
    """``None``: could not be measured here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(Shown):
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
        stages: metrics that are parts of one whole, in the order they happen (``record(info={"stages": [...]})``).
        load: the parameter that says how many requests are at work at once, if one does.
        boundaries: configurations that did not fit into memory.
        importances: per metric and parameter, the most important first.
        samples: every sample of every series of every finished run, long: columns ``cell``, ``label``, ``block``,
            ``series``, ``at_s`` (seconds on the run's own clock, one clock for all its series), ``value``. What the
            usual series are called stands in docs/metrics.md.
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
    stages: Sequence[str] = ()
    load: str | None = None
    boundaries: Sequence[Boundary] = ()
    importances: Sequence[Importance] = ()
    samples: pd.DataFrame | None = None

    def _view(self) -> View:
        advised = [(one.metric, one.headline) for one in self.recommendations]
        targets = [(one.name, one.asked, one.measured, _met(one.met)) for one in self.targets]
        left = len(self.comparisons) - _ROWS_SHOWN
        return View(
            heading=self.title or self.name,
            tables=[
                Table(rows=[("runs", str(self.audit)), ("baseline", fact(self.baseline))]),
                Table(columns=("objective", "recommendation"), rows=advised),
                _compared(self.comparisons[:_ROWS_SHOWN]),
                Table(columns=("measure", "asked", "measured", "met"), rows=targets),
            ],
            notes=[f"{left:,} more comparisons stand in .comparisons; Dashboard(…) draws them."] if left > 0 else [],
        )


def _compared(comparisons: Sequence[Comparison]) -> Table:
    rows = [(one.metric, one.label, one.reference, _ratio(one.effect), one.verdict) for one in comparisons]
    return Table(columns=("metric", "configuration", "against", "ratio", "verdict"), rows=rows)


def _ratio(effect: Effect) -> str:
    """The ratio and its interval, which a ratio is not shown without where there is one."""
    if effect.low is None or effect.high is None:
        return f"{effect.ratio:.3g} (no interval), n={effect.n}" if effect.n else "not measured"
    return f"{effect.ratio:.3f} [{effect.low:.3f}, {effect.high:.3f}], n={effect.n}"


def _met(met: bool | None) -> str:
    return "not measured here" if met is None else "yes" if met else "no"
