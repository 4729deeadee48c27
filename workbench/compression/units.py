"""What of a conversation may be dropped, and what only as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.interfaces import Message


def last_turn_start(messages: Sequence[Message]) -> int:
    """Index where the last turn begins: at the last user's message, or else at the last message."""
    users = (place for place in range(len(messages) - 1, -1, -1) if messages[place].role == "user")
    return next(users, max(0, len(messages) - 1))


def protected(messages: Sequence[Message]) -> set[int]:
    """Indices that may not be dropped: system messages, the last turn, and what belongs to its tool calls."""
    start = last_turn_start(messages)
    fixed = {place for place, message in enumerate(messages) if place >= start or message.role == "system"}
    for unit in _tool_units(messages):
        if not fixed.isdisjoint(unit):
            fixed |= unit
    return fixed


def units(messages: Sequence[Message]) -> list[tuple[int, ...]]:
    """What may be dropped, each unit as a whole, in order: a tool call with its answers, or a single message."""
    fixed = protected(messages)
    groups = [tuple(sorted(unit)) for unit in _tool_units(messages) if fixed.isdisjoint(unit)]
    grouped = fixed.union(*groups)
    singles: list[tuple[int, ...]] = [(place,) for place in range(len(messages)) if place not in grouped]
    return sorted(groups + singles)


def _tool_units(messages: Sequence[Message]) -> list[set[int]]:
    """Each message that calls tools, with the answers to it."""
    found: list[set[int]] = []
    open_calls: dict[str, set[int]] = {}  # an id used again belongs to the latest call
    for place, message in enumerate(messages):
        if message.tool_calls:
            unit = {place}
            found.append(unit)
            open_calls.update((str(call["id"]), unit) for call in message.tool_calls if "id" in call)
        elif message.tool_call_id in open_calls:
            open_calls[message.tool_call_id].add(place)
    return found
