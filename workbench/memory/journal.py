"""The events of one memory: its folder, its log, and what a full disk kept from being written.

A memory that has no folder has a log in memory, and everything else is the same. When the disk is full nothing that
was said is lost to the conversation: events are kept in memory, in order, and written as soon as there is room.
"""

from __future__ import annotations

import dataclasses
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
        with self._lock:
            first = self._counts.get(session, 0)
            indices = range(first, first + len(messages))
            if messages:
                times = [time.time()] * len(messages) if at is None else [float(moment) for moment in at]
                entries = [
                    Entry(MESSAGE, {"index": index, **message.to_dict()}, moment)
                    for index, message, moment in zip(indices, messages, times, strict=True)
                ]
                self._append(session, entries)
                self._counts[session] = indices.stop
            return indices

    def append(self, session: str, kind: str, data: Mapping[str, Any], *, at: float | None = None) -> None:
        """Append another event about a session that has messages; of a forgotten one nothing is kept."""
        with self._lock:
            if session in self._counts:
                self._append(session, [Entry(kind, data, at)])

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

    def _append(self, session: str, entries: Sequence[Entry]) -> None:
        if self._unsaved:
            self._save()
        if not self._unsaved:
            try:
                self.log.append_many(session, entries)
                return
            except StorageFull as full:
                warnings.warn(NotSaved(f"{full} What is said is kept in memory until there is room."), stacklevel=5)
            except (TypeError, ValueError) as error:
                raise InvalidSettings(f"What is remembered must be JSON values: {error}.") from error
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
