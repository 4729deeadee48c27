"""Which trials go on to the finals: the best of one objective, or those that nothing beats in everything."""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.sweep.search.space import Row, how
from workbench.sweep.search.trials import Result
from workbench.sweep.specification.spec import SweepSpec

BEST, FRONT = 3, 8
"""How many go on unless the specification says it: for one objective, for several."""

_LEAST = 1e-12
"""A ratio of 0 has no logarithm."""

Point = tuple[float, ...]


def places(spec: SweepSpec) -> int:
    """How many may go on."""
    return how(spec).finalists or (BEST if len(spec.objectives) == 1 else FRONT)


def best(spec: SweepSpec, known: Sequence[Result]) -> list[Row]:
    """Configurations for the finals, the best (of several objectives: of the first) first."""
    feasible = [one for one in known if one.feasible]
    points = [_point(spec, one) for one in feasible]
    if len(spec.objectives) == 1:
        kept = sorted(range(len(points)), key=lambda at: points[at])[: places(spec)]
    else:
        kept = thinned(points, non_dominated(points), places(spec))
    return [feasible[at].row for at in sorted(kept, key=lambda at: points[at])]


def non_dominated(points: Sequence[Point]) -> list[int]:
    """Indices of points (smaller is better) that no other equals or beats in everything and beats in something."""
    return [
        at
        for at, point in enumerate(points)
        if not any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points)
    ]


def thinned(points: Sequence[Point], front: Sequence[int], most: int) -> list[int]:
    """At most so many of a front, the one in the thickest crowd taken out again and again.

    Crowding distance: Deb, Pratap, Agarwal & Meyarivan 2002, IEEE Trans. Evol. Comput. 6:182-197. Extremes stay as
    long as there is room for them.
    """
    kept = list(front)
    while len(kept) > most:
        distances = crowding([points[at] for at in kept])
        kept.pop(min(range(len(kept)), key=lambda at: (distances[at], -at)))
    return kept


def crowding(points: Sequence[Point]) -> list[float]:
    """How far apart the neighbours of each point are, over all objectives, each by its own span; extremes: infinite."""
    found = [0.0] * len(points)
    for objective in range(len(points[0]) if points else 0):
        order = sorted(range(len(points)), key=lambda at: points[at][objective])
        values = [points[at][objective] for at in order]
        span = values[-1] - values[0]
        found[order[0]] = found[order[-1]] = math.inf
        for place in range(1, len(order) - 1):
            found[order[place]] += (values[place + 1] - values[place - 1]) / span if span else 0.0
    return found


def _point(spec: SweepSpec, one: Result) -> Point:
    """Logarithms of the ratios, turned so that smaller is better: 2 × is as far from 1 as half is."""
    return tuple(
        (-1 if objective.direction == "maximize" else 1) * math.log(max(value, _LEAST))
        for objective, value in zip(spec.objectives, one.values(spec), strict=True)
    )
