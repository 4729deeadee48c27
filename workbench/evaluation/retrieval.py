"""How good a ranking is: recall, nDCG, hit rate, reciprocal rank, rank correlation, and how sure one can be of a mean.

Formulas stand beside their functions. Knows ids and numbers; never what was retrieved, nor from where.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from workbench.errors import InvalidSettings

Id = TypeVar("Id", bound=Hashable)

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval.

    Attributes:
        value: the figure.
        low: lower end; ``None``: too few observations to tell.
        high: upper end.
        n: observations.
        clusters: groups of observations that hang together.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (n={self.n})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n={self.n})"


def recall_at_k(ranked: Sequence[Id], relevant: Collection[Id], k: int) -> float:
    """``|top k ∩ relevant| / |relevant|``.

    Args:
        ranked: best first, none twice.
        relevant: what should be found; not empty.
        k: how many of ``ranked`` count.

    Raises:
        InvalidSettings: ``k`` is below 1, or nothing is relevant: then there is no recall, and none should be averaged.
    """
    wanted = _wanted(relevant, k)
    return len(wanted.intersection(ranked[:k])) / len(wanted)


def hit_at_k(ranked: Sequence[Id], relevant: Collection[Id], k: int) -> float:
    """1 if any of the top k is relevant, else 0; its mean is the hit rate. As :func:`recall_at_k` otherwise."""
    return float(not _wanted(relevant, k).isdisjoint(ranked[:k]))


def reciprocal_rank(ranked: Sequence[Id], relevant: Collection[Id]) -> float:
    """``1 / rank of the first relevant one``, 0 if there is none; its mean is the MRR (Voorhees 1999, TREC-8)."""
    wanted = _wanted(relevant, 1)
    return next((1 / rank for rank, id_ in enumerate(ranked, 1) if id_ in wanted), 0.0)


def ndcg_at_k(ranked: Sequence[Id], grades: Mapping[Id, float], k: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), gains linear as in trec_eval.

    ``DCG = Σ_{r=1..k} grade_r / log2(r + 1)``, divided by the DCG of the best order there could be. What is not graded
    has grade 0; negative grades count as 0.

    Raises:
        InvalidSettings: ``k`` is below 1, or no grade is above 0.
    """
    gains = {id_: max(0.0, float(grade)) for id_, grade in grades.items()}
    _wanted([id_ for id_, gain in gains.items() if gain > 0], k)
    best = sorted(gains.values(), reverse=True)[:k]
    return _dcg([gains.get(id_, 0.0) for id_ in ranked[:k]]) / _dcg(best)


def spearman(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Spearman's rank correlation, ties at mean ranks.

    Interval: Fisher's z with variance ``(1 + ρ²/2) / (n - 3)`` (Bonett and Wright 2000, Psychometrika 65).

    Raises:
        InvalidSettings: unequal lengths, fewer than two pairs, or one side is constant.
    """
    if len(first) != len(second) or len(first) < 2:
        raise InvalidSettings(f"A correlation needs pairs, two at least: {len(first)} and {len(second)} numbers given.")
    if len(set(first)) == 1 or len(set(second)) == 1:
        raise InvalidSettings("One side is the same number throughout, so that nothing correlates with it.")
    from scipy.stats import spearmanr

    rho, n = float(spearmanr(first, second).statistic), len(first)
    if n <= 3 or abs(rho) >= 1:
        return Estimate(rho, None, None, n, n)
    width = _normal() * math.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = math.atanh(rho)
    return Estimate(rho, math.tanh(centre - width), math.tanh(centre + width), n, n)


def clustered_mean(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, *, bounds: tuple[float, float] | None = (0, 1)
) -> Estimate:
    """A mean over all observations, each with the same weight, and an interval that knows of their clusters.

    Questions about one conversation rise and fall together, so that they tell less than as many independent ones. With
    ``e_g`` the sum of the residuals of cluster g: ``var = G/(G-1) · Σ_g e_g² / n²`` and Student's t with ``G - 1``
    degrees of freedom (Cameron and Miller 2015, Journal of Human Resources 50). With every observation a cluster of its
    own this is the common t interval.

    Args:
        values: observations; not empty. For two systems, their differences question by question.
        clusters: the cluster of each; ``None``: each its own.
        bounds: between which the interval must lie; ``None``: anywhere.

    Returns:
        Without an interval where there is but one cluster: nothing then says how another would differ.

    Raises:
        InvalidSettings: nothing to average, or not one cluster per value.
    """
    groups = list(range(len(values))) if clusters is None else list(clusters)
    if not values or len(groups) != len(values):
        raise InvalidSettings(f"A mean needs values, each with its cluster: {len(values)} and {len(groups)} given.")
    column = np.asarray(values, dtype=np.float64)
    mean, n = float(column.mean()), len(column)
    residuals: dict[Hashable, float] = {}
    for group, residual in zip(groups, column - mean, strict=True):
        residuals[group] = residuals.get(group, 0.0) + float(residual)
    count = len(residuals)
    if count < 2:
        return Estimate(mean, None, None, n, count)
    spread = math.sqrt(count / (count - 1) * sum(one**2 for one in residuals.values())) / n
    low, high = mean - _student(count - 1) * spread, mean + _student(count - 1) * spread
    if bounds is not None:
        low, high = max(bounds[0], low), min(bounds[1], high)
    return Estimate(mean, low, high, n, count)


def exact_share(hits: int, n: int) -> Estimate:
    """A share and its exact interval (Clopper and Pearson 1934), for independent trials.

    Raises:
        InvalidSettings: ``hits`` is not between 0 and ``n``, or ``n`` is 0.
    """
    if n < 1 or not 0 <= hits <= n:
        raise InvalidSettings(f"A share needs trials and as many hits at most: {hits} of {n} given.")
    from scipy.stats import beta

    tail = (1 - _LEVEL) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return Estimate(hits / n, low, high, n, n)


def _wanted(relevant: Collection[Id], k: int) -> set[Id]:
    if k < 1:
        raise InvalidSettings(f"k must be at least 1, not {k}.")
    if not relevant:
        raise InvalidSettings("Nothing is relevant, so nothing can be found. Leave such queries out of the mean.")
    return set(relevant)


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def _student(degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + _LEVEL) / 2, degrees))


def _normal() -> float:
    from scipy.stats import norm

    return float(norm.ppf((1 + _LEVEL) / 2))
