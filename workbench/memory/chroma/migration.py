"""From one Chroma collection that many sessions share, told apart by their metadata, to a session each.

Idempotent and safe against crashes: the messages of a step and the ids of the records they were made of are appended
to the event log in one transaction, so a second run, whenever the first one ended, takes only what is missing. The old
collection is read, never changed; delete its folder when the new memory is what you wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.memory.base import LoggedMemory
from workbench.memory.chroma.client import PLACE, open_chroma, translated
from workbench.storage import Entry, FolderLock

MIGRATED = "migrated"

ROLES: Mapping[str, str] = {"human": "user", "ai": "assistant", "bot": "assistant"}
"""Other names of roles, as collections made by chat frameworks have them."""

_STEP = 500  # records per transaction


@dataclass(frozen=True, slots=True)
class _Record:
    id: str
    session: str
    message: Message
    at: float | None


def migrate_shared_collection(
    folder: Path | str,
    memory: LoggedMemory[Any],
    *,
    collection: str,
    session_key: str = "session",
    role_key: str = "role",
    time_key: str = "timestamp",
) -> dict[str, int]:
    """Take the records of a shared collection over into ``memory``; returns session → messages taken in this run.

    Within a session they are put in order of time, those of the same time as the collection has them. The vectors are
    not taken: which model made them is not recorded there, so the archive makes its own.

    Args:
        folder: of the Chroma that has the collection.
        memory: where the messages are to go; any that keeps an event log.
        collection: its name.
        session_key: metadata key with a record's session.
        role_key: metadata key with who spoke; without it: the user.
        time_key: metadata key with when, in seconds since 1970 or ISO 8601; without it: now.

    Raises:
        InvalidSettings: there is no such folder or collection, or a record without a document, session or sound values;
            nothing has been taken then.
        StoreInUse: another process of this package has the folder. StorageFull: no room; run it again.
    """
    folder = Path(folder)
    if not (folder / "chroma.sqlite3").exists():
        raise InvalidSettings(f"There is no Chroma in {folder}. Give the folder that has chroma.sqlite3 in it.")
    keys = {"session": session_key, "role": role_key, "time": time_key}
    with FolderLock(folder):
        source, records = _read(folder, collection, keys)
    sessions: dict[str, list[_Record]] = {}
    for record in sorted(records, key=lambda one: one.at or 0.0):  # stable: the collection's order among equals
        sessions.setdefault(record.session, []).append(record)
    return {session: _take(memory, source, session, found) for session, found in sessions.items()}


def _read(folder: Path, name: str, keys: Mapping[str, str]) -> tuple[str, list[_Record]]:
    """Id of the collection, and all its records."""
    chroma = open_chroma(folder)
    with translated(folder):
        ids = {found.name: str(found.id) for found in chroma.list_collections(None, None, *PLACE)}
    if name not in ids:
        raise InvalidSettings(f"There is no collection {name!r} in {folder}. Known: {', '.join(sorted(ids))}.")
    with translated(folder):
        rows = list(_rows(chroma, ids[name]))
    return ids[name], [_record(record, text, metadata or {}, keys) for record, text, metadata in rows]


def _rows(chroma: Any, collection: str) -> Iterator[tuple[str, str | None, Mapping[str, Any] | None]]:
    for start in range(0, chroma.count(collection, *PLACE), _STEP):
        page = chroma.get(collection, None, None, _STEP, start, None, ["documents", "metadatas"], *PLACE)
        yield from zip(page.ids, page.documents, page.metadatas, strict=True)


def _record(record: str, text: str | None, metadata: Mapping[str, Any], keys: Mapping[str, str]) -> _Record:
    session, role = metadata.get(keys["session"]), metadata.get(keys["role"], "user")
    if text is None or not isinstance(session, str):
        raise InvalidSettings(
            f"Record {record!r} has no document or no session: give session_key=…; its metadata has "
            f"{', '.join(sorted(metadata)) or 'nothing'}."
        )
    return _Record(record, session, Message(ROLES.get(str(role), str(role)), text), _moment(record, metadata, keys))


def _moment(record: str, metadata: Mapping[str, Any], keys: Mapping[str, str]) -> float | None:
    value = metadata.get(keys["time"])
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else float(value)
    except (TypeError, ValueError) as error:
        raise InvalidSettings(f"Record {record!r}: {value!r} under {keys['time']!r} is no time ({error}).") from error


def _take(memory: LoggedMemory[Any], source: str, session: str, records: list[_Record]) -> int:
    """Append what has not been taken yet."""
    done = {
        record
        for event in memory.events(session)
        if event.kind == MIGRATED and event.data["collection"] == source
        for record in event.data["ids"]
    }
    wanted = [record for record in records if record.id not in done]
    for start in range(0, len(wanted), _STEP):
        step = wanted[start : start + _STEP]
        mark = Entry(MIGRATED, {"collection": source, "ids": [record.id for record in step]})
        memory.take_over(session, [record.message for record in step], [record.at for record in step], mark)
    return len(wanted)
