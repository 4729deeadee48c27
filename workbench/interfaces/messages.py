"""What is put to a model: messages of a conversation, raw text or tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from workbench.errors import InvalidSettings, UnknownName

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        content: the text.
        name: who speaks, where several share a role.
        tool_calls: calls an assistant makes, as plain dictionaries (OpenAI's shape).
        tool_call_id: the call a tool message answers.
    """

    role: str
    content: str
    name: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UnknownName("role", self.role, ROLES)

    @classmethod
    def system(cls, content: str) -> Self:
        """A system message."""
        return cls("system", content)

    @classmethod
    def user(cls, content: str) -> Self:
        """A user's message."""
        return cls("user", content)

    @classmethod
    def assistant(cls, content: str) -> Self:
        """An assistant's message."""
        return cls("assistant", content)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """A message from a dictionary in OpenAI's shape; ``content: None`` (beside tool calls) is the empty text.

        Raises:
            UnknownName: a key that is no field of a message, or a role nobody knows.
            InvalidSettings: the role or the text is missing or of the wrong type.
        """
        for key in values:
            if key not in cls.__slots__:
                raise UnknownName("message field", str(key), cls.__slots__)
        content = values.get("content") or ""
        if not isinstance(values.get("role"), str) or not isinstance(content, str):
            raise InvalidSettings(
                f"A message needs a role and a text, like {{'role': 'user', …}}; got {dict(values)!r}."
            )
        return cls(**{**values, "content": content, "tool_calls": tuple(values.get("tool_calls") or ())})

    def to_dict(self) -> dict[str, Any]:
        """As a chat template sees it: empty fields left out."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, ())}


Prompt = str | Sequence[Message] | Sequence[int]
"""Raw text, a conversation (goes through the chat template), or tokens as they are."""


def as_prompt(prompt: Any) -> Prompt:
    """``prompt`` in one of the three shapes of :data:`Prompt`, frozen."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Message):
        return (prompt,)
    items = tuple(prompt) if isinstance(prompt, Iterable) and not isinstance(prompt, bytes | Mapping) else None
    if items is not None and all(isinstance(item, Message | Mapping) for item in items):
        return tuple(item if isinstance(item, Message) else Message.from_mapping(item) for item in items)
    if items is not None and all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items):
        return tuple(int(item) for item in items)
    raise InvalidSettings(
        f"A prompt is a text, a list of messages or a list of token ids, not {type(prompt).__name__}. "
        "A message is Message.user('…') or {'role': 'user', 'content': '…'}."
    )
