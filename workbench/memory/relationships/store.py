"""The graph of who stands how to whom in one session: entities and the edges between them, kept over time.

Plain dictionaries of pairs: adding a statement and looking around an entity never touch the rest of the graph. Knows
nothing of messages, events or prompts.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import InvalidSettings, UnknownName
from workbench.memory.relationships import export, queries, summary
from workbench.memory.relationships.statements import TYPES, Edge, Statement, entity_name
from workbench.memory.relationships.validity import Ties

if TYPE_CHECKING:
    import networkx

Direction = Literal["out", "in", "both"]
_DIRECTIONS = ("out", "in", "both")


class RelationshipGraph:
    """Entities and typed, directed edges with evidence and validity in time. Thread-safe.

    A moment ``at`` is in seconds since 1970, ``None`` means after all that was stated. An entity nobody has said
    anything about has no neighbours and no paths; that is no error.

    >>> graph = RelationshipGraph()
    >>> graph.state("Mira", "Jon", "trust", at=0.0)
    True
    >>> graph.state("Mira", "Jon", "distrust", at=86400.0)
    True
    >>> graph.neighbours("Mira")
    [<Mira -distrust-> Jon, strength 1.00, from 86400>]
    >>> graph.summary("Mira")
    'Mira distrusts Jon (since 1970-01-02, before that: trust).'

    Args:
        statements: to begin with, in any order.
    """

    def __init__(self, statements: Iterable[Statement] = ()) -> None:
        self.lock = threading.RLock()
        # Both in order of what was stated last, so that of a hub with very many ties the newest can be had alone.
        self._out: dict[str, dict[str, Ties]] = {}
        self._in: dict[str, dict[str, Ties]] = {}
        for statement in statements:
            self.add(statement)

    # -- what is stated -----------------------------------------------------------------------------------------------

    def add(self, statement: Statement) -> bool:
        """Take a statement; ``False``: the same message has said so already. O(1) in the size of the graph."""
        source, target = statement.source, statement.target
        with self.lock:
            ties = self._out.setdefault(source, {}).pop(target, None) or Ties(source, target)
            changed = ties.add(statement)
            self._out[source][target] = ties
            self._in.setdefault(source, {})
            self._out.setdefault(target, {})
            about = self._in.setdefault(target, {})
            about.pop(source, None)
            about[source] = ties
            return changed

    def state(self, source: str, target: str, type: str, **fields: Any) -> bool:  # noqa: A002 - the field's name
        """Say how ``source`` stands to ``target`` from now on; ``fields`` as of :class:`Statement`.

        ``strength=0`` ends what holds of that type, and of those it excludes.

        Raises:
            UnknownName: a type there is not; lists the known ones.
            InvalidSettings: a field out of its range.
        """
        return self.add(Statement.of(source, target, type, **fields))

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def entities(self) -> tuple[str, ...]:
        """Everybody something was ever stated about, in order of the first time."""
        with self.lock:
            return tuple(self._out)

    def edges(self, *, at: float | None = None) -> list[Edge]:
        """All edges that hold at a moment."""
        with self.lock:
            return [edge for ties in self._pairs() for edge in ties.at(at)]

    def history(self, source: str | None = None, target: str | None = None, type: str | None = None) -> list[Edge]:  # noqa: A002 - the field's name
        """Every edge there ever was from ``source``, to ``target``, of ``type``; oldest first."""
        with self.lock:
            found = [
                edge
                for ties in self._matching(source, target)
                for edge in ties.edges
                if type is None or edge.type == type
            ]
        return sorted(found, key=_in_time)

    def statements(self) -> list[Statement]:
        """All that was ever stated; making a graph of it makes the same graph."""
        with self.lock:
            return [statement for ties in self._pairs() for statement in ties.statements]

    def ties(self, entity: str, direction: Direction = "both", *, most: int | None = None) -> Iterator[Ties]:
        """The pairs an entity is part of, most recently stated first, at most ``most`` each way. Hold :attr:`lock`."""
        if direction in ("out", "both"):
            yield from itertools.islice(reversed(self._out.get(entity, {}).values()), most)
        if direction in ("in", "both"):
            yield from itertools.islice(reversed(self._in.get(entity, {}).values()), most)

    def between(self, source: str, targets: Collection[str]) -> Iterator[Ties]:
        """The pairs from one entity to some others, in time of the fewer of the two. Hold :attr:`lock`."""
        pairs = self._out.get(source, {})
        if len(pairs) < len(targets):
            return (ties for target, ties in pairs.items() if target in targets)
        return (pairs[target] for target in targets if target in pairs)

    # -- queries ------------------------------------------------------------------------------------------------------

    def neighbours(
        self,
        entity: str,
        types: Collection[str] | None = None,
        *,
        at: float | None = None,
        direction: Direction = "both",
    ) -> list[Edge]:
        """Edges from (``"out"``), to (``"in"``) or at (``"both"``) an entity, strongest first. O(its pairs).

        Raises:
            UnknownName: a type there is not.
            InvalidSettings: another direction.
        """
        wanted = checked_types(types)
        if direction not in _DIRECTIONS:
            raise InvalidSettings(f"direction must be one of {', '.join(_DIRECTIONS)}, not {direction!r}.")
        with self.lock:
            found = [edge for ties in self.ties(entity_name(entity), direction) for edge in ties.at(at)]
        return sorted((edge for edge in found if wanted is None or edge.type in wanted), key=queries.strongest_first)

    def path(
        self,
        start: str,
        end: str,
        *,
        by: Literal["shortest", "strongest"] = "shortest",
        types: Collection[str] | None = None,
        at: float | None = None,
        directed: bool = False,
    ) -> list[Edge] | None:
        """How two are connected; see :func:`workbench.memory.relationships.queries.path`."""
        ends = entity_name(start), entity_name(end)
        return queries.path(self, *ends, by=by, types=checked_types(types), at=at, directed=directed)

    def slice(
        self, entities: str | Iterable[str], *, radius: int = 1, limit: int = 50, at: float | None = None
    ) -> queries.Slice:
        """The part of the graph around entities; see :func:`workbench.memory.relationships.queries.around`."""
        names = [entities] if isinstance(entities, str) else list(entities)
        return queries.around(self, [entity_name(name) for name in names], radius=radius, limit=limit, at=at)

    def summary(
        self,
        *entities: str,
        budget: int = 800,
        count: summary.Count = len,
        at: float | None = None,
        hints: Collection[str] = (),
    ) -> str:
        """How entities stand to others, in words for a prompt, the most relevant first; "" if nothing is known.

        Args:
            entities: whom it is about; those between them come first. None given: everybody, the strongest first.
            budget: the most it may be, as ``count`` counts.
            count: text → its length; by default characters, or for example an engine's ``count_tokens``.
            at: as of this moment.
            hints: types of relation that matter most now.
        """
        return summary.summarise(self, entities, budget=budget, count=count, at=at, hints=checked_types(hints) or set())

    def communities(self, *, at: float | None = None) -> list[set[str]]:
        """Who belongs together, largest first; see :func:`workbench.memory.relationships.export.communities`."""
        return export.communities(self, at)

    # -- export -------------------------------------------------------------------------------------------------------

    def to_networkx(self, *, at: float | None = None, history: bool = False) -> networkx.MultiDiGraph:
        """As a ``networkx.MultiDiGraph``; see :func:`workbench.memory.relationships.export.to_networkx`."""
        return export.to_networkx(self, at=at, history=history)

    def to_json(self) -> dict[str, Any]:
        """JSON values from which :meth:`from_json` makes the same graph, its history included."""
        return export.to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RelationshipGraph:
        """A graph from what :meth:`to_json` gave.

        Raises:
            InvalidSettings: it is not that.
        """
        return cls(export.statements_from_json(values))

    def __len__(self) -> int:
        return len(self._out)

    def __contains__(self, entity: object) -> bool:
        return isinstance(entity, str) and bool(entity.strip()) and entity_name(entity) in self._out

    def __repr__(self) -> str:
        held = self.edges()
        shown = "\n".join(f"  {line}" for line in summary.phrases(held[:_SHOWN]))
        more = f"\n  and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        head = f"RelationshipGraph({len(self)} entities, {len(held)} edges)"
        return f"{head}{':' if shown else ''}\n{shown}{more}".rstrip()

    def _pairs(self) -> Iterator[Ties]:
        return (ties for about in self._out.values() for ties in about.values())

    def _matching(self, source: str | None, target: str | None) -> Sequence[Ties]:
        if source is not None:
            pairs = self._out.get(entity_name(source), {})
            return [ties for ties in pairs.values() if target is None or ties.target == entity_name(target)]
        return list(self._pairs() if target is None else self._in.get(entity_name(target), {}).values())


_SHOWN = 12


def _in_time(edge: Edge) -> tuple[float, int, str, str]:
    """Sort key: by time and message; those of one pair that are alike in both stay as they were stated."""
    return (edge.valid_from, -1 if edge.index is None else edge.index, edge.source, edge.target)


def checked_types(types: Collection[str] | None) -> set[str] | None:
    """``types`` as a set.

    Raises:
        UnknownName: one there is not.
    """
    if types is None:
        return None
    wanted = {types} if isinstance(types, str) else set(types)
    for name in wanted:
        if name not in TYPES:
            raise UnknownName("relation type", str(name), TYPES)
    return wanted
