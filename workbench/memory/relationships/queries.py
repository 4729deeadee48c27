"""Questions about a relationship graph that look further than one entity: paths and slices.

Plain searches over pairs; they read the graph through :meth:`RelationshipGraph.ties` only.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workbench.errors import InvalidSettings
from workbench.memory.relationships.statements import Edge

if TYPE_CHECKING:
    from workbench.memory.relationships.store import Direction, RelationshipGraph

MOST_TIES = 256
"""A slice goes on along this many pairs of an entity each way, the most recently stated: it bounds its time."""

_Cost = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a graph at a moment.

    Attributes:
        entities: the nearest first.
        edges: all between them that hold, the strongest first.
    """

    entities: tuple[str, ...]
    edges: tuple[Edge, ...]


def strongest_first(edge: Edge) -> tuple[float, float, str, str, str]:
    """Sort key: by strength, then the newest, then by name, so that the order is always the same."""
    return (-edge.strength, -edge.valid_from, edge.source, edge.target, edge.type)


def around(graph: RelationshipGraph, seeds: Sequence[str], *, radius: int, limit: int, at: float | None) -> Slice:
    """Whoever is at most ``radius`` steps away from ``seeds``, either direction counting, and the edges among them.

    Ring by ring, in each those that are tied most strongly to the one before; at most ``limit`` entities, seeds
    included. O(limit * min(degree, MOST_TIES)), however large the graph.

    Raises:
        InvalidSettings: ``radius`` is negative or ``limit`` below 1.
    """
    if radius < 0 or limit < 1:
        raise InvalidSettings(f"radius must be at least 0 and limit at least 1, not {radius} and {limit}.")
    with graph.lock:
        chosen = dict.fromkeys([seed for seed in seeds if seed in graph][:limit])
        ring: list[str] = list(chosen)
        for _ in range(radius):
            ring = _next_ring(graph, ring, chosen, limit - len(chosen), at)
            chosen.update(dict.fromkeys(ring))
        edges = [edge for entity in chosen for ties in graph.between(entity, chosen) for edge in ties.at(at)]
    return Slice(tuple(chosen), tuple(sorted(edges, key=strongest_first)))


def _next_ring(
    graph: RelationshipGraph, ring: Iterable[str], chosen: Collection[str], room: int, at: float | None
) -> list[str]:
    """The ``room`` entities tied most strongly to a ring, outside of what is chosen."""
    strengths: dict[str, float] = {}
    for entity in ring:
        for ties in graph.ties(entity, most=MOST_TIES):
            other = ties.target if ties.source == entity else ties.source
            if other not in chosen:
                strongest = max((edge.strength for edge in ties.at(at)), default=0.0)
                if strongest > strengths.get(other, 0.0):
                    strengths[other] = strongest
    return heapq.nsmallest(room, strengths, key=lambda name: (-strengths[name], name))


def path(
    graph: RelationshipGraph,
    start: str,
    end: str,
    *,
    by: Literal["shortest", "strongest"],
    types: Collection[str] | None,
    at: float | None,
    directed: bool,
) -> list[Edge] | None:
    """Edges that lead from one entity to another; ``None``: none do, or one of them is unknown; [] to itself.

    "shortest": fewest edges, of those the strongest; "strongest": the largest product of strengths, of those the
    fewest edges. Dijkstra's search from both ends (Pohl 1971, "Bi-directional search"), so that two who are near each
    other are found without looking at the rest; O((V + E) log V) at worst.

    Args:
        graph: where.
        start: from whom.
        end: to whom.
        by: what is best.
        types: only along these.
        at: as of this moment.
        directed: only along edges in their direction; by default either way.

    Raises:
        InvalidSettings: ``by`` is neither.
    """
    if by not in ("shortest", "strongest"):
        raise InvalidSettings(f"by must be shortest or strongest, not {by!r}.")
    if start not in graph or end not in graph:
        return None
    if start == end:
        return []
    search = _Search(graph, types, at, by == "shortest")
    sides = (_Side(start, "out" if directed else "both"), _Side(end, "in" if directed else "both"))
    with graph.lock:
        meeting = search.meet(*sides)
    return None if meeting is None else [*reversed(sides[0].back(meeting)), *sides[1].back(meeting)]


class _Side:
    """One of the two searches: how far it has come from its end."""

    def __init__(self, origin: str, direction: Direction) -> None:
        self.origin, self.direction = origin, direction
        self.best: dict[str, _Cost] = {origin: (0.0, 0.0)}
        self.came: dict[str, Edge] = {}
        self.waiting: list[tuple[_Cost, str]] = [((0.0, 0.0), origin)]
        self.done: set[str] = set()

    def back(self, entity: str) -> list[Edge]:
        """Edges from an entity that was reached back to the origin."""
        steps: list[Edge] = []
        while entity != self.origin:
            steps.append(self.came[entity])
            entity = steps[-1].other(entity)
        return steps


@dataclass(frozen=True, slots=True)
class _Search:
    """Which edges count, and what an edge costs: (1, -log strength), or the other way round."""

    graph: RelationshipGraph
    types: Collection[str] | None
    at: float | None
    shortest: bool

    def meet(self, one: _Side, other: _Side) -> str | None:
        """An entity on the best path, which both sides then have reached; ``None``: there is no path."""
        bound: _Cost = (math.inf, math.inf)
        meeting: str | None = None
        while one.waiting and other.waiting and _sum(one.waiting[0][0], other.waiting[0][0]) < bound:
            side, opposite = (one, other) if len(one.waiting) <= len(other.waiting) else (other, one)
            for entity in self._step(side):
                if entity in opposite.best and (total := _sum(side.best[entity], opposite.best[entity])) < bound:
                    bound, meeting = total, entity
        return meeting

    def _step(self, side: _Side) -> list[str]:
        """Go on from the nearest entity; returns those that are reached better than before."""
        cost, entity = heapq.heappop(side.waiting)
        if entity in side.done:
            return []
        side.done.add(entity)
        better: list[str] = []
        for ties in self.graph.ties(entity, side.direction):
            for edge in ties.at(self.at):
                if self.types is None or edge.type in self.types:
                    other, reached = edge.other(entity), _sum(cost, self._cost(edge))
                    if reached < side.best.get(other, (math.inf, math.inf)):
                        side.best[other], side.came[other] = reached, edge
                        heapq.heappush(side.waiting, (reached, other))
                        better.append(other)
        return better

    def _cost(self, edge: Edge) -> _Cost:
        doubt = -math.log(max(edge.strength, 1e-12))
        return (1.0, doubt) if self.shortest else (doubt, 1.0)


def _sum(one: _Cost, other: _Cost) -> _Cost:
    return (one[0] + other[0], one[1] + other[1])
