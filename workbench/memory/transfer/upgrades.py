"""Files of older versions, and of other programs, brought to the present version one step at a time.

A step takes the plain JSON of version *n* and returns that of version *n* + 1; it is never changed once released.
Version 0 of a conversation is what other programs write: a bare list of messages, in OpenAI's shape or ShareGPT's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.errors import StoreCorrupt
from workbench.memory.transfer.schema import CONVERSATION, VERSIONS

Document = dict[str, Any]

LISTS = ("messages", "conversations", "conversation")
"""Keys under which other programs keep the list of messages."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
}
"""Who speaks, as other programs call it."""

TIMES = ("at", "timestamp", "created_at", "create_time")


class Unreadable(ValueError):
    """A place in the document and what is wrong there; the reader adds the file."""

    def __init__(self, place: str, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"{place}: {problem}" if place else problem)


def from_other_programs(document: Document) -> Document:
    """Conversation, version 0 → 1: roles and times as they are called here; what has no place here is left out."""
    messages = [_message(message, f"[{place}]") for place, message in enumerate(document["messages"])]
    return {"format": CONVERSATION, "version": 1, "session": document["session"], "messages": messages}


STEPS: dict[str, dict[int, Callable[[Document], Document]]] = {CONVERSATION: {0: from_other_programs}}
"""Format → version → the step from it to the next."""


def upgraded(value: Any, path: Path) -> Document:
    """A document of the present version.

    Raises:
        StoreCorrupt: it is of no format or version that is known; a newer one names the remedy.
        Unreadable: a message of another program's that is none.
    """
    document = _as_document(value, path)
    kind, version = document["format"], document["version"]
    newest = VERSIONS[kind]
    if version > newest:
        raise StoreCorrupt(
            path,
            f"it has version {version} of {kind}, this workbench reads up to {newest}. Use the workbench that wrote "
            "it, or a newer one.",
        )
    steps = STEPS.get(kind, {})
    for number in range(version, newest):
        if number not in steps:
            raise StoreCorrupt(path, f"there never was a version {version} of {kind}. Export it again.")
        document = steps[number](document)
    return document


def _as_document(value: Any, path: Path) -> Document:
    if isinstance(value, dict) and "format" in value:
        if not isinstance(value["format"], str) or value["format"] not in VERSIONS:
            known = " and ".join(sorted(VERSIONS))
            raise StoreCorrupt(path, f"format: {value['format']!r} is not known; there are {known}.")
        if type(value.get("version")) is not int:
            raise StoreCorrupt(path, f"version: a whole number is wanted here, not {value.get('version')!r}.")
        return value
    return {"format": CONVERSATION, "version": 0, "session": path.stem, "messages": _plain_list(value, path)}


def _plain_list(value: Any, path: Path) -> list[Any]:
    """The list of messages in what another program wrote."""
    if isinstance(value, dict):
        found = [value[key] for key in LISTS if isinstance(value.get(key), list)]
        value = found[0] if found else None
    if not isinstance(value, list):
        raise StoreCorrupt(
            path,
            "it is neither a session nor a conversation of workbench, nor a list of messages like "
            '[{"role": "user", "content": "…"}].',
        )
    nested = [item for item in value if isinstance(item, dict) and any(isinstance(item.get(k), list) for k in LISTS)]
    if len(nested) == 1 and len(value) == 1:
        return _plain_list(nested[0], path)
    if nested:
        raise StoreCorrupt(path, f"it holds {len(nested)} conversations. Put each into a file of its own.")
    return value


def _message(message: Any, place: str) -> Document:
    if not isinstance(message, dict):
        raise Unreadable(place, f"a message is wanted here, not {_shown(message)}.")
    role = message.get("role", message.get("from"))
    if not isinstance(role, str) or role not in ROLES:
        raise Unreadable(f"{place}.role", f"{_shown(role)} is no role; known: {', '.join(sorted(ROLES))}.")
    kept = {key: message[key] for key in ("name", "tool_calls", "tool_call_id") if message.get(key)}
    content = message.get("content", message.get("value"))
    return {"role": ROLES[role], "content": _text(content, f"{place}.content"), **kept, "at": _time(message, place)}


def _text(content: Any, place: str) -> str:
    """A message's text: as it is, none (beside tool calls), or a list of text parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Unreadable(place, f"a text is wanted here, not {_shown(content)}.")
    parts = []
    for number, part in enumerate(content):
        text = part.get("text") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise Unreadable(f"{place}[{number}]", "only text can be remembered. Take this part out.")
        parts.append(text)
    return "\n".join(parts)


def _time(message: Mapping[str, Any], place: str) -> float | None:
    """When it was said: a number of seconds since 1970, or ISO 8601 (without a zone: UTC)."""
    key = next((key for key in TIMES if message.get(key) is not None), None)
    if key is None:
        return None
    moment = message[key]
    if isinstance(moment, str):
        try:
            read = datetime.fromisoformat(moment)
        except ValueError as error:
            raise Unreadable(f"{place}.{key}", f"{moment!r} is no time in ISO 8601.") from error
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise Unreadable(f"{place}.{key}", f"seconds since 1970 are wanted here, not {_shown(moment)}.")
    return float(moment)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
