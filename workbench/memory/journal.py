"""The events of one memory: its folder, its log, and what a full disk kept from being written.

A memory that has no folder has a log in memory, and everything else is the same. When the disk is full nothing that
was said is lost to the conversation: events are kept in memory, in order, and written as soon as there is room.
"""

from __future__ import annotations

import dataclasses
import json
import math
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings, NotSaved, StorageFull
from workbench.interfaces import Message
from workbench.storage import Entry, Event, EventLog, FolderLock

MESSAGE = "message"


class Journal:
    """Appends and reads the events of many sessions. Thread-safe.

    Args:
        folder: where the log lies; made if it is not there; ``None``: in memory only.

    Attributes:
        epoch: raised when places of events have changed, so that every snapshot has to be made anew.

    Raises:
        StoreInUse: another process, or another memory of this one, has the folder.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._folder_lock = None if self.folder is None else FolderLock(self.folder)
        if self._folder_lock is not None:
            self._folder_lock.acquire()
        try:
            self.log = EventLog(None if self.folder is None else self.folder / "events.sqlite")
            self._counts = self.log.counts(MESSAGE)
        except BaseException:
            self._release()
            raise
        self._lock = threading.RLock()
        self._unsaved: list[Event] = []
        self._closed = False
        self.epoch = 0

    @property
    def unsaved(self) -> int:
        """Events that are in memory only, because the disk was full."""
        return len(self._unsaved)

    def add_messages(self, session: str, messages: Sequence[Message], at: Sequence[float] | None) -> range:
        """Append messages; returns their indices in the session."""
        if at is not None and len(at) != len(messages):
            raise InvalidSettings(f"at needs one time per message: {len(at)} for {len(messages)} messages.")
        if at is not None and not all(math.isfinite(moment) for moment in at):
            raise InvalidSettings("at must be seconds since 1970; there is a NaN or an infinity in it.")
        with self._lock:
            indices = self._next(session, messages)
            if messages:
                full = self._append(session, _said(indices, messages, at))
                self._counts[session] = indices.stop
                _warn(full)
            return indices

    def take_over(self, session: str, messages: Sequence[Message], at: Sequence[float | None], mark: Entry) -> range:
        """Append messages from elsewhere, and an event that says which they were; all or nothing.

        Raises:
            StorageFull: there is no room; unlike what is said, what is taken over is not kept in memory.
        """
        with self._lock:
            self.save()
            indices = self._next(session, messages)
            with _json_only():
                self.log.append_many(session, [*_said(indices, messages, at), mark])
            self._counts[session] = indices.stop
            return indices

    def append(self, session: str, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> None:
        """Append another event about a session that has messages; of a forgotten one nothing is kept."""
        self.append_many(session, [Entry(kind, data, at)])

    def append_many(self, session: str, entries: Sequence[Entry]) -> None:
        """As :meth:`append`, several events, all or none."""
        with self._lock:
            if session in self._counts:
                _warn(self._append(session, entries))

    def restore(self, session: str, entries: Sequence[Entry], *, replace: bool = False) -> None:
        """Make a session of events that were read elsewhere: all of them, or nothing is changed.

        Args:
            session: its name.
            entries: its events, messages with their indices.
            replace: in place of the session of that name; ``False``: there must be none.

        Raises:
            InvalidSettings: there is one.
            StorageFull: there is no room; unlike what is said, what is restored is not kept in memory.
        """
        with self._lock:
            if session in self._counts and not replace:
                raise InvalidSettings(f"There is a session {session!r} already. Give another name, or replace it.")
            self.save()
            with _json_only():
                self.log.replace(session, entries)
            said = sum(entry.kind == MESSAGE for entry in entries)
            if said:
                self._counts[session] = said
            else:
                self._counts.pop(session, None)  # a session is one that has messages, now as after a restart
            self.log.shrink()

    def read_since(self, seq: int, session: str) -> list[Event]:
        """A session's events after ``seq``, oldest first, those not yet written included."""
        with self._lock:
            if not self._unsaved:
                return self.log.read_since(seq, session=session)
            kept = [event for event in self._unsaved if event.session == session and event.seq > seq]
            return [*self.log.read_since(seq, session=session), *kept]

    def count(self, session: str) -> int:
        """Messages ever added to a session since it began."""
        return self._counts.get(session, 0)

    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions that have messages, sorted."""
        with self._lock:
            return tuple(sorted(self._counts))

    def forget(self, session: str) -> None:
        """Delete a session's events."""
        with self._lock:
            self.log.forget(session)
            self._counts.pop(session, None)
            if self._unsaved:
                self._unsaved = [event for event in self._unsaved if event.session != session]
                self._renumber()
                self._save()
            self.log.shrink()  # last: should it fail, the session is forgotten all the same

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One request: within it nothing is read from the file twice."""
        with self.log.turn():
            yield

    def save(self) -> None:
        """Write what a full disk kept back.

        Raises:
            StorageFull: there still is no room.
        """
        with self._lock:
            self._save()
            if self._unsaved:
                raise StorageFull(self.log.path or Path("(in memory)"))

    def close(self) -> None:
        """Write what is left, close the file, give the folder back. Idempotent.

        Raises:
            StorageFull: there was no room for what had not been written; the file is closed all the same.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self.save()
            finally:
                self.log.close()
                self._release()

    def _next(self, session: str, messages: Sequence[Message]) -> range:
        first = self._counts.get(session, 0)
        return range(first, first + len(messages))

    def _append(self, session: str, entries: Sequence[Entry]) -> StorageFull | None:
        """Write events, or keep them; returns the reason when these are the first that had to be kept."""
        if self._unsaved:
            self._save()
        if self._unsaved:
            self._keep(session, entries)
            return None
        try:
            with _json_only():
                self.log.append_many(session, entries)
        except StorageFull as full:
            self._keep(session, entries)
            return full
        return None

    def _keep(self, session: str, entries: Sequence[Entry]) -> None:
        """Hold in memory what could not be written."""
        with _json_only():
            json.dumps([entry.data for entry in entries], allow_nan=False)
        first, now = self.log.last_seq + len(self._unsaved) + 1, time.time()
        self._unsaved += [
            Event(seq, session, entry.kind, now if entry.at is None else entry.at, entry.data)
            for seq, entry in enumerate(entries, first)
        ]

    def _save(self) -> None:
        """Write as many of the events in waiting as there is room for, oldest first."""
        while self._unsaved:
            event = self._unsaved[0]
            try:
                self.log.append(event.session, event.kind, event.data, at=event.at)
            except StorageFull:
                return
            del self._unsaved[0]

    def _renumber(self) -> None:
        """After a deletion those that wait get other places."""
        first = self.log.last_seq + 1
        self._unsaved = [dataclasses.replace(event, seq=seq) for seq, event in enumerate(self._unsaved, first)]
        self.epoch += 1

    def _release(self) -> None:
        if self._folder_lock is not None:
            self._folder_lock.release()


def _said(indices: range, messages: Sequence[Message], at: Sequence[float | None] | None) -> list[Entry]:
    times = [time.time()] * len(messages) if at is None else at  # those said at once have one time
    return [
        Entry(MESSAGE, {"index": index, **message.to_dict()}, None if moment is None else float(moment))
        for index, message, moment in zip(indices, messages, times, strict=True)
    ]


def _warn(full: StorageFull | None) -> None:
    """Last of all: a caller may have made warnings errors, and what was said is kept already."""
    if full is not None:
        warnings.warn(NotSaved(f"{full} What is said is kept in memory until there is room."), stacklevel=5)


@contextmanager
def _json_only() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidSettings(f"What is remembered must be JSON values: {error}.") from error
