"""The prompt of one turn: what the conversation shows, a note on what it does not show any more, and what is asked.

The note stands late, right before the user's last message, so that everything before it is the same from turn to turn
and its KV stays usable. Knows messages and tokens; never memories or tools.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence

from workbench.errors import ChatTemplateError
from workbench.interfaces import Engine, Message, Recollection

HEADER = "Use these earlier messages of this conversation to answer:"
_PER_LINE = 2  # a line break, and what a tokenizer may cut differently there

_PROBE = (Message.user("One."), Message.assistant("Two."), Message.user("Three."))
_PROBE_NOTE = Message.system("A note that is to be found in the prompt.")


def takes_notes(engine: Engine) -> bool:
    """Whether the engine's chat template shows a system message in the middle of a conversation.

    Some refuse it and some leave it out; what is meant for it then has to stand in the user's message.
    """
    try:
        plain = engine.count_tokens(_PROBE)
        return engine.count_tokens((*_PROBE[:-1], _PROBE_NOTE, _PROBE[-1])) > plain
    except ChatTemplateError:
        return False


def choose(
    found: Sequence[Recollection],
    shown: Collection[tuple[str, str]],
    budget_tokens: int,
    most: int,
    count: Callable[[str], int],
) -> list[Recollection]:
    """What of a recall goes into the note: notes, then the best of the messages that are not shown, as they fit.

    Args:
        found: what was recalled.
        shown: (role, text) of the messages the prompt has anyway.
        budget_tokens: of the whole note.
        most: messages at most.
        count: tokens of a text.

    Returns:
        Notes first, then messages, oldest first.
    """
    new = [one for one in found if one.index is None or (one.message.role, one.message.content) not in shown]
    left = budget_tokens - count(HEADER) - _PER_LINE
    chosen: list[Recollection] = []
    for one in sorted(new, key=lambda one: (one.index is not None, -one.score)):
        cost = count(line_of(one)) + _PER_LINE
        if cost <= left and (one.index is None or sum(other.index is not None for other in chosen) < most):
            chosen.append(one)
            left -= cost
    return sorted(chosen, key=lambda one: -1 if one.index is None else one.index)


def line_of(one: Recollection) -> str:
    """How a recollection stands in the note."""
    if one.index is None:
        return one.message.content
    return f"- {one.message.name or one.message.role}: {one.message.content}"


def note_of(recalled: Sequence[Recollection]) -> str:
    """The note's text; empty for nothing."""
    notes = [line_of(one) for one in recalled if one.index is None]
    lines = [line_of(one) for one in recalled if one.index is not None]
    return "\n".join([*notes, *([HEADER] if lines else []), *lines])


def assemble(
    before: Sequence[Message], note: str, reads: Sequence[Message], asked: Message, *, as_messages: bool
) -> tuple[Message, ...]:
    """The prompt.

    Args:
        before: what the conversation shows.
        note: see :func:`note_of`.
        reads: what tools have read for this turn.
        asked: the user's message.
        as_messages: note and reads are messages of their own; else what of them is of the system's role stands in the
            user's message, in front of what is asked.
    """
    inserted = [*([Message.system(note)] if note else []), *reads]
    if as_messages:
        return (*before, *inserted, asked)
    own = [message.content for message in inserted if message.role == "system"]
    others = [message for message in inserted if message.role != "system"]
    return (*before, *others, dataclasses.replace(asked, content="\n\n".join([*own, asked.content])))
