"""The turns of a conversation, in memory and in its log, and the background work on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.conversation.jobs import AfterTurn, EachTurn, Job, Jobs
from workbench.conversation.log import TURN, TurnLog, View, done_entry, rewind_entry, view_entry
from workbench.conversation.remembering import Remember
from workbench.conversation.turn import Turn, turn_to_dict
from workbench.conversation.turns import WHOLE, Turns
from workbench.interfaces import Memory
from workbench.storage import Entry
from workbench.telemetry import Trace


class Past:
    """What was said, kept as soon as it is said. Calls come one at a time, jobs read ``turns`` meanwhile.

    Args:
        folder: as for :class:`workbench.conversation.log.TurnLog`.
        name: of the conversation.

    Attributes:
        turns: those that are part of it, oldest first.
        taken_back: times of those that no longer are.
        view: the compression in use.
    """

    def __init__(self, folder: Path | str | None, name: str) -> None:
        self.name = name
        self._log = TurnLog(folder, name)
        try:
            kept = self._log.read()
        except BaseException:
            self._log.close()
            raise
        self.turns = Turns(kept.count, self._log.older, whole=WHOLE if self.place else None)
        self.taken_back, self.view = kept.taken_back, kept.view
        self._serial, self._done = kept.serial, kept.done
        self._memory: Memory | None = None
        self._remember: Remember | None = None
        self._jobs: Jobs | None = None

    @property
    def place(self) -> Path | None:
        """The conversation's folder."""
        return self._log.place

    @property
    def next_serial(self) -> int:
        """Of the next turn."""
        return self._serial + 1

    def next_moment(self, now: float) -> float:
        """``now``, or a little later: no two turns have the same time, and none is earlier than the one before."""
        last = self.turns[-1].at if self.turns else -math.inf
        last = max(last, max(self.taken_back, default=-math.inf))
        return now if now > last else math.nextafter(last, math.inf)

    def open(self, memory: Memory | None, after_turn: Mapping[str, AfterTurn], backlog: int) -> None:
        """Begin the background work where it was left."""
        self._memory = memory
        self._remember = None if memory is None else Remember(memory, self.name)
        jobs: list[Job] = [] if self._remember is None else [self._remember]
        jobs += [EachTurn(name, function) for name, function in after_turn.items()]
        states = self._states(jobs)
        behind = min((int(state["upto"]) for state in states.values()), default=self._serial)
        waiting = list(itertools.takewhile(lambda turn: turn.serial > behind, reversed(self.turns)))[::-1]
        if {**self._done, **states} != self._done:  # a job the log does not know must not be taken for new once more
            self._save(states)
        self._jobs = Jobs(jobs, states=states, waiting=waiting, backlog=backlog, save=self._save)

    def add(self, turn: Turn, view: View | None) -> None:
        """A turn has ended: it is kept, then worked on."""
        self.turns.append(turn)
        self._serial = turn.serial
        new = view is not None and view is not self.view
        self.view = view
        entries = [*([view_entry(view)] if view is not None and new else []), Entry(TURN, turn_to_dict(turn), turn.at)]
        try:
            self._log.append(entries)
        finally:  # a warning that the disk is full may be an error, and the turn is kept all the same
            self._working.add(turn)

    def wait_for_room(self, trace: Trace) -> None:
        """Hold a turn up while too many wait for the background."""
        began = trace.now_ms()
        if self._working.wait_for_room():
            trace.place("queue", began, trace.now_ms() - began, what="background")

    def put_off(self, keep: int) -> None:
        """No job gets turns behind the first ``keep`` any more. Waits for what is being done with one."""
        gone = {turn.at for turn in self.turns[keep:]}
        self._working.take_back(lambda turn: turn.at not in gone)

    def rewind(self, keep: int) -> None:
        """Take turns back that were :meth:`put_off`."""
        gone = {turn.at for turn in self.turns[keep:]}
        self.turns.truncate(keep)
        self.taken_back |= gone
        if self.view is not None and self.view.turns > keep:
            self.view = None
        self._log.append([rewind_entry(keep, gone)])

    def forget(self) -> None:
        """Delete everything, in the memory too. Every turn was :meth:`put_off`."""
        self._log.forget()
        self.turns.truncate(0)
        self.taken_back, self.view, self._serial = set(), None, 0
        self._working.begin_anew()
        if self._memory is not None:
            self._memory.forget(self.name)
        if self._done:  # last; and jobs that are not there this time begin anew as well
            self._save({name: {"upto": 0} for name in self._done})

    def flush(self) -> None:
        """Finish the background work and write what a full disk kept back."""
        self._working.flush()
        self._log.save()
        if self._memory is not None:
            self._memory.flush()

    def close(self) -> None:
        """Finish the background work, close the log. Idempotent."""
        try:
            if self._jobs is not None:
                self._jobs.close()
        finally:
            self._log.close()

    @property
    def _working(self) -> Jobs:
        if self._jobs is None:
            raise RuntimeError("open() comes first")
        return self._jobs

    def _states(self, jobs: list[Job]) -> dict[str, dict[str, Any]]:
        """Where each job goes on; one the log does not know begins with the next turn, the memory with the first."""
        states = {job.name: dict(self._done.get(job.name, {"upto": self._serial})) for job in jobs}
        if self._remember is not None:
            states[Remember.name] = self._remember.state(self._done.get(Remember.name))
        return states

    def _save(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        self._done = {**self._done, **states}  # a job that is not there this time is to go on where it was
        self._log.append([done_entry(self._done)])
