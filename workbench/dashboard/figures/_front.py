"""Which points nothing else beats in both respects, and how sure one is of each. Draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from workbench.sweep.results import Direction

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Value:
    """A median and what is known about it.

    Attributes:
        middle: the value shown.
        low: lower end of its interval; ``None``: too few runs to tell, or none given.
        high: upper end.
        n: runs.
    """

    middle: float
    low: float | None
    high: float | None
    n: int


def median_of(values: Sequence[float]) -> Value:
    """The median and its distribution-free 95 % interval (order statistics; David and Nagaraja 2003, section 7.1).

    The interval ``[x_(r), x_(n+1-r)]`` has coverage ``1 - 2 B(r-1; n, 1/2)``; below six runs there is none. Runs that
    all agree are no measurement of spread either, and have none.
    """
    ordered = sorted(values)
    n, middle = len(ordered), float(np.median(ordered))
    if n < 6 or ordered[0] == ordered[-1]:
        return Value(middle, None, None, n)
    rank = _rank(n)
    return Value(middle, ordered[rank - 1], ordered[n - rank], n)


@cache
def _rank(n: int) -> int:
    """The r of the interval: the largest for which ``B(r-1; n, 1/2)`` is still below 2.5 %, at least 1."""
    below, rank = 1, 0
    while below < 0.025 * 2**n:
        rank += 1
        below += math.comb(n, rank)
    return max(rank, 1)


def front(costs: Sequence[float], qualities: Sequence[float], cost: Direction, quality: Direction) -> list[bool]:
    """Which points are not dominated: none is at least as good in both respects and better in one."""
    x = np.asarray(costs) * (1 if cost == "minimize" else -1)
    y = np.asarray(qualities) * (1 if quality == "minimize" else -1)
    kept = []
    for place in range(len(x)):
        as_good = (x <= x[place]) & (y <= y[place])
        better = (x < x[place]) | (y < y[place])
        kept.append(not bool((as_good & better).any()))
    return kept


def doubtful(costs: Sequence[Value], qualities: Sequence[Value], cost: Direction, quality: Direction) -> list[bool]:
    """Which points may be on the front: none beats them beyond the intervals.

    A point is beaten for certain where another's worse ends are at least as good as its own better ends in both
    respects, and better in one. A value without an interval counts as it stands.
    """
    best_x, worst_x = _ends(costs, cost)
    best_y, worst_y = _ends(qualities, quality)
    kept = []
    for place in range(len(costs)):
        as_good = (worst_x <= best_x[place]) & (worst_y <= best_y[place])
        better = (worst_x < best_x[place]) | (worst_y < best_y[place])
        kept.append(not bool((as_good & better).any()))
    return kept


def _ends(values: Sequence[Value], way: Direction) -> tuple[FloatArray, FloatArray]:
    """The better and the worse ends, turned so that less is better."""
    sign = 1 if way == "minimize" else -1
    ends = np.array([[v.middle if v.low is None else v.low, v.middle if v.high is None else v.high] for v in values])
    turned = np.sort(sign * ends, axis=1)
    return turned[:, 0], turned[:, 1]
