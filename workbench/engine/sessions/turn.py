"""The turns of a conversation, each linked to the one before it: what was asked, what was answered, in which tokens.

Turns never change, so conversations that have a beginning in common share it: a fork is one reference, a rewind one
step back (persistent lists; Driscoll et al. 1989). Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from workbench.interfaces import Message

Ended = Literal["stop", "length", "cancelled", "broken"]
"""How an answer ended; "broken": the engine went away. The answer of the last two is what there was until then."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Turn:
    """One exchange.

    Attributes:
        before: the turn before it; ``None``: it is the first.
        asked: the messages put to the model, the opening ones (system) with the first turn.
        answer: what it said.
        ended: how the answer ended.
        prompt: tokens this turn added to the context before the answer; none with an engine that shows no tokens.
        output: tokens of the answer; ``None``: only its text is known.
        rendered: what this turn added to the chat template's text, up to where the answer begins.
        whole: ``prompt`` and ``rendered`` begin at the beginning instead of behind the turn before.
    """

    before: Turn | None = field(repr=False)
    asked: tuple[Message, ...]
    answer: Message
    ended: Ended
    prompt: tuple[int, ...] = field(default=(), repr=False)
    output: tuple[int, ...] | None = field(default=None, repr=False)
    rendered: str = field(default="", repr=False)
    whole: bool = True


def chain(last: Turn | None) -> list[Turn]:
    """All turns up to ``last``, oldest first."""
    turns = []
    while last is not None:
        turns.append(last)
        last = last.before
    return turns[::-1]


def messages_of(last: Turn | None) -> tuple[Message, ...]:
    """The conversation up to and with ``last``."""
    return tuple(message for turn in chain(last) for message in (*turn.asked, turn.answer))


def tokens_of(last: Turn | None) -> list[int]:
    """The tokens the model has seen and said up to and with ``last``."""
    parts: list[Sequence[int]] = []
    for turn in _since_whole(last):
        parts += [turn.prompt, turn.output or ()]
    return [token for part in parts for token in part]


def rendered_of(last: Turn | None) -> str:
    """The chat template's text up to where the answer of ``last`` begins."""
    return "".join(turn.rendered for turn in _since_whole(last))


def _since_whole(last: Turn | None) -> list[Turn]:
    turns = []
    while last is not None:
        turns.append(last)
        last = None if last.whole else last.before
    return turns[::-1]


def turn_to_dict(turn: Turn) -> dict[str, Any]:
    """A turn as JSON values; the turn before it is not among them."""
    return {
        "asked": [message.to_dict() for message in turn.asked],
        "answer": turn.answer.to_dict(),
        "ended": turn.ended,
        "prompt": list(turn.prompt),
        "output": None if turn.output is None else list(turn.output),
        "rendered": turn.rendered,
        "whole": turn.whole,
    }


def turn_from_dict(values: Mapping[str, Any], before: Turn | None) -> Turn:
    """The inverse of :func:`turn_to_dict`.

    Raises:
        KeyError, TypeError, ValueError: the values are no turn.
    """
    output = values["output"]
    if values["ended"] not in get_args(Ended) or not isinstance(values["whole"], bool):
        raise ValueError("a turn has an unknown ending or mark")
    return Turn(
        before=before,
        asked=tuple(Message.from_mapping(message) for message in values["asked"]),
        answer=Message.from_mapping(values["answer"]),
        ended=values["ended"],
        prompt=_token_ids(values["prompt"]),
        output=None if output is None else _token_ids(output),
        rendered=str(values["rendered"]),
        whole=values["whole"] or before is None,
    )


def _token_ids(values: Any) -> tuple[int, ...]:
    if not all(type(value) is int and 0 <= value < 2**31 for value in values):
        raise ValueError("a token is no token id")
    return tuple(values)
