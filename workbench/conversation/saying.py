"""What may be said to a session, and what it may open with, as messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.errors import InvalidSettings
from workbench.interfaces import Message

Saying = str | Message | Mapping[str, Any]
"""What the user says: a text, or a message of the user's role."""


def asked_of(message: Saying) -> Message:
    """What the user says as a message.

    Raises:
        InvalidSettings: it is something else, or holds what is no JSON value and so could not be kept.
    """
    given = Message.user(message) if isinstance(message, str) else message
    asked = Message.from_mapping(given) if isinstance(given, Mapping) else given
    if not isinstance(asked, Message) or asked.role != "user":
        raise InvalidSettings(f"A turn begins with what the user says: a text or Message.user('…'); got {message!r}.")
    try:
        json.dumps(asked.to_dict(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidSettings(f"What is said must be JSON values: {error}.") from error
    return asked


def opening_of(system: Saying | Sequence[Message | Mapping[str, Any]] | None) -> tuple[Message, ...]:
    """The messages a conversation opens with."""
    if system is None:
        return ()
    if isinstance(system, str):
        return (Message.system(system),)
    given = (system,) if isinstance(system, Message | Mapping) else system
    return tuple(one if isinstance(one, Message) else Message.from_mapping(one) for one in given)
