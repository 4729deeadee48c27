"""Who stands how to whom, read out of what is said, beside a strategy that recalls the messages themselves.

Relations are read by rules on a thread of their own, and become events; an engine may have a second look at what the
rules could not read. A recall can begin with a note on those whom the query names, as knowledge graphs are put before
a prompt (GraphRAG, Edge et al. 2024, arXiv 2404.16130; validity in time as in Zep, Rasmussen et al. 2025, arXiv
2501.13956), and messages that are evidence for an edge asked about come back with it. Knows no engine by name.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workbench.errors import InvalidSettings
from workbench.interfaces import Embedder, Message, Recollection
from workbench.memory.background import Background
from workbench.memory.base import Query
from workbench.memory.parts import PartsMemory, PartSpec
from workbench.memory.relations import Relation, extract_relations
from workbench.memory.relationships.attitudes import asked_about
from workbench.memory.relationships.enrichment import Enricher
from workbench.memory.relationships.statements import ENGINE, Edge
from workbench.memory.relationships.store import RelationshipGraph
from workbench.memory.relationships.summary import phrase, relevant
from workbench.memory.relationships.transcript import ENRICHED, Extractor, RelationTranscript
from workbench.storage import Entry

__all__ = ["GraphMemory", "Relation", "RelationshipGraph", "extract_relations"]

DEFAULT_BASE: PartSpec = ("hybrid", {"dense_weight": 0.0})
"""BM25 with its neighbours: needs no model."""
HEADER = "Relationships: "
_AT_ONCE = 8
"""Messages read while a session is held; whoever wants to recall waits for so many at most."""
_PAUSE_S = 0.02
"""The background goes on when nothing has been added for so long: its work would hold up whoever adds."""
_PATIENCE_S = 1.0
"""But it waits no longer than this for such a pause."""

_LOG = logging.getLogger(__name__)


class GraphMemory(PartsMemory[RelationTranscript]):
    """Recalls with ``base``, and knows how those who are spoken of stand to each other.

    Entities are those given, those who speak (``Message.name``), and proper names learnt from capitals (see
    :class:`workbench.memory.relationships.entities.NameLearner`). Adding returns before a message is read; a recall
    with relationships, and :meth:`graph`, read first what has not been.

    Args:
        folder: as for :class:`LoggedMemory`.
        entities: names known from the start, in every session.
        base: recalls messages: a registered name, a pair (name, options), or a memory nobody has added to.
        embedder: for ``base``, if it takes one.
        extractor: text and names → relations; must give the same for the same.
        enricher: has a second look at messages that name several entities and speak of an attitude, and of which the
            extractor made nothing; in the background. What it cannot do is logged, and tried again after a restart.
        evidence: share of a recall's ``k`` that may go to messages that are evidence for edges the query asks about,
            0 … 1, rounded down. They take the places of those that ``base`` found least fitting.
        note_characters: length of the note at most.

    Raises:
        InvalidSettings: a number out of its range, an entity without a name, or a base that cannot be one.
    """

    name = "graph"

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        entities: Sequence[str] | None = None,
        base: PartSpec = DEFAULT_BASE,
        embedder: Embedder | str | None = None,
        extractor: Extractor = extract_relations,
        enricher: Enricher | None = None,
        evidence: float = 0.3,
        note_characters: int = 800,
    ) -> None:
        if not 0 <= evidence <= 1 or note_characters <= len(HEADER):
            raise InvalidSettings(
                f"evidence must lie between 0 and 1 and note_characters be above {len(HEADER)}; "
                f"not {evidence} and {note_characters}."
            )
        if isinstance(entities, str):
            raise InvalidSettings(f"entities must be a list of names, not the text {entities!r}.")
        self.entities = tuple(entities or ())
        RelationTranscript("", entities=self.entities)  # refuses what is no name before any file is opened
        self.evidence, self.note_characters = evidence, note_characters
        self._extractor, self._enricher = extractor, enricher
        self._ending, self._hurry = threading.Event(), threading.Event()
        self._last_added = -math.inf
        self._reading = Background(self._read, "workbench-relations")
        self._enriching = Background(self._enrich, "workbench-enrichment")
        super().__init__([base], folder, embedder=embedder)

    def graph(self, session: str = "default") -> RelationshipGraph:
        """Who stands how to whom in a session, after all that was said so far.

        It is the session's own: what is stated later may show in it; ask again to be sure. An unknown session has an
        empty one.
        """
        if not self.journal.count(session):
            return RelationshipGraph()
        with self._session(session) as snapshot:
            self._read_all(snapshot)
            graph = snapshot.graph
        self._reading.wake(session)
        return graph

    def flush(self) -> None:
        """Return once everything is read, and an engine has had its second look.

        Raises:
            WorkbenchError: some of it failed; what it was about is still in the event log.
        """
        self._hurry.set()
        try:
            self._reading.flush()
        finally:
            if not self._ending.is_set():
                self._hurry.clear()
        self._enriching.flush()
        super().flush()

    def close(self) -> None:
        """Finish reading, and the one message an engine is looking at; the others are left for later. Idempotent."""
        self._ending.set()
        self._hurry.set()
        self._reading.close()
        self._enriching.close()
        super().close()

    def _snapshot(self, session: str, epoch: int) -> RelationTranscript:
        return RelationTranscript(session, epoch, self._snapshots(session, epoch), self.entities)

    def _added(self, session: str, indices: range) -> None:
        super()._added(session, indices)
        self._last_added = time.monotonic()
        self._reading.wake(session)

    # -- recall -------------------------------------------------------------------------------------------------------

    def _rank(self, snapshot: RelationTranscript, query: Query) -> list[Recollection]:
        if query.relationships:
            self._read_all(snapshot)
        else:
            snapshot.read_on(self._extractor, _AT_ONCE)
        found = self.parts[0]._rank(snapshot.parts[0], query)
        named = snapshot.known.mentioned(query.text)
        if not named:
            return found
        at = None if query.until is None else math.nextafter(query.until, -math.inf)  # said before it, not at it
        hints = asked_about(query.text)
        edges = relevant(snapshot.graph, named, at=at, hints=hints)
        asked = [edge for edge in edges if edge.type in hints or {edge.source, edge.target} <= set(named)]
        found = self._with_evidence(snapshot, query, found, asked)
        if query.relationships:
            budget = self.note_characters - len(HEADER)
            told = snapshot.graph.summary(*named, budget=budget, at=at, hints=hints)
            found = [*_note(told, named), *_limited(found)]
        return found

    def _with_evidence(
        self, snapshot: RelationTranscript, query: Query, found: list[Recollection], edges: Sequence[Edge]
    ) -> list[Recollection]:
        """Messages that prove ``edges`` in place of the least fitting of ``found``."""
        proof: dict[int, Edge] = {}
        for edge in edges:
            if edge.index is not None and _in_time(snapshot.times[edge.index], query):
                proof.setdefault(edge.index, edge)
        known = {one.index for one in found}
        missing = [index for index in proof if index not in known][: int(query.k * self.evidence)]
        best = max((one.score for one in found), default=1.0)
        kept = sorted(found, key=lambda one: (one.index is not None, -one.score))  # notes are not counted
        notes = sum(one.index is None for one in found)
        kept = [_because(one, proof.get(-1 if one.index is None else one.index)) for one in kept]
        proofs = [snapshot.recollection(index, best, f"evidence: {phrase(proof[index])}") for index in missing]
        return [*kept[: notes + query.k - len(proofs)], *proofs]

    # -- in the background --------------------------------------------------------------------------------------------

    def _read_all(self, snapshot: RelationTranscript) -> None:
        while snapshot.read < len(snapshot):  # in the same small steps as the background, for replay
            snapshot.read_on(self._extractor, _AT_ONCE)

    def _read(self, session: str) -> None:
        """Read what has been said and write down what follows, a little at a time."""
        unclear, done = False, False
        while not done and self.journal.count(session):
            self._let_others_add()
            with self._session(session) as snapshot:
                snapshot.read_on(self._extractor, _AT_ONCE)
                entries = list(snapshot.unwritten)
                self.journal.append_many(session, entries)
                del snapshot.unwritten[: len(entries)]
                done = snapshot.read >= len(snapshot)
                unclear = bool(snapshot.unclear.keys() - snapshot.tried)
        if unclear and self._enricher is not None:
            self._enriching.wake(session)

    def _let_others_add(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not self._hurry.is_set():
            rest = min(until, self._last_added + _PAUSE_S) - time.monotonic()
            if rest <= 0:
                return
            self._hurry.wait(rest)

    def _enrich(self, session: str) -> None:
        """Have the engine look at one unclear message after the other, without holding the session meanwhile."""
        while not self._ending.is_set() and (task := self._unclear(session)) is not None:
            try:
                found: Sequence[Relation] | None = self._ask(task)
            except Exception as error:  # whatever ails an engine or an endpoint, the conversation goes on
                _LOG.warning("session %r, message %d: enrichment failed: %s", session, task.place, error)
                found = None
            self._enriched(session, task, found)

    def _ask(self, task: _Task) -> Sequence[Relation]:
        return [] if self._enricher is None else self._enricher.relations(task.message.content, task.names)

    def _unclear(self, session: str) -> _Task | None:
        if not self.journal.count(session):
            return None
        with self._session(session) as snapshot:
            index = min(snapshot.unclear.keys() - snapshot.tried, default=None)
            return None if index is None else _Task(index, snapshot.messages[index], snapshot.unclear[index])

    def _enriched(self, session: str, task: _Task, found: Sequence[Relation] | None) -> None:
        if not self.journal.count(session):
            return
        with self._session(session) as snapshot:
            if snapshot.messages[task.place : task.place + 1] != [task.message]:
                return  # it was forgotten meanwhile, and begun anew
            snapshot.tried.add(task.place)
            if found is not None:
                seen = len(snapshot)
                entries = snapshot.entries(task.place, found, task.names, seen=seen, origin=ENGINE)
                self.journal.append_many(session, [*entries, Entry(ENRICHED, {"index": task.place, "seen": seen})])


class _Task(NamedTuple):
    """A message for a second look, and who is named in it."""

    place: int
    message: Message
    names: list[str]


def _note(text: str, named: Sequence[str]) -> list[Recollection]:
    if not text:
        return []
    reason = f"relationships of {', '.join(named)}"
    return [Recollection(message=Message.system(HEADER + text), index=None, score=0.0, reason=reason)]


def _limited(found: Sequence[Recollection]) -> list[Recollection]:
    """Without the second of the base's notes: there are two at most."""
    notes = [one for one in found if one.index is None]
    return [*notes[:1], *(one for one in found if one.index is not None)]


def _because(one: Recollection, edge: Edge | None) -> Recollection:
    return one if edge is None else dataclasses.replace(one, reason=f"{one.reason}; evidence: {phrase(edge)}")


def _in_time(moment: float, query: Query) -> bool:
    return (query.since is None or query.since <= moment) and (query.until is None or moment < query.until)
