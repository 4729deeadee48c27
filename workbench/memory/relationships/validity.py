"""When what was stated about one ordered pair holds: a newer statement closes, and never deletes, what it replaces.

A statement closes what is open of its own type (it restates it, and the new edge is the stronger) and of the types
that cannot hold beside it. These are few on purpose, for people are of two minds:

========== =========== ===========================================================
type       excludes    why
========== =========== ===========================================================
trust      distrust    one is the other's denial
love       hate        opposite attitudes to one person
friendship hate        who has come to hate is no friend any more
alliance   rivalry     two sides in one contest
========== =========== ===========================================================

Friends may be rivals, allies may distrust each other, lovers may fear, and family and debts end by no feeling.
Exclusion is by direction: when Ann comes to hate Bob, what Bob feels for Ann stays.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Mapping

from workbench.memory.relationships.statements import TYPES, Edge, Statement

_PAIRS = (("trust", "distrust"), ("love", "hate"), ("friendship", "hate"), ("alliance", "rivalry"))

EXCLUDES: Mapping[str, frozenset[str]] = {
    kind: frozenset(other for pair in _PAIRS if kind in pair for other in pair if other != kind) for kind in TYPES
}
"""Type → the types that cannot hold beside it, from the same source to the same target."""


class Ties:
    """All that was stated about one ordered pair, in order of time, and the edges that follow.

    Statements usually come in order: then one costs O(types). One that comes late, as enrichment does, is put where it
    belongs and the pair's edges are made anew: O(statements of the pair).

    Attributes:
        source: holder of the attitudes.
        target: their object.
        edges: one for each statement that opened one, oldest first.
    """

    __slots__ = ("_keys", "_open", "_statements", "edges", "source", "target")

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.edges: list[Edge] = []
        self._statements: list[Statement] = []
        self._keys: set[tuple[int, str]] = set()
        self._open: dict[str, int] = {}

    @property
    def statements(self) -> list[Statement]:
        """Oldest first; of one moment, in the order of their messages."""
        return list(self._statements)

    def add(self, statement: Statement) -> bool:
        """Take a statement; ``False``: the same message has said so already, and nothing changes."""
        if statement.index is not None:
            key = (statement.index, statement.type)
            if key in self._keys:
                return False
            self._keys.add(key)
        place = bisect.bisect_right(self._statements, _order(statement), key=_order)
        self._statements.insert(place, statement)
        if place == len(self._statements) - 1:
            self._apply(statement)
        else:
            self._rebuild()
        return True

    def current(self) -> Iterator[Edge]:
        """Edges that hold after all that was stated."""
        return (self.edges[place] for place in self._open.values())

    def at(self, moment: float | None) -> Iterator[Edge]:
        """Edges that hold at a moment; ``None``: now."""
        if moment is None:
            return self.current()
        return (edge for edge in self.edges if edge.holds(moment))

    def _apply(self, statement: Statement) -> None:
        before = self._open.get(statement.type)
        restated = None if before is None else self.edges[before]
        for closed in (statement.type, *EXCLUDES[statement.type]):
            place = self._open.pop(closed, None)
            if place is not None:
                self.edges[place] = dataclasses.replace(self.edges[place], valid_until=statement.at)
        if statement.strength > 0:  # 0 ends and opens nothing
            self._open[statement.type] = len(self.edges)
            self.edges.append(_edge(statement, restated))

    def _rebuild(self) -> None:
        self.edges, self._open = [], {}
        for statement in self._statements:
            self._apply(statement)


def _edge(statement: Statement, restated: Edge | None) -> Edge:
    doubt = 1.0 if restated is None else 1.0 - restated.strength
    return Edge(
        statement=statement,
        strength=1.0 - doubt * (1.0 - statement.strength),
        valid_from=statement.at,
        valid_until=None,
        since=statement.at if restated is None else restated.since,
        times=1 if restated is None else restated.times + 1,
    )


def _order(statement: Statement) -> tuple[float, int]:
    return (statement.at, -1 if statement.index is None else statement.index)
