"""Conversations for templates that are strict about roles: no system message, user and assistant in turn.

Gemma's and Mistral's templates raise an error for what others render. llama.cpp (`common/chat.cpp`, its polyfills)
folds the system message into the user's in that case; so do we, and we join messages of one role that follow one
another, which compression and late notes bring about. Knows messages only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from workbench.interfaces import Message

LEFT_OUT = Message.user("[…]")
"""Where a conversation begins with an answer: what was said before it is left out."""


def gentler(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """The same conversation in ways that fewer templates refuse, the least changed first; no way twice."""
    seen = [list(messages)]
    for way in (_joined(messages), _joined(_without_system(messages))):
        if way not in seen:
            seen.append(way)
            yield way


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """Each system message as part of the user's message that follows it; at the end, as one of its own."""
    kept: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message.role == "system":
            waiting.append(message.content)
        elif message.role == "user" and waiting:
            kept.append(dataclasses.replace(message, content="\n\n".join([*waiting, message.content])))
            waiting = []
        else:
            kept.append(message)
    return [*kept, Message.user("\n\n".join(waiting))] if waiting else kept


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Messages of one role that follow one another as one, and a user's message first; tool calls stay as they are."""
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else None
        if before is not None and _plain(before) and _plain(message) and before.role == message.role:
            joined[-1] = dataclasses.replace(before, content=f"{before.content}\n\n{message.content}")
        else:
            joined.append(message)
    first = next((place for place, message in enumerate(joined) if message.role != "system"), len(joined))
    if first < len(joined) and joined[first].role == "assistant":
        joined.insert(first, LEFT_OUT)
    return joined


def _plain(message: Message) -> bool:
    return message.role in ("system", "user", "assistant") and not message.tool_calls
