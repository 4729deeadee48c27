"""Longer histories: the same questions, and more that was said before.

What lengthens a conversation are the turns of the others in the set, as if the same session had begun with them. They
know nothing of the questions, so that whatever a memory loses, it loses to the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench.errors import InvalidSettings
from workbench.evaluation.datasets.records import Conversation, Turn

_DAY_S = 86_400.0


def lengthened(conversations: Sequence[Conversation], messages: int) -> tuple[Conversation, ...]:
    """Each conversation with so many turns of the others before it that it has ``messages``; longer ones stay.

    The others' times move so that each ends a day before the next begins, and the oldest turns are cut to meet the
    length. Ids of their turns get their conversation's name in front.

    Raises:
        InvalidSettings: all conversations together have fewer turns than that.
    """
    most = sum(len(conversation.turns) for conversation in conversations)
    if messages > most:
        raise InvalidSettings(
            f"All conversations together have {most:,} turns; {messages:,} are asked for. Ask for less."
        )
    return tuple(_lengthened(one, conversations, messages) for one in conversations)


def _lengthened(conversation: Conversation, others: Sequence[Conversation], messages: int) -> Conversation:
    missing = messages - len(conversation.turns)
    if missing <= 0:
        return conversation
    before = list(_preceding(conversation, others))[-missing:]
    added = len({turn.sitting for turn in before})
    first = min(turn.sitting for turn in before)
    turns = [replace(turn, sitting=turn.sitting - first + 1) for turn in before]
    turns += [replace(turn, sitting=turn.sitting + added) for turn in conversation.turns]
    return replace(conversation, turns=tuple(turns))


def _preceding(conversation: Conversation, others: Sequence[Conversation]) -> Iterator[Turn]:
    """Turns of the others, one conversation after the other, the last ending a day before this one begins."""
    chosen = [other for other in others if other.id != conversation.id]
    end, moved = conversation.turns[0].at - _DAY_S, []
    for other in reversed(chosen):
        shift = end - other.turns[-1].at
        moved.append((other, shift))
        end = other.turns[0].at + shift - _DAY_S
    sitting = 0
    for other, shift in reversed(moved):
        for group in other.sittings:
            sitting += 1
            for turn in other.turns[group.start : group.stop]:
                yield replace(turn, id=f"{other.id}/{turn.id}", sitting=sitting, at=turn.at + shift)
