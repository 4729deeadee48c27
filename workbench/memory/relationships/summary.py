"""Relationships in words, for a prompt and for a person: the most relevant first, within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from workbench.errors import InvalidSettings
from workbench.memory.relationships.queries import around, strongest_first
from workbench.memory.relationships.statements import Edge, entity_name
from workbench.memory.relationships.validity import EXCLUDES

if TYPE_CHECKING:
    from workbench.memory.relationships.store import RelationshipGraph

Count = Callable[[str], int]

_ONE_WAY = {
    "trust": "trusts",
    "distrust": "distrusts",
    "love": "loves",
    "hate": "hates",
    "fear": "fears",
    "alliance": "is an ally of",
    "rivalry": "is a rival of",
    "friendship": "is a friend of",
    "family": "is family of",
    "debt": "owes",
    "respect": "respects",
}
_BOTH_WAYS = {
    "trust": "trust each other",
    "distrust": "distrust each other",
    "love": "love each other",
    "hate": "hate each other",
    "fear": "fear each other",
    "alliance": "are allies",
    "rivalry": "are rivals",
    "friendship": "are friends",
    "family": "are family",
    "debt": "owe each other",
    "respect": "respect each other",
}
_LOOKED_AT = 200
"""Edges considered at most: more than any budget for a prompt holds."""
_MOST_REFUSED = 8
"""Clauses that did not fit, after which no shorter one is looked for."""


def phrase(edge: Edge, mutual: bool = False) -> str:
    """One edge as a clause: "Mira trusts Jon"; ``mutual``: "Mira and Jon trust each other"."""
    if mutual:
        return f"{edge.source} and {edge.target} {_BOTH_WAYS[edge.type]}"
    return f"{edge.source} {_ONE_WAY[edge.type]} {edge.target}"


def phrases(edges: Iterable[Edge]) -> list[str]:
    """Clauses of edges in their order; two that answer each other become one."""
    return [phrase(edge, mutual) for edge, mutual in _merged(list(edges))]


def summarise(
    graph: RelationshipGraph,
    entities: Sequence[str],
    *,
    budget: int,
    count: Count,
    at: float | None,
    hints: Collection[str],
) -> str:
    """See :meth:`RelationshipGraph.summary`."""
    if budget < 1:
        raise InvalidSettings(f"budget must be at least 1, not {budget}.")
    text, refused = "", 0
    with graph.lock:
        for edge, mutual in _merged(relevant(graph, entities, at=at, hints=hints)):
            clause = f"{phrase(edge, mutual)} ({_when(graph, edge)})"
            longer = f"{text[:-1]}; {clause}." if text else f"{clause}."
            if count(longer) <= budget:
                text = longer
            else:
                refused += 1
            if refused > _MOST_REFUSED:
                break
    return text


def relevant(
    graph: RelationshipGraph, entities: Sequence[str], *, at: float | None, hints: Collection[str] = ()
) -> list[Edge]:
    """Edges about entities, those between them first, then the types hinted at, then by strength and newness."""
    named = {entity_name(entity) for entity in entities}
    if named:
        part = around(graph, sorted(named), radius=1, limit=_LOOKED_AT, at=at)
        found = [edge for edge in part.edges if edge.source in named or edge.target in named]
    else:
        found = graph.edges(at=at)

    def key(edge: Edge) -> tuple[int, bool, tuple[float, float, str, str, str]]:
        ends = (edge.source in named) + (edge.target in named)
        return (-ends, edge.type not in hints, strongest_first(edge))

    return sorted(found, key=key)[:_LOOKED_AT]


def _merged(edges: list[Edge]) -> list[tuple[Edge, bool]]:
    """Each edge and whether it stands for its answer, too, which is then left out."""
    there = {(edge.source, edge.target, edge.type) for edge in edges}
    told: set[tuple[str, str, str]] = set()
    merged: list[tuple[Edge, bool]] = []
    for edge in edges:
        back = (edge.target, edge.source, edge.type)
        if back not in told:
            told.add((edge.source, edge.target, edge.type))
            merged.append((edge, back in there))
    return merged


def _when(graph: RelationshipGraph, edge: Edge) -> str:
    """Since when, and what it was before if that was the opposite."""
    before = {
        past.type
        for ties in graph.between(edge.source, (edge.target,))
        for past in ties.edges
        if past.valid_until == edge.since and past.type in EXCLUDES[edge.type]
    }
    since = f"since {_date(edge.since)}"
    return f"{since}, before that: {' and '.join(sorted(before))}" if before else since


def _date(moment: float) -> str:
    """A day as ISO 8601 has it, in UTC; the plain number where no calendar reaches."""
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(moment))
    except (OverflowError, ValueError, OSError):
        return f"{moment:g} s"
