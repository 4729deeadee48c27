"""One exchange of a conversation: what the user said, what was answered, and what was done for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from workbench.interfaces import Completion, Compression, FinishReason, Message, Recollection
from workbench.telemetry import Trace

SEPARATOR = "\n\n"
"""Between the narrative and a confirmation."""

Ended = Literal["stop", "length", "cancelled", "broken"]
"""How an answer ended; "broken": the engine went away. The answer of the last two is what there was until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn that has ended.

    Attributes:
        number: its place in the conversation, from 1.
        asked: the user's message.
        text: the answer as it was streamed, a tool's confirmation included.
        confirmation: what the tools said at its end, for the reader only: a model that is shown it would imitate it.
        ended: how the answer ended.
        at: when it was asked, in seconds since 1970; its messages have this time in the memory.
        options: of its request, as far as they are JSON values.
        completion: of the engine; ``None``: it broke off, or the turn was read back from disk.
        recalled: what the memory gave and the prompt held.
        compression: what the compressor did before it; ``None``: nothing.
        calls: of tools.
        route: "fast: …" or "slow: …" and why.
        trace: what took how long; ``None`` for one that was read back from disk.
        kept: whether it is part of the conversation: an answer that broke off or was cancelled before its first text
            leaves it as it was.
        serial: counts the session's turns, those that were taken back included; never given out twice.
    """

    number: int
    asked: Message
    text: str
    ended: Ended
    at: float
    options: Mapping[str, Any] = field(default_factory=dict)
    completion: Completion | None = field(default=None, repr=False)
    confirmation: str = ""
    recalled: tuple[Recollection, ...] = field(default=(), repr=False)
    compression: Compression | None = field(default=None, repr=False)
    calls: tuple[Any, ...] = field(default=(), repr=False)
    route: str = ""
    trace: Trace | None = field(default=None, repr=False, compare=False)
    kept: bool = True
    serial: int = 0

    @property
    def user(self) -> str:
        """What the user said."""
        return self.asked.content

    @property
    def finish(self) -> FinishReason | None:
        """The engine's own reason; ``None``: it gave none, for it broke off."""
        return None if self.ended == "broken" else self.ended

    @property
    def answer(self) -> Message:
        """The answer as a message of the conversation, without the confirmation."""
        return Message.assistant(
            self.text.removesuffix(SEPARATOR + self.confirmation) if self.confirmation else self.text
        )

    @property
    def messages(self) -> tuple[Message, Message]:
        """What it adds to the conversation."""
        return self.asked, self.answer


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """What several turns add to the conversation, in order."""
    return [message for turn in turns for message in turn.messages]


def turn_to_dict(turn: Turn) -> dict[str, Any]:
    """What is kept of a turn, as JSON values."""
    return {
        "number": turn.number,
        "serial": turn.serial,
        "asked": turn.asked.to_dict(),
        "text": turn.text,
        "confirmation": turn.confirmation,
        "ended": turn.ended,
        "at": turn.at,
        "options": dict(turn.options),
        "route": turn.route,
    }


def turn_from_dict(values: Mapping[str, Any]) -> Turn:
    """The inverse of :func:`turn_to_dict`.

    Raises:
        KeyError, TypeError, ValueError: the values are no turn.
    """
    if values["ended"] not in get_args(Ended):
        raise ValueError(f"a turn ended {values['ended']!r}")
    return Turn(
        number=int(values["number"]),
        asked=Message.from_mapping(values["asked"]),
        text=str(values["text"]),
        confirmation=str(values.get("confirmation", "")),
        ended=values["ended"],
        at=float(values["at"]),
        options=dict(values["options"]),
        route=str(values["route"]),
        serial=int(values["serial"]),
    )
