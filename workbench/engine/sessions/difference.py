"""Where two conversations part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.engine.reuse.slot import common_prefix
from workbench.interfaces import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDiff:
    """What two conversations have in common, and how each goes on.

    Attributes:
        common_tokens: leading tokens that are the same: what their KV caches share.
        common_messages: leading messages that are the same.
        mine: the messages after that of the one, as text; empty if there are none.
        theirs: those of the other.
    """

    common_tokens: int
    common_messages: int
    mine: str
    theirs: str

    @property
    def text(self) -> str:
        """For reading: what is common in a line, then what each has on its own."""
        common = f"{self.common_messages} messages and {self.common_tokens} tokens in common"
        if not self.mine and not self.theirs:
            return f"{common}; the same conversation"
        return f"{common}\n--- mine\n{self.mine or '(ends here)'}\n--- theirs\n{self.theirs or '(ends here)'}"

    def __str__(self) -> str:
        return self.text


def compare(
    mine: Sequence[Message], theirs: Sequence[Message], my_tokens: Sequence[int], their_tokens: Sequence[int]
) -> SessionDiff:
    """Compare two conversations, each given as messages and as tokens."""
    shorter = min(len(mine), len(theirs))
    common = next((place for place in range(shorter) if mine[place] != theirs[place]), shorter)
    return SessionDiff(
        common_tokens=common_prefix(my_tokens, their_tokens),
        common_messages=common,
        mine=_transcript(mine[common:]),
        theirs=_transcript(theirs[common:]),
    )


def _transcript(messages: Sequence[Message]) -> str:
    return "\n".join(f"{message.role}: {message.content}" for message in messages)
