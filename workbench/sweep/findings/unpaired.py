"""Two samples that share no blocks: Hodges-Lehmann shift of the logarithms and its Mann-Whitney interval.

Hodges & Lehmann (1963): the median of all differences. Interval: order statistics of the differences, by the exact null
distribution of Mann & Whitney's (1947) U, or for large samples its normal approximation (Hollander, Wolfe & Chicken,
"Nonparametric Statistical Methods", 3rd ed., 4.2-4.3). p is scipy's; the interval is in no library this one uses.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import scipy.stats

from workbench.sweep.findings.statistics import ALPHA, FloatArray
from workbench.sweep.results import Effect

EXACT_UP_TO = 2500
"""Pairs (n_ours * n_theirs) for which the exact distribution is counted; beyond, the normal one is as good."""


def unpaired_effect(values: Sequence[float], references: Sequence[float], level: float = 1 - ALPHA) -> Effect:
    """Ratio of two samples of positive values.

    Args:
        values: (n_ours,).
        references: (n_theirs,).
        level: nominal confidence.

    Returns:
        ``n`` is the smaller sample's size; no interval below four and four, where none of 95 % exists.

    A zero counts as infinitely far below anything positive: ranks know what to make of it, so a share of good answers
    that falls to 0 is a ratio of 0, not a gap. Two zeros are equal.

    Raises:
        ValueError: a value is negative.
    """
    ours, theirs = np.asarray(values, dtype=np.float64), np.asarray(references, dtype=np.float64)
    size = min(len(ours), len(theirs))
    if size == 0:
        return Effect(ratio=math.nan, low=None, high=None, level=None, p=None, n=0)
    if (ours < 0).any() or (theirs < 0).any():
        raise ValueError("values without a ratio: some are negative")
    shifts = _shifts(ours, theirs)
    ratio = math.exp(_middle(shifts))
    found = _interval_rank(len(ours), len(theirs), level)
    if found is None:
        return Effect(ratio=ratio, low=None, high=None, level=None, p=None, n=size)
    rank, attained = found
    low, high = math.exp(float(shifts[rank - 1])), math.exp(float(shifts[len(shifts) - rank]))
    return Effect(ratio=ratio, low=low, high=high, level=attained, p=_p(ours, theirs), n=size)


def _shifts(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """All differences of the logarithms, sorted: (n_ours * n_theirs,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = np.subtract.outer(np.log(ours), np.log(theirs)).ravel()
    shifts: FloatArray = np.sort(np.where(np.isnan(differences), 0.0, differences))
    return shifts


def _middle(ordered: FloatArray) -> float:
    """Median of sorted values; between one that is infinite and one that is not, the finite one."""
    lower, upper = float(ordered[(len(ordered) - 1) // 2]), float(ordered[len(ordered) // 2])
    if math.isinf(lower) and math.isinf(upper):
        return lower if lower == upper else 0.0
    return upper if math.isinf(lower) else lower if math.isinf(upper) else (lower + upper) / 2


def _p(ours: FloatArray, theirs: FloatArray) -> float:
    """Two-sided p of "no shift"; with ties by the normal approximation that corrects for them."""
    together = np.concatenate([ours, theirs])
    distinct = len(np.unique(together))
    if distinct == 1:
        return 1.0
    exact = distinct == len(together) and len(ours) * len(theirs) <= EXACT_UP_TO
    return float(scipy.stats.mannwhitneyu(ours, theirs, method="exact" if exact else "asymptotic").pvalue)


@functools.lru_cache(maxsize=256)
def _interval_rank(ours: int, theirs: int, level: float) -> tuple[int, float] | None:
    """Which difference from either end bounds the interval, and the level it really has; ``None``: there is none."""
    if ours * theirs > EXACT_UP_TO:
        spread = math.sqrt(ours * theirs * (ours + theirs + 1) / 12)
        rank = math.floor(ours * theirs / 2 - NormalDist().inv_cdf((1 + level) / 2) * spread)
        return rank, level
    below = np.cumsum(_chances(ours, theirs))
    rank = int(np.searchsorted(below, (1 - level) / 2, side="right"))
    return (rank, float(1 - 2 * below[rank - 1])) if rank else None


def _chances(ours: int, theirs: int) -> FloatArray:
    """P(U = u) for u = 0 … ours * theirs when both samples are alike: coefficients of a Gaussian binomial.

    The product of (1 - q^(theirs + i)) / (1 - q^i) for i = 1 … ours, in whole numbers, so that nothing is rounded.
    """
    size = ours * theirs + 1
    counts = [1] + [0] * (size - 1)
    for i in range(1, ours + 1):
        for u in range(size - 1, theirs + i - 1, -1):
            counts[u] -= counts[u - theirs - i]
        for u in range(i, size):
            counts[u] += counts[u - i]
    total = math.comb(ours + theirs, ours)
    return np.array([count / total for count in counts])
