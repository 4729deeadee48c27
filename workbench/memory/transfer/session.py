"""A whole session as a file: everything that has happened in it, so that any strategy goes on where another was."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from workbench.errors import InvalidSettings, StoreCorrupt, UnknownName
from workbench.interfaces import Memory
from workbench.memory.journal import MESSAGE
from workbench.memory.transfer.conversation import conversation_of, exact_name
from workbench.memory.transfer.logged import logged, some
from workbench.memory.transfer.reading import read_file
from workbench.memory.transfer.schema import (
    SESSION,
    AnyEvent,
    ConversationFile,
    EnrichedEvent,
    FeedbackEvent,
    MessageEvent,
    ReadEvent,
    RecallEvent,
    RollbackEvent,
    SessionFile,
    SummaryEvent,
    TrialEvent,
    heading,
)
from workbench.storage import Entry, write_json

OWN = frozenset({"archive"})
"""Kinds that say what a memory has put into its own stores: not true of another's, which fills them anew."""

ON_CONFLICT = ("error", "rename", "replace")


def export_session(memory: Memory, session: str, path: Path | str) -> None:
    """Write all that has happened in a session; the file is the old one or the whole new one.

    Args:
        memory: one with an event log, as every strategy of this package is.
        session: its name.
        path: of the file; what is there is replaced.

    Raises:
        UnknownName: there is no such session.
        InvalidSettings: the memory has no event log.
        StorageFull: there is no room; ``path`` is as it was.
    """
    happened = some(logged(memory).events(session), session, memory)
    events = [
        {"kind": event.kind, "at": event.at, "data": dict(event.data)} for event in happened if event.kind not in OWN
    ]
    write_json(path, {**heading(SESSION, session), "events": events})


def import_session(
    memory: Memory,
    path: Path | str,
    session: str | None = None,
    on_conflict: Literal["error", "rename", "replace"] = "error",
) -> str:
    """Make a session of a file: exported here, a conversation, or another program's list of messages.

    All of it, or the memory is as it was. The strategy may be another than the one that wrote the file. Messages
    without a time get that of the import.

    Args:
        memory: one with an event log, as every strategy of this package is.
        path: of the file.
        session: its name here; ``None``: the name in the file.
        on_conflict: if there is a session of that name: "error"; "rename": "name (2)", "name (3)", …; "replace": the
            one that is there is deleted.

    Returns:
        The name it has here.

    Raises:
        InvalidSettings: there is one of that name; the memory has no event log; there is nothing in the file.
        UnknownName: ``on_conflict`` is none of the three.
        UsageError: there is no such file.
        StoreCorrupt: the file is damaged, of an unknown format or of a newer version; names the place.
        StorageFull: there is no room.
    """
    if on_conflict not in ON_CONFLICT:
        raise UnknownName("way out of a conflict", on_conflict, ON_CONFLICT)
    target, path = logged(memory), Path(path)
    file = read_file(path)
    entries = _said(file, path) if isinstance(file, ConversationFile) else _happened(file, path)
    name = exact_name(file, path) if session is None else session
    if on_conflict == "rename":
        name = _free(name, target.sessions())
    target.restore(name, entries, replace=on_conflict == "replace")
    return name


def _said(file: ConversationFile, path: Path) -> list[Entry]:
    """Events of a conversation: its messages."""
    conversation = conversation_of(file, path)
    if not conversation.messages:
        raise InvalidSettings(f"{path} has no messages, so there is no session to make of it.")
    pairs = zip(conversation.messages, conversation.times, strict=True)
    return [Entry(MESSAGE, {"index": index, **message.to_dict()}, at) for index, (message, at) in enumerate(pairs)]


def _happened(file: SessionFile, path: Path) -> list[Entry]:
    """Events of a session that agree with one another."""
    _check_order(file.events, path)
    return [Entry(event.kind, _plain(event.data), event.at) for event in file.events if event.kind not in OWN]


def _check_order(events: Sequence[AnyEvent], path: Path) -> None:
    """Messages count from 0 without a gap, and nothing speaks of what has not been by then."""
    said = adopted = 0
    for place, event in enumerate(events):
        if isinstance(event, TrialEvent):
            adopted += event.data.adopted
        elif isinstance(event, RollbackEvent) and event.data.to > adopted:
            raise StoreCorrupt(
                path, f"events[{place}].data.to: there are {adopted} weightings to go back to. Export it again."
            )
        elif isinstance(event, MessageEvent):
            if event.data.index != said:
                raise StoreCorrupt(
                    path,
                    f"events[{place}].data.index: {said} is wanted here, not {event.data.index}: messages count from 0 "
                    "and none stands twice. Export it again.",
                )
            said += 1
        elif any(not isinstance(index, int) or not 0 <= index < said for index in _speaks_of(event)):
            raise StoreCorrupt(
                path,
                f"events[{place}].data: it speaks of a message that has not been said by then; there are {said}. "
                "Export it again.",
            )
    if not said:
        raise InvalidSettings(f"{path} has no messages, so there is no session to make of it.")


def _speaks_of(event: AnyEvent) -> list[Any]:
    """Indices of the messages an event is about."""
    if isinstance(event, FeedbackEvent | EnrichedEvent):
        return [event.data.index]
    if isinstance(event, RecallEvent):
        return [pair[0] for pair in event.data.found]
    if isinstance(event, SummaryEvent | ReadEvent):
        read = [event.data.upto - 1] if event.data.upto else []
        return read if isinstance(event, SummaryEvent) else [*read, *(pair[0] for pair in event.data.unclear)]
    return []


def _plain(data: BaseModel | dict[str, Any]) -> dict[str, Any]:
    """As it stood in the file: nothing added that was not there."""
    return data.model_dump(exclude_unset=True) if isinstance(data, BaseModel) else data


def _free(name: str, taken: Sequence[str]) -> str:
    """``name``, or with the first number that makes it free."""
    if name not in taken:
        return name
    return next(tried for number in count(2) if (tried := f"{name} ({number})") not in taken)
