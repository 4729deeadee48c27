"""One session's messages and the graph that follows from its events; and reading further messages for relations.

What is concluded from a message becomes an event, so that a graph can be made again without an extractor. A message is
read with the names known when it was said; when a name is learnt later, the messages that mentioned it are read once
more. Every event says how many messages had been said when it could be made (``seen``), whenever the work was done, so
a replay has just what was known at a turn. Reading depends on nothing but the messages: done twice, it gives the same
statements, and the graph takes each once. Knows nothing of queries.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workbench.errors import UsageError
from workbench.memory.parts import PartsTranscript
from workbench.memory.relations import Relation
from workbench.memory.relationships.attitudes import speaks_of_attitude
from workbench.memory.relationships.entities import NameIndex, NameLearner
from workbench.memory.relationships.statements import RULES, Statement
from workbench.memory.relationships.store import RelationshipGraph
from workbench.memory.transcript import Transcript
from workbench.storage import Entry, Event

RELATION = "relation"
"""One statement."""
READ = "relations-read"
"""Messages before ``upto`` have been read for relations; ``unclear``: index and names of those worth a second look."""
ENRICHED = "relations-enriched"
"""An engine has had its second look at message ``index``."""

Extractor = Callable[[str, Sequence[str]], Sequence[Relation]]

_LOG = logging.getLogger(__name__)
_FIRST_PERSON = re.compile(r"\b(?:I|me|my|mine|we|us|our)\b")
_SPEAKERS = ("user", "assistant")


class RelationTranscript(PartsTranscript):
    """A transcript with its relationships, beside that of the strategy that recalls messages.

    Args:
        session: its name.
        epoch: of the journal it was made in.
        parts: that strategy's snapshot.
        entities: names known from the start.

    Attributes:
        graph: who stands how to whom.
        known: the entities of the graph, to be found in a query.
        read: messages that have been read for relations, counted from the first.
        unclear: index → names, of messages an engine should look at.
        tried: those of them where that failed; not tried again by this snapshot.
        unwritten: events of what has been read and is not known to be in the log.
    """

    def __init__(
        self, session: str, epoch: int = 0, parts: Sequence[Transcript] = (), entities: Sequence[str] = ()
    ) -> None:
        super().__init__(session, epoch, parts)
        self.graph = RelationshipGraph()
        self.known = NameIndex()
        self.read = 0
        self.unclear: dict[int, list[str]] = {}
        self.tried: set[int] = set()
        self._looked_at: set[int] = set()
        self.unwritten: list[Entry] = []
        self._learner = NameLearner(entities)
        self._learnt = 0

    def take(self, event: Event) -> None:
        """A statement, or a mark of how far the reading has come."""
        if event.kind == RELATION:
            self._state(event.data, event.at)
        elif event.kind == READ:
            upto = event.data["upto"]
            if upto >= self.read:  # whoever wrote this has read the same and found the same
                self.unwritten.clear()
                self.read = upto
            self.unclear.update(
                (index, names) for index, names in event.data["unclear"] if index not in self._looked_at
            )
        elif event.kind == ENRICHED:
            self._looked_at.add(event.data["index"])
            self.unclear.pop(event.data["index"], None)

    def read_on(self, extractor: Extractor, most: int | None = None) -> None:
        """Read further messages, ``most`` or all; the graph has what they say, and :attr:`unwritten` the events."""
        upto = len(self) if most is None else min(max(self.read, self._learnt) + most, len(self))
        if upto <= self.read:
            return
        unclear: dict[int, list[str]] = {}
        for index in range(self._learnt, upto):
            again = self._learn(index)
            self._learnt = index + 1
            if index >= self.read:
                for place in sorted({*again, index}):
                    found, names = self._relations(extractor, place)
                    self.unwritten += self.entries(place, found, names, seen=index + 1, origin=RULES)
                    if len(names) >= 2 and not found and speaks_of_attitude(self.messages[place].content):
                        unclear[place] = names
                    else:
                        unclear.pop(place, None)
        self.unclear.update(unclear)
        self.read = upto
        listed = [list(item) for item in unclear.items()]
        self.unwritten.append(Entry(READ, {"upto": upto, "unclear": listed, "seen": upto}))

    def entries(
        self, index: int, relations: Iterable[Relation], names: Sequence[str], *, seen: int, origin: str
    ) -> list[Entry]:
        """Put into the graph what was found in a message; returns the events for it. What is not valid is logged."""
        made: list[Entry] = []
        for relation in relations:
            try:
                if relation.source not in names or relation.target not in names:
                    raise UsageError(f"{relation.source!r} or {relation.target!r} is none of {list(names)!r}")
                statement = Statement.read(relation, at=self.times[index], index=index, seen=seen, origin=origin)
            except (UsageError, TypeError, ValueError) as error:
                _LOG.warning("message %d: a relation was left out (%s): %s", index, origin, error)
                continue
            if self._put(statement):
                data = statement.to_dict()
                made.append(Entry(RELATION, data, data.pop("at")))
        return made

    def _state(self, data: Mapping[str, Any], at: float) -> None:
        try:
            statement = Statement.from_mapping(data, at)
        except UsageError as error:  # only what is derived is lost: the message it came from is there
            _LOG.warning("session %r: a statement in the log is left out: %s", self.session, error)
            return
        self._put(statement)

    def _put(self, statement: Statement) -> bool:
        self.known.add(statement.source)
        self.known.add(statement.target)
        return self.graph.add(statement)

    def _learn(self, index: int) -> list[int]:
        """Names from one more message; returns earlier messages that have to be read again."""
        message = self.messages[index]
        speaker = _speaker(message.name, message.role)
        again = self._learner.know(speaker) if speaker else []
        return again if message.role == "tool" else [*again, *self._learner.take(index, message.content)]

    def _relations(self, extractor: Extractor, index: int) -> tuple[Sequence[Relation], list[str]]:
        """What the extractor finds in a message, and the names it was given."""
        message = self.messages[index]
        if message.role == "tool":
            return [], []
        text, names = message.content, self._learner.names.mentioned(message.content, doubtful=True)
        speaker = _speaker(message.name, message.role)
        if speaker and _FIRST_PERSON.search(text):
            text = f'{speaker} says, "{text}"'
            names = list(dict.fromkeys([speaker, *names]))
        if len(names) < 2:
            return [], names
        try:
            return extractor(text, names), names
        except Exception:  # handed in: whatever is wrong with it, the messages after this one are read
            _LOG.exception("message %d: reading its relations failed", index)
            return [], names


def _speaker(name: str | None, role: str) -> str:
    return name if name and name.strip() and role in _SPEAKERS else ""
