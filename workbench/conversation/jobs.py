"""What happens after a turn, while nobody waits: remembering, archiving, summing up, in order and once.

Every job has a cursor, the serial number of the last turn it has seen, which is kept in the conversation's log. After a
crash a job goes on behind its cursor; what it did without having said so it may meet again, and has to know it then.
Knows turns and times; never what a job does.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.conversation.turn import Turn
from workbench.memory.background import Background
from workbench.storage.meter import metering
from workbench.telemetry import Trace, tracing

AfterTurn = Callable[[Turn], object]
"""A job: called with every turn that has ended, in order, on a thread of its own; may be called again with the same
turn after a crash or an error."""


class Job(Protocol):
    """Work on turns. ``state`` is what of it goes to the log: JSON values, with its cursor as ``"upto"``."""

    @property
    def name(self) -> str:
        """By which the log knows it."""
        ...

    @property
    def batch(self) -> int:
        """Turns it takes at once, at most."""
        ...

    def __call__(self, turns: Sequence[Turn], state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do it; returns what is to be added to the state."""
        ...


@dataclass(frozen=True, slots=True)
class EachTurn:
    """A function of one turn as a job."""

    name: str
    function: AfterTurn
    batch: int = 1

    def __call__(self, turns: Sequence[Turn], state: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002 - its cursor is all there is
        """Call it."""
        for turn in turns:
            self.function(turn)
        return {}


@dataclass(slots=True)
class _Waiting:
    """Turns some job has not seen yet, oldest first, and what each job says of itself."""

    turns: list[Turn] = field(default_factory=list)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)


class Jobs:
    """Runs jobs after every turn, one thread for all. Thread-safe.

    An error is logged and raised by :meth:`flush`; the job is tried again with the next turn and with every
    :meth:`flush`, the turn it failed at first; other jobs go on.

    Args:
        jobs: in the order in which a turn goes through them.
        states: what each had said of itself.
        waiting: turns some of them may not have seen.
        backlog: turns that may wait.
        save: called with all states when some have changed.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        states: Mapping[str, Mapping[str, Any]],
        waiting: Sequence[Turn],
        backlog: int,
        save: Callable[[Mapping[str, Mapping[str, Any]]], None],
    ) -> None:
        self._jobs, self._backlog, self._save = tuple(jobs), backlog, save
        known = {job.name: {"upto": 0, **states.get(job.name, {})} for job in self._jobs}
        self._now = _Waiting(list(waiting), known)
        self._changed = threading.Condition()
        self._stuck = self._halted = False
        self._background = Background(self._work, "conversation")
        self._drop_seen()
        if self._now.turns:
            self._background.wake("")

    @property
    def waiting(self) -> int:
        """Turns some job has not seen yet."""
        with self._changed:
            return len(self._now.turns)

    def add(self, turn: Turn) -> None:
        """A turn has ended. Returns at once."""
        with self._changed:
            if self._jobs:
                self._now.turns.append(turn)
                self._stuck = False
        if self._jobs:
            self._background.wake("")
        elif turn.trace is not None:
            turn.trace.end()

    def wait_for_room(self) -> bool:
        """Return when another turn may be added; whether that took waiting.

        A job that keeps failing holds nobody up: its turns are in the log.
        """
        with self._changed:
            full = len(self._now.turns) >= self._backlog and not self._stuck
            self._changed.wait_for(lambda: len(self._now.turns) < self._backlog or self._stuck)
            return full

    def take_back(self, keep: Callable[[Turn], bool]) -> None:
        """Forget waiting turns that are no longer part of the conversation. Waits for the job that is at work."""
        with self._changed:
            self._halted = True
        self._background.cancel("")
        with self._changed:
            self._halted = False
            gone = [turn for turn in self._now.turns if not keep(turn)]
            self._now.turns = [turn for turn in self._now.turns if keep(turn)]
        _end(gone)
        if self.waiting:
            self._background.wake("")

    def begin_anew(self) -> None:
        """Every job goes on with the first turn of a new conversation; of the old one nothing waits any more."""
        with self._changed:
            self._now.states = {job.name: {"upto": 0} for job in self._jobs}

    def flush(self) -> None:
        """Return when every job has seen every turn.

        Raises:
            Exception: what a job raised; its turns wait still.
        """
        if self.waiting:
            self._background.wake("")
        self._background.flush()

    def close(self) -> None:
        """Finish what waits and end the thread. Idempotent."""
        self._background.close()
        with self._changed:
            left, self._stuck = list(self._now.turns), True
            self._changed.notify_all()
        _end(left)

    def _work(self, _: str) -> None:
        """Every job through all that waits; on the background's thread."""
        first: BaseException | None = None
        failed: set[str] = set()
        while (batch := self._next(failed)) is not None:
            job, turns = batch
            try:
                self._run(job, turns)
            except BaseException as error:  # raised below, after the other jobs; a panic in Rust is no Exception
                failed.add(job.name)
                first = first or error
        if first is not None:
            with self._changed:
                self._stuck = True
                left = list(self._now.turns)
                self._changed.notify_all()
            _end(left)
            raise first

    def _next(self, failed: set[str]) -> tuple[Job, list[Turn]] | None:
        """The earliest turn that some job has not seen, and those after it as far as the job takes them at once."""
        with self._changed:
            if self._halted:
                return None
            starts = [(self._unseen(job), job) for job in self._jobs if job.name not in failed]
            first, job = min(starts, key=lambda pair: pair[0], default=(len(self._now.turns), None))
            turns = self._now.turns[first : first + job.batch] if job is not None else []
            return (job, turns) if job is not None and turns else None

    def _unseen(self, job: Job) -> int:
        """Place of the first waiting turn the job has not seen."""
        return bisect.bisect_right(self._now.turns, self._now.states[job.name]["upto"], key=lambda turn: turn.serial)

    def _run(self, job: Job, turns: Sequence[Turn]) -> None:
        trace = turns[-1].trace or Trace("background")
        try:
            with metering() as meter, tracing(trace), trace.span("background", job=job.name, turns=len(turns)) as span:
                found = job(turns, self._now.states[job.name])
                with self._changed:
                    self._now.states[job.name].update(found, upto=turns[-1].serial)
                    states = {name: dict(state) for name, state in self._now.states.items()}
                self._save(states)
            span.fields.update(db_queries=meter.queries, db_ms=meter.elapsed_ms)
            trace.count("db_queries", meter.queries)
            trace.count("db_ms", meter.elapsed_ms)
        finally:  # what could not be saved is done all the same, and is saved with what comes next
            self._drop_seen()

    def _drop_seen(self) -> None:
        """Let go of what every job has seen."""
        with self._changed:
            count = min((self._unseen(job) for job in self._jobs), default=len(self._now.turns))
            seen = self._now.turns[:count]
            del self._now.turns[:count]
            self._changed.notify_all()
        _end(seen)


def _end(turns: Sequence[Turn]) -> None:
    for turn in turns:
        if turn.trace is not None:
            turn.trace.end()
