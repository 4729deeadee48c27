"""The first of the background jobs: what was said goes into the memory, each turn once.

A memory may have a turn that the conversation's log does not know it has: the process died between the two. So after a
restart, or an error, what seems to wait is looked for before it is added: by its time in the events of a memory that
has them, else by a recall. A memory that has no events and recalls too little to show even the last turn it was given
may be given that batch twice. Knows memories by their Protocol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.conversation.turn import Turn, messages_of
from workbench.interfaces import Memory
from workbench.memory.journal import MESSAGE


class Remember:
    """Adds turns to a memory. Implements :class:`workbench.conversation.jobs.Job`.

    Its state's ``index`` is how many messages the session had in the memory after the last turn that was added.

    Args:
        memory: where to.
        session: under which name.
    """

    name = "memory"
    batch = 512

    def __init__(self, memory: Memory, session: str) -> None:
        self.memory, self.session = memory, session
        self._sure = False  # nothing but this object has added anything since the state was written

    def __call__(self, turns: Sequence[Turn], state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what the memory has not got."""
        sure, self._sure = self._sure, False
        if not sure and self._may_have_more_than(state.get("index", 0)):
            turns = self._missing(turns)
        if not turns:
            return {}  # the index stays: those that come next may be there as well
        times = [turn.at for turn in turns for _ in turn.messages]
        self.memory.add_many(messages_of(turns), session=self.session, at=times)
        self._sure = True
        return {"index": self.said()}

    def said(self) -> int:
        """Messages of the session ever added, where the memory tells; else those it can recall."""
        journal = getattr(self.memory, "journal", None)
        count = self.memory.count if journal is None else journal.count
        return int(count(self.session))

    def state(self, known: Mapping[str, Any] | None) -> dict[str, Any]:
        """Where to go on: after what was done, or where the memory has lost something, with what it has not got."""
        if known is None or self.said() < known.get("index", 0):
            return {"upto": 0, "index": 0}
        return dict(known)

    def _may_have_more_than(self, index: int) -> bool:
        said = self.said()
        return said > index or (said > 0 and not hasattr(self.memory, "journal"))  # one with a limit counts no further

    def _missing(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """Those after the last that the memory has: they were added in order, several at once or none."""
        events = getattr(self.memory, "events", None)
        times = None if events is None else {one.at for one in events(self.session) if one.kind == MESSAGE}
        there = (place for place in reversed(range(len(turns))) if self._has(turns[place], times))
        return turns[next(there, -1) + 1 :]

    def _has(self, turn: Turn, times: set[float] | None) -> bool:
        if times is not None:
            return turn.at in times
        found = self.memory.recall(
            turn.asked.content, session=self.session, k=8, since=turn.at, until=math.nextafter(turn.at, math.inf)
        )
        return any(one.message.content in (turn.asked.content, turn.text) for one in found)
