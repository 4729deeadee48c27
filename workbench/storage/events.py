"""The event log: what happened, in order, never changed.

Everything a memory knows follows from its events, so a snapshot is brought up to date by :meth:`EventLog.read_since`
alone, a crash loses nothing that was appended, and any past state can be had again. SQLite in WAL mode with
``synchronous=NORMAL``: what was appended survives the death of the process, ``kill -9`` included; after a loss of power
the last moments may be missing, never anything in the middle. Knows sessions and kinds as text and data as JSON.
"""

from __future__ import annotations

import contextvars
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench.errors import StoreCorrupt
from workbench.storage.database import Database, FileKind

_KIND = FileKind(
    noun="an event log",
    application_id=0x7762456C,  # "wbEl"
    version=1,
    schema="""
CREATE TABLE sessions (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL REFERENCES sessions (id),
    kind TEXT NOT NULL,
    at REAL NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX by_session_kind ON events (session, kind, seq);
CREATE INDEX by_session_time ON events (session, at);
CREATE INDEX by_kind_time ON events (kind, at);
""",
    remedy="Restore it from a copy, or move it away to begin anew.",
)

_SELECT = "SELECT e.seq, s.name, e.kind, e.at, e.data FROM events e JOIN sessions s ON s.id = e.session"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        seq: its place in the log over all sessions, from 1; never given out twice.
        session: in which conversation.
        kind: "message", "recall", "feedback", …
        at: when, in seconds since 1970.
        data: JSON values.
    """

    seq: int
    session: str
    kind: str
    at: float
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to be: kind, data, and when (``None``: now)."""

    kind: str
    data: Mapping[str, Any]
    at: float | None = None


_Key = tuple[str | None, tuple[str, ...] | None]


class _Turn:
    """What has been read within one request: (session, kinds) → events, from which place on and up to which.

    Good for as long as nothing is deleted: ``deletions`` is the log's count of them when the reading began.
    """

    def __init__(self, deletions: int) -> None:
        self.deletions = deletions
        self.read: dict[_Key, tuple[int, int, list[Event]]] = {}


_TURNS: contextvars.ContextVar[Mapping[EventLog, _Turn]] = contextvars.ContextVar("turns", default={})  # noqa: B039 - never changed in place


class EventLog:
    """Events of many sessions in one file. Thread-safe; one process at a time: hold a :class:`FolderLock`.

    Appending takes the same time however long the log is; opening reads no event.

    Args:
        path: the file; made if it is not there; ``None``: in memory only.

    Raises (every method): StorageFull: no room, nothing changed; StoreCorrupt: the file is damaged or another kind.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.database = Database(self.path, _KIND, synchronous="NORMAL", check=False)
        self._counter = threading.Lock()
        self._deletions = 0
        self._last = int(self.database.read("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence")[0][0])

    @property
    def last_seq(self) -> int:
        """Place of the newest event ever appended; 0: none."""
        return self._last

    def append(self, session: str, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> int:
        """Append one event; returns its place."""
        return self.append_many(session, [Entry(kind, data, at)]).start

    def append_many(self, session: str, entries: Sequence[Entry]) -> range:
        """Append events of one session, all or none; returns their places, which follow one another."""
        rows = _rows(entries)
        with self.database.transaction() as connection:
            places = self._insert(connection, session, rows)
        self._reached(places.stop - 1)
        return places

    def replace(self, session: str, entries: Sequence[Entry]) -> range:
        """Put events in place of all there is of a session; on an error nothing has changed. Returns their places.

        The room of what was deleted goes back to the file system with :meth:`shrink`.
        """
        rows = _rows(entries)
        with self.database.transaction() as connection:
            found = _delete(connection, session)
            places = self._insert(connection, session, rows)
        self._reached(places.stop - 1)
        self._deleted(found)
        return places

    def read_since(
        self, seq: int = 0, *, session: str | None = None, kinds: Iterable[str] | None = None
    ) -> list[Event]:
        """Events after ``seq``, oldest first.

        Within :meth:`turn` what was read before is not read again; only what has been appended since is.

        Args:
            seq: the last place already known.
            session: only this one's; ``None``: all.
            kinds: only these; ``None``: all.
        """
        wanted = None if kinds is None else tuple(sorted(set(kinds)))
        turn = _TURNS.get().get(self)
        if turn is None:
            return self._select(seq, session, wanted)
        if turn.deletions != self._deletions:  # by whichever thread: what this request has read is no longer so
            turn.deletions, turn.read = self._deletions, {}
        start, upto, events = turn.read.get((session, wanted), (seq, seq, []))
        if start > seq:
            start, upto, events = seq, seq, []
        if upto < self._last:
            last = self._last
            events = [*events, *self._select(upto, session, wanted)]
            upto = max(last, events[-1].seq if events else 0)
        turn.read[(session, wanted)] = (start, upto, events)
        return [event for event in events if event.seq > seq]

    def newest(self, session: str, kind: str, *, limit: int = 1, before: int | None = None) -> list[Event]:
        """The last events of a kind in a session, oldest first; takes the same time however many there are.

        Args:
            session: which.
            kind: of the events.
            limit: how many at most.
            before: only those before this place; ``None``: all.
        """
        where, values = _where(0, session, (kind,))
        upto = self.last_seq + 1 if before is None else before
        statement = f"{_SELECT} WHERE {where} AND e.seq < ? ORDER BY e.seq DESC LIMIT ?"
        return [self._event(row) for row in self.database.read(statement, (*values, upto, limit))][::-1]

    def between(self, since: float, until: float, *, session: str, kinds: Iterable[str] | None = None) -> list[Event]:
        """Events of a session that happened in ``[since, until)``, oldest first."""
        wanted = None if kinds is None else tuple(sorted(set(kinds)))
        where, values = _where(0, session, wanted)
        statement = f"{_SELECT} WHERE {where} AND e.at >= ? AND e.at < ? ORDER BY e.seq"
        rows = self.database.read(statement, (*values, since, until))
        return [self._event(row) for row in rows]

    def counts(self, kind: str) -> dict[str, int]:
        """Session → how many events of ``kind`` it has; sessions without are left out."""
        rows = self.database.read(
            "SELECT s.name, COUNT(*) FROM events e JOIN sessions s ON s.id = e.session WHERE e.kind = ? GROUP BY s.id",
            (kind,),
        )
        return {_name(name): int(count) for name, count in rows}

    def forget(self, session: str) -> None:
        """Delete everything about a session; its room goes back with :meth:`shrink`. Unknown is no error."""
        with self.database.transaction() as connection:
            found = _delete(connection, session)
        self._deleted(found)

    def shrink(self) -> None:
        """Give the room of what was deleted back to the file system. Apart from deleting, for it may fail by itself."""
        self.database.shrink()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One request: within it, on this thread or task, nothing is read from the file twice."""
        present = _TURNS.get()
        token = _TURNS.set({**present, self: present.get(self) or _Turn(self._deletions)})
        try:
            yield
        finally:
            _TURNS.reset(token)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _insert(self, connection: sqlite3.Connection, session: str, rows: list[tuple[str, float, str]]) -> range:
        number = _number(connection, session)
        connection.executemany(
            "INSERT INTO events (session, kind, at, data) VALUES (?, ?, ?, ?)", [(number, *row) for row in rows]
        )
        # Read back under the same lock: places of one call follow one another.
        last = int(connection.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence").fetchone()[0])
        return range(last - len(rows) + 1, last + 1)

    def _reached(self, last: int) -> None:
        # only after the commit: it is there that a full disk shows, and then the places are given out again
        with self._counter:
            self._last = max(self._last, last)

    def _deleted(self, anything: bool) -> None:
        """What requests have read is no longer so."""
        if anything:
            with self._counter:
                self._deletions += 1

    def _select(self, seq: int, session: str | None, kinds: tuple[str, ...] | None) -> list[Event]:
        where, values = _where(seq, session, kinds)
        return [self._event(row) for row in self.database.read(f"{_SELECT} WHERE {where} ORDER BY e.seq", values)]

    def _event(self, row: tuple[Any, ...]) -> Event:
        seq, name, kind, at, data = row
        try:
            return Event(seq, _name(name), kind, at, json.loads(data))
        except ValueError as error:
            raise StoreCorrupt(self.path or Path("(in memory)"), f"event {seq}: {error}. {_KIND.remedy}") from error


def _where(seq: int, session: str | None, kinds: tuple[str, ...] | None) -> tuple[str, list[Any]]:
    parts: list[str] = ["e.seq > ?"]
    values: list[Any] = [seq]
    if session is not None:
        parts.append("e.session = (SELECT id FROM sessions WHERE name = ?)")
        values.append(_blob(session))
    if kinds is not None:
        parts.append(f"e.kind IN ({', '.join('?' * len(kinds))})")
        values.extend(kinds)
    return " AND ".join(parts), values


def _rows(entries: Sequence[Entry]) -> list[tuple[str, float, str]]:
    now = time.time()
    return [(entry.kind, now if entry.at is None else entry.at, _dump(entry.data)) for entry in entries]


def _delete(connection: sqlite3.Connection, session: str) -> bool:
    """Delete what there is of a session; whether there was anything."""
    found = connection.execute("SELECT id FROM sessions WHERE name = ?", (_blob(session),)).fetchone()
    if found is None:
        return False
    connection.execute("DELETE FROM events WHERE session = ?", found)
    connection.execute("DELETE FROM sessions WHERE id = ?", found)
    return True


def _number(connection: sqlite3.Connection, session: str) -> int:
    name = _blob(session)
    connection.execute("INSERT INTO sessions (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    return int(connection.execute("SELECT id FROM sessions WHERE name = ?", (name,)).fetchone()[0])


def _dump(data: Mapping[str, Any]) -> str:
    # ASCII: NUL and lone surrogates, which SQLite's text cannot hold, are escaped
    return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _blob(name: str) -> bytes:
    """A session's name as it is: exact bytes, so that two that look alike are two."""
    return name.encode("utf-8", "surrogatepass")


def _name(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")
