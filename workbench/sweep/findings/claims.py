"""Claims about techniques, and what the measurements make of them. Plain values in and out; runs and draws nothing.

A claim names a range: from its *near end*, seen from no effect, to its far end. Measured is a figure with a 95 %
interval. The verdicts:

- **confirmed**: the whole interval reaches the near end or lies beyond it, and, where an effect is claimed, beyond what
  makes no difference; more than claimed confirms, too. Of a claim without a size ("starts faster"): the whole interval
  lies beyond what makes no difference.
- **partly**: there is an effect in the claimed direction (the whole interval lies beyond what makes no difference), and
  the whole interval falls short of the near end: less than claimed.
- **refuted**: the whole interval falls short of the near end, and no effect is shown, or one the other way.
- **inconclusive**: the interval reaches across the near end, there is none, or equal runs differ by as much.
- **cannot be tested here**: what the claim needs (a GPU, data) is missing; a figure from elsewhere must not stand in.
- **not run yet**: no run has finished.

*What makes no difference* is 1 % around a ratio of 1, or the noise of equal runs (twins) where that is more, as for all
verdicts here; of a value it is what the specification says it would be without any effect, and most have none.

How figures get their intervals is the business of :mod:`.claim_figures`. Claims are no family: each interval stands
for itself, and among twenty one may well miss the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from workbench.sweep.specification.parts import ClaimSpec

ClaimVerdict = Literal["confirmed", "partly", "refuted", "inconclusive", "cannot be tested here", "not run yet"]
CLAIM_VERDICTS: tuple[ClaimVerdict, ...] = get_args(ClaimVerdict)

REMEDIES: Mapping[str, str] = {
    "gpu": "it needs a GPU and a llama.cpp that uses it",
    "data": "set WORKBENCH_DATA to a folder of data sets; where to get which: docs/metrics.md, Data sets",
}
"""What a claim needs → what to say where it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure and its interval.

    Attributes:
        estimate: a ratio or a value; ``None``: not measured.
        low: lower end of its 95 % interval; ``None``: there is none.
        high: upper end.
        least: the smallest of several runs' values; ``None``: not told.
        n: blocks, or runs, behind it.
        band: half-width of what makes no difference, as a share of a ratio of 1.
        objection: what speaks against reading anything into it.
        note: what the interval is.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    n: int = 0
    band: float = 0.0
    objection: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """A claim beside what was measured.

    Attributes:
        claim: what was said.
        measured: what came out.
        verdict: see this module.
        reason: one sentence.
    """

    claim: ClaimSpec
    measured: Measured
    verdict: ClaimVerdict
    reason: str

    @property
    def claimed(self) -> str:
        """The claimed range in short: "1.15 to 1.3 ×", "≥ 0.85"."""
        claim, unit = self.claim, _unit(self.claim)
        if claim.low is not None and claim.high is not None and claim.low < claim.high:
            return f"{claim.low:,.4g} to {claim.high:,.4g}{unit}"
        if claim.threshold is not None:
            return f"{'≥' if claim.direction == 'maximize' else '≤'} {claim.threshold:,.4g}{unit}"
        return f"{'>' if claim.direction == 'maximize' else '<'} {_no_effect(claim):,.4g}{unit}"

    @property
    def text(self) -> str:
        """The measured figure with its interval: "1.21 × [1.18, 1.25], n=10"."""
        seen = self.measured
        if seen.estimate is None:
            return "—"
        digits = 4 if abs(seen.estimate) >= 100 else 3
        spread = "" if seen.low is None or seen.high is None else f" [{seen.low:,.{digits}g}, {seen.high:,.{digits}g}]"
        return f"{seen.estimate:,.{digits}g}{_unit(self.claim)}{spread}, n={seen.n}"


def judge(claim: ClaimSpec, seen: Measured) -> tuple[ClaimVerdict, str]:
    """The verdict on something measured, and why; the rules stand at the top of this module."""
    if seen.objection:
        return "inconclusive", seen.objection
    if seen.low is None or seen.high is None or seen.estimate is None:
        return "inconclusive", f"there is no interval: {seen.note or 'too few blocks'}"
    if claim.trials is not None and claim.threshold == 1 and claim.direction == "maximize":
        return _all_of_them(seen)
    if claim.threshold is None:
        return _any_effect(claim, seen)
    return _of_a_size(claim, seen, claim.threshold)


def _all_of_them(seen: Measured) -> tuple[ClaimVerdict, str]:
    """A share of 1: no interval of trials can reach it, one exception refutes it."""
    if (seen.estimate if seen.least is None else seen.least) == 1:
        return "confirmed", f"there was no exception; the interval reaches down to {seen.low:.3%}"
    return "refuted", "there were exceptions"


def _any_effect(claim: ClaimSpec, seen: Measured) -> tuple[ClaimVerdict, str]:
    worst, best = _ends(claim, seen)
    edge = _edge(claim, seen.band)
    if _beyond(claim, worst, edge):
        return "confirmed", "the whole interval lies beyond what makes no difference; no size was claimed"
    if not _beyond(claim, best, edge):
        return "refuted", _no_effect_shown(claim, best)
    return "inconclusive", "the interval reaches across what makes no difference; more blocks would narrow it"


def _of_a_size(claim: ClaimSpec, seen: Measured, near: float) -> tuple[ClaimVerdict, str]:
    worst, best = _ends(claim, seen)
    effect = _has_no_effect(claim) and _beyond(claim, worst, _edge(claim, seen.band))
    if not _beyond(claim, near, worst):
        if not effect and claim.is_ratio and _beyond(claim, near, 1.0):
            return "inconclusive", f"equal runs differ by up to {seen.band:.1%} here, which is as much"
        far = claim.high if claim.direction == "maximize" else claim.low
        more = far is not None and far != near and _beyond(claim, worst, far)
        return "confirmed", "the whole interval lies beyond the claimed range: more than claimed" if more else (
            "the whole interval reaches what is claimed"
        )
    if _beyond(claim, near, best):
        if effect:
            return "partly", "there is an effect, and the whole interval falls short of what is claimed"
        return "refuted", _no_effect_shown(claim, best)
    if effect:
        return "inconclusive", "there is an effect; whether it is as large as claimed the interval leaves open"
    return "inconclusive", "the interval reaches across the end of the claimed range"


def _no_effect_shown(claim: ClaimSpec, best: float) -> str:
    if not _has_no_effect(claim):
        return "the whole interval falls short of what is claimed"
    if _beyond(claim, _no_effect(claim), best):
        return "the effect goes the other way"
    return "what is claimed lies outside the interval, and no effect is shown"


def _ends(claim: ClaimSpec, seen: Measured) -> tuple[float, float]:
    """The end of the interval that is worst for the claim, and the one that is best."""
    if seen.low is None or seen.high is None:
        raise ValueError("there is no interval")
    return (seen.low, seen.high) if claim.direction == "maximize" else (seen.high, seen.low)


def _beyond(claim: ClaimSpec, one: float, other: float) -> bool:
    """Whether ``one`` is better than ``other``, the claim's way."""
    return one > other if claim.direction == "maximize" else one < other


def _has_no_effect(claim: ClaimSpec) -> bool:
    return claim.is_ratio or claim.nothing is not None


def _no_effect(claim: ClaimSpec) -> float:
    return 1.0 if claim.nothing is None else claim.nothing


def _edge(claim: ClaimSpec, band: float) -> float:
    """Where what makes no difference ends, on the claim's side."""
    if not claim.is_ratio:
        return _no_effect(claim)
    return 1 + band if claim.direction == "maximize" else 1 / (1 + band)


def _unit(claim: ClaimSpec) -> str:
    if claim.is_ratio:
        return " ×"
    return " ms" if claim.metric.endswith("_ms") else ""
