"""Paired statistics for few, noisy blocks. Plain numbers in, plain numbers out; knows no sweeps.

Estimate and interval: Hodges & Lehmann (1963), Walsh averages of the paired differences; Wilcoxon (1945) signed ranks
with their exact distribution (Hollander, Wolfe & Chicken, "Nonparametric Statistical Methods", 3rd ed., 3.1-3.3).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workbench.sweep.results import Direction, Effect, Floor, Verdict

ALPHA = 0.05
LEAST_BAND = 0.01
"""Differences below 1 % are of no practical use, however certain."""

BLOCKS_FOR_INTERVAL = 6
"""With five pairs even the most extreme ranks have p = 2/2^5 = 0.0625: no 95 % interval exists."""

BLOCKS_TO_DECIDE = 10

MAD_LIMIT = 3.5
"""Iglewicz & Hoaglin (1993), "How to Detect and Handle Outliers": modified z-scores above 3.5."""

_MAD_TO_SIGMA = 1.4826

FloatArray = npt.NDArray[np.float64]


def paired_effect(values: Sequence[float], references: Sequence[float], level: float = 1 - ALPHA) -> Effect:
    """Ratio of paired positive values: exp(Hodges-Lehmann of the log ratios) with the exact Wilcoxon interval.

    Args:
        values: (n,) the configuration, one value a block.
        references: (n,) the reference, same blocks.
        level: nominal confidence.

    Raises:
        ValueError: a value is not positive: it has no logarithm.
    """
    above, below = np.asarray(values, dtype=float), np.asarray(references, dtype=float)
    same = above == below
    if np.any(~same & ((above <= 0) | (below <= 0))):
        raise ValueError("values without a ratio: zero or negative")
    logs = np.zeros(len(above))
    logs[~same] = np.log(above[~same]) - np.log(below[~same])
    return effect_of_logs(logs, level)


def effect_of_logs(values: Sequence[float] | FloatArray, level: float = 1 - ALPHA) -> Effect:
    """As :func:`paired_effect`, from within-block log ratios."""
    logs: FloatArray = np.asarray(values, dtype=np.float64)
    n = len(logs)
    if n == 0:
        return Effect(ratio=math.nan, low=None, high=None, level=None, p=None, n=0)
    walsh = walsh_averages(logs)
    ratio = math.exp(_middle(walsh))
    if smallest_p(n) > 1 - level:
        return Effect(ratio=ratio, low=None, high=None, level=None, p=None, n=n)
    rank, attained = _interval_rank(n, level)
    low, high = float(walsh[rank - 1]), float(walsh[len(walsh) - rank])
    return Effect(ratio=ratio, low=math.exp(low), high=math.exp(high), level=attained, p=signed_rank_p(logs), n=n)


def walsh_averages(values: FloatArray) -> FloatArray:
    """All (x_i + x_j) / 2 with i <= j, sorted: (n(n+1)/2,). Their median is the Hodges-Lehmann estimate."""
    first, second = _upper_triangle(len(values))
    averages: FloatArray = np.sort((values[first] + values[second]) / 2)
    return averages


def _middle(ordered: FloatArray) -> float:
    """Median of sorted values."""
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


@functools.lru_cache(maxsize=64)
def _upper_triangle(size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    first, second = np.triu_indices(size)
    return first, second


def signed_rank_p(values: Sequence[float] | FloatArray) -> float:
    """Exact two-sided p of "symmetric about 0".

    Zeros are left out (Wilcoxon's own rule); ties share the mean of their ranks and the null distribution is that of
    the very ranks at hand (the permutation distribution), so it stays exact with ties.
    """
    signed: FloatArray = np.asarray(values, dtype=np.float64)
    signed = signed[signed != 0]
    if len(signed) == 0:
        return 1.0
    # twice the mid-ranks are whole numbers, which is what the counting needs
    doubled = _doubled_midranks(np.abs(signed))
    statistic = int(doubled[signed > 0].sum())
    lower = min(statistic, int(doubled.sum()) - statistic)
    return min(1.0, 2.0 * float(_distribution(tuple(sorted(map(int, doubled))))[: lower + 1].sum()))


def smallest_p(n: int) -> float:
    """The two-sided p of n differences that all point the same way: nothing is ever surer than that."""
    return 2.0 ** (1 - n)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down adjustment. ``None`` stays ``None`` and does not count in the family."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for step, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - step)))
        adjusted[index] = highest
    return adjusted


def floor_of(metric: str, effect: Effect) -> Floor:
    """The A/A floor: the largest deviation from 1 the twins' interval allows; their estimate where there is none."""
    bounds = [bound for bound in (effect.low, effect.high) if bound is not None] or [effect.ratio]
    # in log space, so that halving counts as much as doubling; reported on the side above 1
    return Floor(metric=metric, effect=effect, width=math.expm1(max(abs(math.log(bound)) for bound in bounds)))


def blocks_needed(family: int, share: float = 1.0, least: int = BLOCKS_TO_DECIDE) -> int:
    """Blocks below which no comparison of a family of this size can reach p_holm <= 0.05 (smallest p is 2/2^n).

    Args:
        family: how many comparisons there are.
        share: of alpha, that this look at the data may spend (:mod:`workbench.sweep.findings.looks`).
        least: never fewer.
    """
    return max(least, math.ceil(math.log2(2 * max(family, 1) / (ALPHA * share))))


def judge(
    effect: Effect,
    p_holm: float | None,
    band: float,
    direction: Direction,
    family: int = 1,
    *,
    share: float = 1.0,
    least: int = BLOCKS_TO_DECIDE,
) -> tuple[Verdict, str]:
    """Verdict and reason; ``share`` and ``least`` as in :func:`blocks_needed`.

    The zone [1/(1+band), 1+band] is "no difference that matters here". Better or worse: the whole interval lies
    beyond it *and* p_holm <= 0.05, a minimal-effect test (Murphy & Myors 1999): excluding 1 alone would reward
    differences that equal runs on this machine show too. Equivalent: the whole interval lies within it (an
    equivalence test by interval, Schuirmann 1987, at twice its usual strictness). Everything else: inconclusive.
    """
    needed = blocks_needed(family, share, least)
    if effect.low is None or effect.high is None or effect.n < least:
        blocks = "block" if effect.n == 1 else "blocks"
        return "inconclusive", f"only {effect.n} complete {blocks}; {needed} are needed to decide"
    top = 1 + band
    if 1 / top <= effect.low and effect.high <= top:
        return "equivalent", f"the whole interval lies within ±{band:.1%}"
    if effect.low > top or effect.high < 1 / top:
        if p_holm is None or p_holm > ALPHA:
            return "inconclusive", _too_many(effect.n, needed, family, p_holm)
        good = (effect.low > top) == (direction == "maximize")
        return ("better" if good else "worse"), f"the whole interval lies beyond ±{band:.1%}"
    if effect.low > 1 or effect.high < 1:
        return "inconclusive", f"it differs, but not surely by more than ±{band:.1%}, the noise of equal runs here"
    return "inconclusive", f"the interval reaches across ±{band:.1%}; more blocks would narrow it"


def _too_many(n: int, needed: int, family: int, p_holm: float | None) -> str:
    if n < needed:
        return f"with {family} comparisons at least {needed} blocks are needed, there are {n}"
    return f"after Holm's correction for {family} comparisons p is {p_holm:.3f}" if p_holm else "no p value"


def bootstrap_ratio_of_medians(
    values: Sequence[float], references: Sequence[float], *, seed: int = 0, draws: int = 2000
) -> tuple[float, float, float]:
    """Ratio of medians with its 95 % percentile interval, blocks resampled as pairs (Efron 1979). Secondary.

    Returns:
        Estimate, lower bound, upper bound.
    """
    above, below = np.asarray(values, dtype=float), np.asarray(references, dtype=float)
    times = _times_drawn(len(above), draws, seed)
    ratios = _medians_drawn(above, times) / _medians_drawn(below, times)
    low, high = np.quantile(ratios, [ALPHA / 2, 1 - ALPHA / 2])
    return float(np.median(above) / np.median(below)), float(low), float(high)


@functools.lru_cache(maxsize=8)
def _times_drawn(n: int, draws: int, seed: int) -> npt.NDArray[np.int32]:
    """How often each of n is in each resample: (n, draws)."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    times: npt.NDArray[np.int32] = drawn.T.astype(np.int32)
    return times


def _medians_drawn(values: FloatArray, times: npt.NDArray[np.int32]) -> FloatArray:
    """Median of each resample: (draws,). Sorted once, a resample's median is where its running count passes half."""
    order = np.argsort(values)
    ordered, so_far = values[order], np.cumsum(times[order], axis=0)
    lower, upper = ((so_far <= rank).sum(axis=0) for rank in ((len(values) - 1) // 2, len(values) // 2))
    medians: FloatArray = (ordered[lower] + ordered[upper]) / 2
    return medians


def outliers(values: Sequence[float | None]) -> list[bool]:
    """Which values lie more than 3.5 scaled MADs from the median. Flagged, never dropped; gaps are none."""
    array = np.array([math.nan if value is None else float(value) for value in values])
    finite = array[np.isfinite(array)]
    if len(finite) < 3:
        return [False] * len(array)
    middle = float(np.median(finite))
    # a metric that hardly varies has a MAD near zero: deviations below 1 % are never outliers
    spread = max(_MAD_TO_SIGMA * float(np.median(np.abs(finite - middle))), abs(middle) * LEAST_BAND / MAD_LIMIT)
    return [bool(abs(value - middle) > MAD_LIMIT * spread) for value in array]


def _doubled_midranks(magnitudes: FloatArray) -> npt.NDArray[np.int64]:
    """Twice the mean rank of each value among all, 1-based: (n,) whole numbers."""
    ordered = np.sort(magnitudes)
    first = np.searchsorted(ordered, magnitudes, side="left")
    last = np.searchsorted(ordered, magnitudes, side="right")
    return (first + 1 + last).astype(np.int64)


@functools.lru_cache(maxsize=256)
def _distribution(ranks: tuple[int, ...]) -> FloatArray:
    """P(sum of ranks with a positive sign = s) when each sign is a fair coin: (sum + 1,).

    One convolution with {0: 1/2, rank: 1/2} a rank; probabilities, not counts, so that nothing overflows.
    """
    chance = np.zeros(sum(ranks) + 1)
    chance[0] = 1.0
    for rank in ranks:
        shifted = np.zeros_like(chance)
        shifted[rank:] = chance[: len(chance) - rank]
        chance = (chance + shifted) / 2
    return chance


@functools.lru_cache(maxsize=256)
def _interval_rank(n: int, level: float) -> tuple[int, float]:
    """Which Walsh average from either end bounds the interval, and the level it really has.

    The largest k with P(W <= k - 1) <= (1 - level) / 2; the interval from the k-th smallest to the k-th largest then
    covers with 1 - 2 P(W <= k - 1) >= level (ties make it cover more, never less).
    """
    below = np.cumsum(_distribution(tuple(range(1, n + 1))))
    rank = int(np.searchsorted(below, (1 - level) / 2, side="right"))
    return max(rank, 1), float(1 - 2 * below[max(rank, 1) - 1])
