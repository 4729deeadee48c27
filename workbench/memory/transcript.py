"""What was said in one session: the snapshot every strategy builds on, brought up to date from events."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from workbench.interfaces import Message, Recollection
from workbench.memory.journal import MESSAGE
from workbench.storage import Event

SITTING_GAP_S = 1800.0
"""A silence longer than this begins a new sitting."""


class Transcript:
    """One session's messages and times. A strategy derives from it and indexes what comes.

    Not thread-safe by itself: whoever uses it holds ``lock``.

    Args:
        session: its name.
        epoch: of the journal it was made in.

    Attributes:
        closed: it was dropped; whoever had it in hand asks anew.
        seq: place of the last event taken.
        messages: as they were said; a message's place is its index.
        times: when, in seconds since 1970.
        sittings: number of the sitting each message belongs to, from 0: messages without a long silence between them.
    """

    def __init__(self, session: str, epoch: int = 0) -> None:
        self.session, self.epoch, self.seq = session, epoch, 0
        self.lock = threading.RLock()
        self.closed = False
        self.messages: list[Message] = []
        self.times: list[float] = []
        self.sittings: list[int] = []

    def __len__(self) -> int:
        return len(self.messages)

    def update(self, events: Sequence[Event]) -> None:
        """Take events that follow the last one taken."""
        first = len(self.messages)
        for event in events:
            if event.kind == MESSAGE:
                self._say(event)
            else:
                self.take(event)
            self.seq = event.seq
        if len(self.messages) > first:
            self.grown(first)

    def take(self, event: Event) -> None:
        """Something else has happened: feedback, a recall, a relation. Override what concerns the strategy."""

    def grown(self, first: int) -> None:
        """Messages from ``first`` on are new. Override to index them, all at once."""

    def close(self) -> None:
        """It is dropped from memory. Extend to free what it holds."""
        self.closed = True

    def within(self, since: float | None, until: float | None) -> list[int]:
        """Indices of the messages said in ``[since, until)``."""
        if since is None and until is None:
            return list(range(len(self.messages)))
        first, end = float("-inf") if since is None else since, float("inf") if until is None else until
        return [index for index, moment in enumerate(self.times) if first <= moment < end]

    def recollection(self, index: int, score: float, reason: str) -> Recollection:
        """A message as it comes back."""
        return Recollection(message=self.messages[index], index=index, score=score, reason=reason, at=self.times[index])

    def _say(self, event: Event) -> None:
        values: Mapping[str, Any] = {name: value for name, value in event.data.items() if name != "index"}
        new_sitting = bool(self.times) and event.at - self.times[-1] > SITTING_GAP_S
        self.sittings.append(self.sittings[-1] + new_sitting if self.sittings else 0)
        self.messages.append(Message.from_mapping(values))
        self.times.append(event.at)
