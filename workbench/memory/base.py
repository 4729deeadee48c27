"""What all memories share: the journal, the sessions that are open, and the order of a recall.

A strategy says how one session's snapshot indexes what was said and how it ranks it for a query; adding, durability,
isolation, replay and forgetting are here, once.
"""

from __future__ import annotations

import abc
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from workbench.errors import InvalidSettings
from workbench.interfaces import Message, Recollection, Recollections
from workbench.memory.journal import MESSAGE, Journal
from workbench.memory.transcript import Transcript
from workbench.showing import Shown, Table, View
from workbench.storage import Entry, Event

FEEDBACK, RECALL = "feedback", "recall"

_SESSIONS_SHOWN = 20

S = TypeVar("S", bound=Transcript)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a recall asks for; see :meth:`workbench.interfaces.Memory.recall`."""

    text: str
    k: int
    since: float | None = None
    until: float | None = None
    relationships: bool = False


class LoggedMemory(Shown, abc.ABC, Generic[S]):
    """A memory whose truth is its event log. Implements :class:`workbench.interfaces.Memory`; see there.

    A subclass overrides :meth:`_snapshot` and :meth:`_rank`, and what else it needs of the hooks below them.

    Args:
        folder: where events are kept, one owner at a time; ``None``: in memory, gone with the process.
        open_sessions: sessions whose snapshots are held in memory at once; the least recently used is dropped and
            made again from its events when it is asked for.

    Raises:
        InvalidSettings: ``open_sessions`` is below 1.
        StoreInUse: another live process or memory has the folder.
    """

    name: str
    """Under which it is registered."""

    def __init__(self, folder: Path | str | None = None, *, open_sessions: int = 32) -> None:
        if open_sessions < 1:
            raise InvalidSettings(f"open_sessions must be at least 1, not {open_sessions}.")
        self.journal = self._own_journal = Journal(folder)
        self._most_open = open_sessions
        self._open: OrderedDict[str, S] = OrderedDict()
        self._open_lock = threading.Lock()

    # -- what a strategy is -------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _snapshot(self, session: str, epoch: int) -> S:
        """An empty snapshot."""

    @abc.abstractmethod
    def _rank(self, snapshot: S, query: Query) -> list[Recollection]:
        """At most ``query.k`` messages in any order, and notes. The snapshot is locked and up to date."""

    def _added(self, session: str, indices: range) -> None:
        """Messages have just been acknowledged. Must return at once: this is the hot path."""

    def _trace(self, snapshot: S, query: Query, found: Sequence[Recollection]) -> dict[str, Any]:  # noqa: ARG002
        """What the event of a recall says beyond query and result."""
        return {}

    def _forgotten(self, session: str) -> None:
        """A session's events are gone; delete what else there is of it."""

    def _replayed(self, session: str, events: Sequence[Event], turn: int) -> S:
        """A snapshot beside the open ones, as it was when ``turn`` messages had been added; from all events so far."""
        snapshot = self._snapshot(session, self.journal.epoch)
        snapshot.update(list(_until_turn(events, turn)))
        return snapshot

    # -- Memory -------------------------------------------------------------------------------------------------------

    def add(self, message: Message, *, session: str = "default", at: float | None = None) -> int:
        """Remember one message; returns its index in the session."""
        return self.add_many([message], session=session, at=None if at is None else [at]).start

    def add_many(
        self, messages: Sequence[Message], *, session: str = "default", at: Sequence[float] | None = None
    ) -> range:
        """Remember several at once; returns their indices."""
        indices = self.journal.add_messages(session, messages, at)
        if indices:
            self._added(session, indices)
        return indices

    def recall(
        self,
        query: str,
        *,
        session: str = "default",
        k: int = 10,
        since: float | None = None,
        until: float | None = None,
        include_relationships: bool = False,
    ) -> list[Recollection]:
        """Messages that help to answer ``query``, oldest first, notes before them."""
        asked = _query(query, k, since, until, include_relationships)
        if not self.journal.count(session):
            return Recollections()
        with self._session(session) as snapshot:
            if not len(snapshot):  # forgotten a moment ago
                return Recollections()
            found = _in_order(self._rank(snapshot, asked))
            told = {"query": query, "k": k, "strategy": self.name, **self._trace(snapshot, asked, found)}
            told["found"] = [[one.index, one.score] for one in found if one.index is not None]
            # while it is locked nobody forgets the session and begins another of that name, which this is not about
            self.journal.append(session, RECALL, told)
        return found

    def recall_at(
        self, query: str, *, turn: int, session: str = "default", k: int = 10, include_relationships: bool = False
    ) -> list[Recollection]:
        """What :meth:`recall` would have given when ``turn`` messages had been added. Changes nothing.

        Raises:
            InvalidSettings: ``turn`` is negative or beyond the end.
        """
        asked = _query(query, k, None, None, include_relationships)
        said = self.journal.count(session)
        if not 0 <= turn <= said:
            raise InvalidSettings(f"The session has {said} messages; turn must be between 0 and {said}, not {turn}.")
        snapshot = self._replayed(session, self.journal.read_since(0, session), turn)
        return _in_order(self._rank(snapshot, asked) if turn else [])

    def feedback(self, index: int, value: float, *, session: str = "default") -> None:
        """Say how much a recalled message helped."""
        if not 0 <= index < self.journal.count(session):
            raise InvalidSettings(
                f"There is no message {index} in this session; it has {self.journal.count(session)}, counted from 0."
            )
        if not -1 <= value <= 1:
            raise InvalidSettings(f"Feedback goes from -1 (misled) to 1 (helped), not {value}.")
        self.journal.append(session, FEEDBACK, {"index": index, "value": float(value)})

    def count(self, session: str = "default") -> int:
        """Messages remembered in a session."""
        return self.journal.count(session)

    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions, sorted."""
        return self.journal.sessions()

    def forget(self, session: str) -> None:
        """Delete a session and give back the room it took."""
        with self._closed(session):
            self.journal.forget(session)
            self._forgotten(session)

    def events(self, session: str) -> list[Event]:
        """All that has happened in a session, oldest first: what :meth:`restore` makes the same session of."""
        return self.journal.read_since(0, session)

    def restore(self, session: str, entries: Sequence[Entry], *, replace: bool = False) -> None:
        """Make a session of the events of another memory: all of them, or nothing is changed.

        Args:
            session: its name here.
            entries: its events, oldest first; messages have the indices 0, 1, 2, …
            replace: in place of the session of that name; ``False``: there must be none.

        Raises:
            InvalidSettings: there is one.
            StorageFull: there is no room.
        """
        with self._closed(session):
            self.journal.restore(session, entries, replace=replace)
            self._forgotten(session)
        said = self.journal.count(session)
        if said:
            self._added(session, range(said))

    def take_over(self, session: str, messages: Sequence[Message], at: Sequence[float | None], mark: Entry) -> range:
        """Add messages from elsewhere, and an event that says which they were: all or nothing is appended.

        Raises:
            StorageFull: there is no room, not even for now in memory.
        """
        indices = self.journal.take_over(session, messages, at, mark)
        self._added(session, indices)
        return indices

    def share(self, journal: Journal) -> None:
        """Live on another memory's journal from now on, which stays its owner's: for the parts of one memory.

        Raises:
            InvalidSettings: this memory has sessions of its own.
        """
        if self.journal.sessions():
            raise InvalidSettings(
                f"{self!r} has sessions of its own. Only a new, empty memory can become part of another one."
            )
        self.journal = journal

    def turn(self) -> Any:
        """Context manager for one request: within it no event is read from the file twice."""
        return self.journal.turn()

    def flush(self) -> None:
        """Write what a full disk kept back.

        Raises:
            StorageFull: there still is no room.
        """
        self.journal.save()

    def close(self) -> None:
        """Flush and free. Idempotent."""
        with self._open_lock:
            snapshots = list(self._open.values())
            self._open.clear()
        for snapshot in snapshots:
            with snapshot.lock:
                snapshot.close()
        self._own_journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.journal.sessions())} sessions)"

    def _view(self) -> View:
        names = self.journal.sessions()
        counts = {name: self.journal.count(name) for name in names}
        rows = [(name, f"{counts[name]:,}") for name in names[:_SESSIONS_SHOWN]]
        more = [f"and {len(names) - len(rows):,} more: sessions() has all"] if len(names) > len(rows) else []
        return View(
            heading=f"{type(self).__name__}: {sum(counts.values()):,} messages in {len(names):,} sessions",
            tables=[Table(columns=("session", "messages"), rows=rows)],
            notes=more,
        )

    # -- open sessions ------------------------------------------------------------------------------------------------

    @contextmanager
    def _session(self, session: str) -> Iterator[S]:
        """A session's snapshot, locked and up to date."""
        while True:
            snapshot = self._opened(session)
            with snapshot.lock:
                events = self.journal.read_since(snapshot.seq, session)
                # closed: forgotten, or dropped, a moment ago; another epoch: the places just read are not those it has
                if snapshot.closed or snapshot.epoch != self.journal.epoch:
                    continue
                snapshot.update(events)
                yield snapshot
                return

    @contextmanager
    def _closed(self, session: str) -> Iterator[None]:
        """Nobody else uses its snapshot meanwhile; afterwards it is closed, and whoever asks for it gets a new one."""
        snapshot = self._opened(session)
        with snapshot.lock:
            try:
                yield
            finally:  # only now: a snapshot made before the events changed would stay as it is
                with self._open_lock:
                    late = self._open.pop(session, None)
                snapshot.close()
        if late is not None and late is not snapshot:
            with late.lock:
                late.close()

    def _opened(self, session: str) -> S:
        with self._open_lock:
            snapshot = self._open.get(session)
            if snapshot is None or snapshot.epoch != self.journal.epoch:
                snapshot = self._open[session] = self._snapshot(session, self.journal.epoch)
            self._open.move_to_end(session)
            dropped = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - self._most_open)]
        for one in dropped:
            with one.lock:  # whoever is using it goes on to its end
                one.close()
        return snapshot


def _query(text: str, k: int, since: float | None, until: float | None, relationships: bool) -> Query:
    if k < 1:
        raise InvalidSettings(f"k must be at least 1 message, not {k}.")
    return Query(text=text, k=k, since=since, until=until, relationships=relationships)


def _in_order(found: Sequence[Recollection]) -> Recollections:
    """Notes first, then messages, oldest first."""
    return Recollections(sorted(found, key=lambda one: -1 if one.index is None else one.index))


def _until_turn(events: Sequence[Event], turn: int) -> Iterator[Event]:
    """Events as they were at a turn.

    One that says how many messages had been ``seen`` belongs there, not where the background came to write it.
    """
    over = False
    for event in events:
        over = over or (event.kind == MESSAGE and event.data["index"] >= turn)
        if event.data["seen"] <= turn if "seen" in event.data else not over:
            yield event
