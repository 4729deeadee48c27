"""Which points nothing else beats in both respects, and how sure one is of each. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.sweep.results import Direction


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
    from scipy.stats import binom

    rank = int(binom.ppf(0.025, n, 0.5))
    return Value(middle, ordered[max(rank, 1) - 1], ordered[n - max(rank, 1)], n)


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
