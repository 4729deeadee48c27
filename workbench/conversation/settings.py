"""How a conversation is held: when it is compressed, how much is recalled, how much work may wait."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import InvalidSettings, UnknownName
from workbench.telemetry import AlertSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSettings:
    """Settings of a :class:`workbench.conversation.Session`.

    Attributes:
        n_ctx: tokens to plan for; ``None``: the engine's, or 4,096 where its context is open or not known.
        answer_tokens: room kept for the answer when a turn gives no ``max_tokens``; ``None``: a quarter of the
            context, 512 at most. A user's message that needs this room gets it, and the answer is shorter.
        compress_at: share of the room for the prompt above which the conversation is compressed.
        compress_to: share it is compressed to: further than needed, so that not every turn compresses, and the
            beginning of the prompt (and its KV) stays the same for several turns.
        recall_k: messages a memory is asked for.
        recall_share: share of the room for the prompt that what is recalled may take.
        relationships: ask the memory for a note on how those the user names stand to each other.
        backlog: turns whose background work may wait; the next one waits for room.
        alerts: when a turn is slow, or the caches answer too little, to say so; ``None``: never.
        options: options of every request (``temperature``, ``preset``, …); a turn's own come before them.

    Raises:
        InvalidSettings: a value out of its range.
    """

    n_ctx: int | None = None
    answer_tokens: int | None = None
    compress_at: float = 0.8
    compress_to: float = 0.5
    recall_k: int = 10
    recall_share: float = 0.25
    relationships: bool = False
    backlog: int = 64
    alerts: AlertSettings | None = field(default_factory=AlertSettings)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.compress_to <= self.compress_at <= 1:
            raise InvalidSettings(
                "compress_to and compress_at are shares of the prompt's room, the first not above the second; "
                f"got {self.compress_to!r} and {self.compress_at!r}."
            )
        if not 0 < self.recall_share <= 1:
            raise InvalidSettings(f"recall_share must be above 0 and at most 1, not {self.recall_share!r}.")
        for name in ("n_ctx", "answer_tokens", "recall_k", "backlog"):
            value = getattr(self, name)
            optional = name in ("n_ctx", "answer_tokens")
            if not (optional and value is None) and (not isinstance(value, int) or value < 1):
                raise InvalidSettings(f"{name} must be a whole number of at least 1, not {value!r}.")

    def replace(self, **changes: Any) -> ConversationSettings:
        """A copy with some fields changed.

        Raises:
            UnknownName: a name that is no setting; lists the known ones.
        """
        for name in changes:
            if name not in self.__slots__:
                raise UnknownName("conversation setting", name, self.__slots__)
        return dataclasses.replace(self, **changes)
