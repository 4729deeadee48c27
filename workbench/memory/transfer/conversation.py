"""What was said in one session, as a file a person can read and another program can make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import StoreCorrupt
from workbench.interfaces import Memory, Message
from workbench.memory.journal import MESSAGE
from workbench.memory.transfer.logged import logged, some
from workbench.memory.transfer.reading import read_file
from workbench.memory.transfer.schema import CONVERSATION, ConversationFile, MessageEvent, SessionFile, heading
from workbench.storage import write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was said in one session.

    Attributes:
        name: of the session.
        messages: in order.
        times: when each was said, in seconds since 1970; ``None``: not known.
    """

    name: str
    messages: tuple[Message, ...]
    times: tuple[float | None, ...]


def save_conversation(memory: Memory, session: str, path: Path | str) -> None:
    """Write the messages of a session and their times; the file is the old one or the whole new one.

    Args:
        memory: one with an event log, as every strategy of this package is.
        session: its name.
        path: of the file; what is there is replaced.

    Raises:
        UnknownName: there is no such session.
        InvalidSettings: the memory has no event log.
        StorageFull: there is no room; ``path`` is as it was.
    """
    events = some(logged(memory).events(session), session, memory)
    messages: list[dict[str, Any]] = []
    for event in events:
        if event.kind == MESSAGE:
            said = {key: value for key, value in event.data.items() if key != "index"}
            messages.append({**said, "at": event.at})
    write_json(path, {**heading(CONVERSATION, session), "messages": messages})


def load_conversation(path: Path | str) -> Conversation:
    """Read a conversation: saved here, the messages of an exported session, or another program's list of messages.

    A list of ``{"role", "content"}`` (OpenAI's shape) or ``{"from", "value"}`` (ShareGPT's) is named for the file.

    Raises:
        UsageError: there is no such file.
        StoreCorrupt: it is damaged, of an unknown format or of a newer version; names the place.
    """
    return conversation_of(read_file(path), Path(path))


def conversation_of(file: ConversationFile | SessionFile, path: Path) -> Conversation:
    """A checked file as a conversation."""
    if isinstance(file, ConversationFile):
        return Conversation(
            name=exact_name(file, path),
            messages=tuple(saved.message() for saved in file.messages),
            times=tuple(saved.at for saved in file.messages),
        )
    said = [event for event in file.events if isinstance(event, MessageEvent)]
    return Conversation(
        name=exact_name(file, path),
        messages=tuple(event.data.message() for event in said),
        times=tuple(event.at for event in said),
    )


def exact_name(file: ConversationFile | SessionFile, path: Path) -> str:
    """The session's name.

    Raises:
        StoreCorrupt: its bytes are none of a text.
    """
    try:
        return file.name
    except UnicodeDecodeError as error:
        raise StoreCorrupt(path, "session_utf8: no UTF-8. Take the key out, or export it again.") from error
