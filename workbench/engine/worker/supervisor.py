"""Keeps a worker process at work for one engine, and knows what to do when one dies.

A request of which nothing has come yet is sent to the next process; one whose answer had begun ends with
:class:`WorkerDied` and its partial text, or is continued from its tokens where that was asked for. A process is started
when there is work for it. Holds no reference to the engine, so that a forgotten engine can go.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from workbench.engine.scheduling.ticket import Listener
from workbench.engine.worker import failures, protocol
from workbench.engine.worker.counting import NOTHING_YET, added
from workbench.engine.worker.deaths import Death
from workbench.engine.worker.process import Limits, WorkerProcess
from workbench.engine.worker.remote_ticket import RemoteTicket
from workbench.errors import EngineClosed, StreamIncomplete, WorkerDied
from workbench.interfaces import EngineStats, Request
from workbench.settings import EngineSettings

MOST_DEATHS = 2
"""Processes that may die over one request before it is given up: it may be the reason."""

RETRY_LOAD_S = 30.0
"""After loading has failed twice in the same way, requests in this time get that error instead of another attempt."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a process has to load.

    Attributes:
        path: of the GGUF, or of the first part.
        name: what the model is called.
        settings: as asked for.
    """

    path: str
    name: str
    settings: EngineSettings

    def message(self, limits: Limits) -> protocol.Message:
        """For the child."""
        return {
            "op": "load",
            "path": self.path,
            "name": self.name,
            "settings": self.settings.to_dict(),
            "memory_limit_bytes": limits.memory_limit_bytes,
            "beat_s": limits.tick_s,
        }


class _Call:
    """A question that is answered once, with a value or an error."""

    def __init__(self) -> None:
        self._fate: Future[Any] = Future()

    def answer(self, value: Any = None, error: BaseException | None = None) -> None:
        if error is None:
            self._fate.set_result(value)
        else:
            self._fate.set_exception(error)

    def wait(self) -> Any:
        return self._fate.result()


class Supervisor:
    """Requests and calls on one side, one process after the other on the other side. Thread-safe.

    Args:
        load: what to load.
        limits: what a process may take.
        resume: continue answers that had begun.
    """

    def __init__(self, load: Load, limits: Limits, *, resume: bool) -> None:
        self._load, self._limits, self._resume = load, limits, resume
        # Re-entrant: a garbage collection under it may run the engine's finalizer, and that calls stop().
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._closing = False
        self._worker: WorkerProcess | None = None
        self._numbers = itertools.count(1)
        self._tickets: dict[int, RemoteTicket] = {}
        self._calls: dict[int, _Call] = {}
        self._warnings: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._spawned = 0
        self._load_errors: list[BaseException] = []
        self._failed_at = -math.inf
        self._said_why: BaseException | None = None
        self._stats, self._before = NOTHING_YET, NOTHING_YET
        self.settings = load.settings
        self.facts: Mapping[str, Any] = {}

    # -- for the engine -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the model, and wait for it.

        Raises:
            WorkerDied: the process died over it, or took too long.
            whatever the engine raises when it cannot be made.
        """
        loaded = self._ask(
            lambda number: {"op": "call", "id": number, "name": "detokenize", "arguments": {"tokens": []}}
        )
        try:
            loaded.wait()
        finally:
            self.reissue_warnings()

    def ticket(self, request: Request, spelling: Mapping[str, Any], listener: Listener | None = None) -> RemoteTicket:
        """A ticket for a request, not yet sent.

        Raises:
            EngineClosed: after :meth:`stop`.
        """
        self.check_open()
        return RemoteTicket(request, next(self._numbers), spelling, listener, self._cancel)

    def submit(self, tickets: list[RemoteTicket]) -> None:
        """Send requests, all or none, and wait until they are taken; a process is started if there is none.

        Raises:
            EngineClosed: after :meth:`stop`.
            whatever the engine refuses one of them with.
        """
        self._send(tickets)
        try:
            for ticket in tickets:
                ticket.settled.wait()
        except BaseException:  # Ctrl-C: nobody will ever ask for them
            for ticket in tickets:
                ticket.cancel()
            raise
        self.reissue_warnings()
        refusals = list(filter(None, [ticket.take_refusal() for ticket in tickets]))
        if refusals:
            try:
                raise refusals[0]
            finally:
                refusals.clear()  # this frame is held by the error

    def call(self, name: str, **arguments: Any) -> Any:
        """Ask something and wait for the answer; asked once more if the process died over it.

        Raises:
            EngineClosed: after :meth:`stop`.
            WorkerDied: two processes died.
            whatever the engine raises.
        """
        question = {"op": "call", "name": name, "arguments": arguments}
        try:
            return self._ask(lambda number: {**question, "id": number}).wait()
        except WorkerDied:
            return self._ask(lambda number: {**question, "id": number}).wait()
        finally:
            self.reissue_warnings()

    def stats(self) -> EngineStats:
        """As last told, processes before included."""
        stats = added(self._before, self._stats)
        busy = bool(self._tickets or self._calls)
        state = "closed" if self._closing else "busy" if busy else stats.state
        return dataclasses.replace(stats, state=state, respawns=max(0, self._spawned - 1))

    @property
    def pid(self) -> int | None:
        """Process id of the present process; ``None``: there is none."""
        worker = self._worker
        return None if worker is None else worker.pid

    def check_open(self) -> None:
        """Refuse to work for a closed engine, or in a forked process."""
        if os.getpid() != self._pid:
            raise EngineClosed(
                "This process was forked; an engine's worker process stays with the parent. Load the engine in this "
                "process, or start processes with the 'spawn' method."
            )
        if self._closing:
            raise EngineClosed

    def restart(self) -> None:
        """Let the next request try to load at once, after loading failed twice in the same way."""
        with self._lock:
            self._load_errors = []

    def stop(self) -> None:
        """End the process; what runs breaks off. Waits for the step in progress. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closing = True
            worker, self._worker = self._worker, None
            tickets, calls = self._take_all()
        for ticket in tickets:
            ticket.refused(StreamIncomplete(ticket.text, "the engine was closed."))
        for call in calls:
            call.answer(error=EngineClosed())
        if worker is not None:
            worker.close()

    def reissue_warnings(self) -> None:
        """Issue what the child has warned of, on the thread that asked."""
        while not self._warnings.empty():
            try:
                category, text = self._warnings.get_nowait()
            except queue.Empty:
                return  # another thread has asked too
            failures.reissue(category, text, stacklevel=5)

    # -- processes ----------------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[int], protocol.Message]) -> _Call:
        number, call = next(self._numbers), _Call()
        with self._lock:
            worker = self._at_work()
            self._calls[number] = call
            worker.send(question(number))
        return call

    def _send(self, tickets: list[RemoteTicket]) -> None:
        if not tickets:
            return
        with self._lock:
            worker = self._at_work()
            self._tickets.update((ticket.number, ticket) for ticket in tickets)
            worker.send({"op": "submit", "requests": [ticket.message() for ticket in tickets]})

    def _at_work(self) -> WorkerProcess:
        """The process; a new one, loading, if there is none. It takes messages while it loads."""
        self.check_open()
        if self._worker is None:
            self._refuse_hopeless()
            self._worker = WorkerProcess(
                self._limits,
                has_work=lambda: bool(self._tickets or self._calls),
                on_message=self._hear,
                on_end=self._bury,
            )
            self._spawned += 1
            self._said_why = None
            self._worker.send(self._load.message(self._limits))
        return self._worker

    def _refuse_hopeless(self) -> None:
        """The same failure twice in a row will happen again, for a while."""
        if time.monotonic() - self._failed_at > RETRY_LOAD_S:
            return
        last = [f"{type(error).__name__}: {error}" for error in self._load_errors[-2:]]
        if len(last) == 2 and last[0] == last[1]:
            raise self._load_errors[-1]

    def _cancel(self, number: int) -> None:
        # Without the lock: this may be a destructor's thread, in the middle of anything.
        worker = self._worker
        if worker is not None:
            worker.send({"op": "cancel", "id": number})

    # -- what processes say, on their threads -------------------------------------------------------------------------

    def _hear(self, worker: WorkerProcess, message: protocol.Message) -> None:
        if worker is not self._worker:
            return  # the last words of one that is being closed
        for category, text in message.get("warnings", ()):
            self._warnings.put((str(category), str(text)))
        if "failed" in message:
            self._said_why = failures.error_from(message["failed"])
            return  # its end follows
        if "settings" in message:
            self.settings = protocol.settings_from(message["settings"])
        if "stats" in message:
            self._stats = protocol.stats_from(message["stats"])
        if "ready" in message:
            self.facts, self._load_errors = message["ready"], []
        self._deliver(message)
        self._answer(message)

    def _deliver(self, message: protocol.Message) -> None:
        for number, prompt in message.get("taken", ()):
            if ticket := self._tickets.get(number):
                ticket.taken(prompt)
        for number, text, tokens in message.get("chunks", ()):
            if ticket := self._tickets.get(number):
                ticket.take(text, tokens)
        for number, made_at, values in message.get("ends", ()):
            if ticket := self._tickets.pop(number, None):
                ticket.finish(values, made_at, self._load.name, protocol.settings_from(values["settings"]))
        for number, error in (*message.get("refused", ()), *message.get("fails", ())):
            if ticket := self._tickets.pop(number, None):
                ticket.refused(failures.error_from(error))

    def _answer(self, message: protocol.Message) -> None:
        for number, value in message.get("replies", ()):
            if call := self._calls.pop(number, None):
                call.answer(value)
        for number, error in message.get("errors", ()):
            if call := self._calls.pop(number, None):
                call.answer(error=failures.error_from(error))

    def _bury(self, worker: WorkerProcess, death: Death) -> None:
        """A process has ended: tell those who lose by it, and start another for the rest."""
        with self._lock:
            if worker is not self._worker:
                return
            self._worker = None
            self._before, self._stats = added(self._before, self._stats), NOTHING_YET
            tickets, calls = self._take_all()
            if not worker.ready:
                error = self._load_failure(death)
                again: list[RemoteTicket] = []
            else:
                error, again = None, [ticket for ticket in tickets if self._may_go_on(ticket, death)]
        for ticket in tickets:
            if ticket not in again:
                self._lose(ticket, death, error)
        for call in calls:
            call.answer(error=error or death.error())
        self._send_again(again)

    def _load_failure(self, death: Death) -> BaseException:
        """Why loading failed: what the child has said, or its death."""
        error = self._said_why or death.error()
        self._load_errors.append(error)
        self._failed_at = time.monotonic()
        return error

    def _may_go_on(self, ticket: RemoteTicket, death: Death) -> bool:
        ticket.deaths += 1
        if ticket.cancelled or death.would_recur:
            return False
        if not ticket.started:
            return ticket.deaths < MOST_DEATHS
        return self._resume and ticket.resumable and ticket.deaths <= MOST_DEATHS

    def _lose(self, ticket: RemoteTicket, death: Death, load_failure: BaseException | None) -> None:
        if ticket.cancelled:
            ticket.finish_cancelled(self._load.name, self.settings)
        elif load_failure is None:
            ticket.refused(death.error(ticket.text))
        elif not ticket.started:
            ticket.refused(load_failure)
        else:  # it was to be continued: what has come is kept
            hint = f"A new one could not load the model: {load_failure}"
            ticket.refused(dataclasses.replace(death, hint=hint).error(ticket.text))

    def _send_again(self, tickets: list[RemoteTicket]) -> None:
        try:
            self._send(tickets)
        except EngineClosed:
            for ticket in tickets:
                ticket.refused(StreamIncomplete(ticket.text, "the engine was closed."))
        except Exception as error:  # no new thread or process to be had: nobody may wait for ever
            for ticket in tickets:
                ticket.refused(error)
        for ticket in tickets:
            if ticket.cancelled:  # perhaps while no process could be told
                self._cancel(ticket.number)

    def _take_all(self) -> tuple[list[RemoteTicket], list[_Call]]:
        tickets, calls = list(self._tickets.values()), list(self._calls.values())
        self._tickets, self._calls = {}, {}
        return tickets, calls
