"""What of a conversation outlives the process: its turns, one event each, and how far background work has come.

A turn is appended when it ends, so nothing that a person has seen whole is lost to ``kill -9``. What cannot be written,
with a full disk or for another reason, is kept in memory, in order, and written with what comes next: there is never a
hole. Knows events; never engines or memories.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.conversation.turn import Turn, turn_from_dict
from workbench.conversation.turns import PAGE
from workbench.errors import NotSaved, StorageFull, StoreCorrupt
from workbench.interfaces import Message
from workbench.storage import Entry, Event, EventLog, FolderLock
from workbench.storage.names import safe_name

TURN, REWIND, DONE, VIEW = "turn", "rewind", "done", "view"


@dataclass(frozen=True, slots=True)
class View:
    """What a conversation's prompts begin with since it was last compressed.

    Attributes:
        messages: in place of the opening and the first turns.
        turns: how many of them.
        opening: the messages the conversation opened with then; with another opening the view is of no use.
    """

    messages: tuple[Message, ...]
    turns: int
    opening: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a log holds of a conversation.

    Attributes:
        count: turns that are part of it.
        taken_back: times of the turns that no longer are.
        serial: of the newest turn, taken back or not; 0: there never was one.
        done: job → what it last said of itself.
        view: the compression in use.
    """

    count: int
    taken_back: set[float]
    serial: int
    done: dict[str, Mapping[str, Any]]
    view: View | None


class TurnLog:
    """Appends and reads the events of one conversation. Thread-safe.

    Args:
        folder: of conversations; each has a folder of its own in it, named after it but never by its bare name.
            ``None``: in memory only.
        name: of the conversation: data, whatever it holds.

    Attributes:
        place: this conversation's folder; ``None``: in memory only.

    Raises:
        StoreInUse: another session, of this process or another, has the conversation open.
    """

    def __init__(self, folder: Path | str | None, name: str) -> None:
        self.name = name
        self.place = None if folder is None else Path(folder) / safe_name(name)
        self._folder_lock = None if self.place is None else FolderLock(self.place)
        if self._folder_lock is not None:
            self._folder_lock.acquire()
        try:
            self._log = EventLog(None if self.place is None else self.place / "turns.sqlite")
        except BaseException:
            self._release()
            raise
        self._lock = threading.RLock()
        self._unsaved: list[Entry] = []
        self._seq = self._log.last_seq  # of the newest event that is known to be written
        self._reached: dict[int, int | None] = {}  # number of the oldest turn that was read, and its place
        self._closed = False

    @property
    def unsaved(self) -> int:
        """Events that are in memory only, because they could not be written."""
        return len(self._unsaved)

    def read(self) -> Kept:
        """What there is, the turns themselves excepted; takes the same time however many they are.

        Raises:
            StoreCorrupt: an event is none of this log's.
        """
        with self._checked():
            return self._kept()

    def older(self, first: int, count: int) -> list[Turn]:
        """The turns right before number ``first``: at least ``count`` of them, or all.

        A number that was taken back and given out again counts as it was last.
        """
        found: list[Turn] = []
        wanted = first - 1
        with self._lock, self._checked():
            before = self._reached.get(first)
            while wanted and len(found) < count:
                page = self._log.newest(self.name, TURN, limit=max(count, PAGE), before=before)
                for event in reversed(page):
                    if event.data["number"] == wanted:
                        found.append(turn_from_dict(event.data))
                        wanted -= 1
                if not page:
                    raise ValueError(f"turn {wanted} is missing")
                before = page[0].seq
            self._reached = {wanted + 1: before}
        return found[::-1]

    def append(self, entries: Sequence[Entry]) -> None:
        """Append events in order; with a full disk they wait in memory, and the first time a warning says so.

        After any other error they wait as well: the next call begins with them.

        Raises:
            StorageError: the file could not be written.
        """
        with self._lock:
            full = self._append([dataclasses.replace(one, at=one.at or time.time()) for one in entries])
        if full is not None:  # last: a caller may have made warnings errors
            warnings.warn(NotSaved(f"{full} The conversation is kept in memory until there is room."), stacklevel=3)

    def events(self) -> list[Event]:
        """All that was written, oldest first."""
        return self._log.read_since(session=self.name)

    def save(self) -> None:
        """Write what could not be written before.

        Raises:
            StorageFull: there still is no room.
        """
        with self._lock:
            if self._unsaved:
                self._retry()

    def forget(self) -> None:
        """Delete every event."""
        with self._lock:
            self._log.forget(self.name)
            self._unsaved = []
            self._log.shrink()  # last: should it fail, the conversation is forgotten all the same

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
                self._log.close()
                self._release()

    def _kept(self) -> Kept:
        newest = self._log.newest(self.name, TURN)
        rewinds = self._log.read_since(session=self.name, kinds=(REWIND,))
        later = [event for event in rewinds if not newest or event.seq > newest[0].seq]
        count = int(newest[0].data["number"]) if newest else 0
        done = self._log.newest(self.name, DONE)
        return Kept(
            count=int(later[-1].data["keep"]) if later else count,
            taken_back={float(at) for event in rewinds for at in event.data["taken_back"]},
            serial=int(newest[0].data["serial"]) if newest else 0,
            done=dict(done[0].data["jobs"]) if done else {},
            view=_view(self._log.newest(self.name, VIEW), rewinds),
        )

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = self.place or Path("(in memory)")
            raise StoreCorrupt(where, f"it is no conversation of this workbench ({error!r})") from error

    def _append(self, entries: Sequence[Entry]) -> StorageFull | None:
        """Write, or keep; returns the reason when these are the first that had to be kept."""
        first = not self._unsaved
        self._unsaved += entries  # before anything can go wrong: a turn that is missing would end the conversation
        try:
            if first:
                self._write(len(self._unsaved))
            else:
                self._retry()
        except StorageFull as full:
            return full if first else None
        return None

    def _retry(self) -> None:
        """Write what waits; what an attempt that seemed to fail has written after all is not written again."""
        written = self._log.read_since(self._seq, session=self.name)
        if written:
            self._unsaved, self._seq = self._unsaved[len(written) :], written[-1].seq
        self._write(min(1, len(self._unsaved)))  # one to see whether there is room, before all are written for nothing
        self._write(len(self._unsaved))

    def _write(self, count: int) -> None:
        if count:
            places = self._log.append_many(self.name, self._unsaved[:count])
            self._unsaved, self._seq = self._unsaved[count:], places.stop - 1

    def _release(self) -> None:
        if self._folder_lock is not None:
            self._folder_lock.release()


def rewind_entry(keep: int, taken_back: Iterable[float]) -> Entry:
    """The event of going back: so many turns stay, and those said at these times do not."""
    return Entry(REWIND, {"keep": keep, "taken_back": sorted(taken_back)})


def view_entry(view: View) -> Entry:
    """The event of a compression."""
    return Entry(VIEW, {"messages": _dicts(view.messages), "turns": view.turns, "opening": _dicts(view.opening)})


def done_entry(jobs: Mapping[str, Mapping[str, Any]]) -> Entry:
    """The event of background work: how far every job has come."""
    return Entry(DONE, {"jobs": {name: dict(state) for name, state in jobs.items()}})


def _view(found: Sequence[Event], rewinds: Sequence[Event]) -> View | None:
    """The view of an event, unless a rewind since went back behind its end."""
    for event in found:
        turns = int(event.data["turns"])
        if not any(rewind.seq > event.seq and int(rewind.data["keep"]) < turns for rewind in rewinds):
            return View(_messages(event.data["messages"]), turns, _messages(event.data["opening"]))
    return None


def _dicts(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [message.to_dict() for message in messages]


def _messages(values: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message.from_mapping(message) for message in values)
