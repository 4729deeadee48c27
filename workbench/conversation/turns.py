"""The turns of a conversation as a sequence of which only the newest are in memory until older ones are asked for.

So opening a conversation takes the same time however long it is, and having it open takes little more than its text.
Knows pages, not where they come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import overload

from workbench.conversation.turn import Turn, turn_from_dict, turn_to_dict

PAGE = 128
WHOLE = 256

Older = Callable[[int, int], list[Turn]]
"""(number of the first turn there is, how many at least) → as many turns right before it; fewer at the beginning."""


class Turns(Sequence[Turn]):
    """Oldest first. Threads: any.

    Args:
        count: how many there are.
        older: reads those that are not in memory.
        whole: as many of the newest keep their completion, trace and what else is not written down; those before them
            are as they would be read back. ``None``: all of them.
    """

    def __init__(self, count: int, older: Older, *, whole: int | None = WHOLE) -> None:
        self._missing, self._older, self._whole = count, older, whole
        self._here: list[Turn] = []
        self._lock = threading.RLock()

    def __len__(self) -> int:
        with self._lock:
            return self._missing + len(self._here)

    @overload
    def __getitem__(self, place: int) -> Turn: ...

    @overload
    def __getitem__(self, place: slice) -> list[Turn]: ...

    def __getitem__(self, place: int | slice) -> Turn | list[Turn]:
        with self._lock:
            wanted = range(len(self))[place]  # refuses and clips as a list does
            if isinstance(wanted, int):
                self._reach(wanted)
                return self._here[wanted - self._missing]
            if wanted:
                self._reach(min(wanted[0], wanted[-1]))
            return [self._here[one - self._missing] for one in wanted]

    def append(self, turn: Turn) -> None:
        """One more."""
        with self._lock:
            self._here.append(turn)
            if self._whole is not None and len(self._here) > self._whole:
                place = len(self._here) - self._whole - 1
                self._here[place] = turn_from_dict(turn_to_dict(self._here[place]))

    def truncate(self, keep: int) -> None:
        """Only the first ``keep`` stay."""
        with self._lock:
            del self._here[max(0, keep - self._missing) :]
            self._missing = min(self._missing, keep)

    def _reach(self, place: int) -> None:
        """Have everything from ``place`` on in memory."""
        if place >= self._missing:
            return
        page = self._older(self._missing + 1, max(PAGE, self._missing - place))
        self._here = page + self._here
        self._missing -= len(page)
