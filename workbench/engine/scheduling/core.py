"""The thread that owns a model and its contexts, and the door to it.

Holds no reference to the engine in front of it, so that a forgotten engine can go. With nothing to do for a while it
gives the context back, and later the weights, which the next request loads again.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from workbench.engine.native import kept
from workbench.engine.native.scoring import score_tokens
from workbench.engine.native.weights import Weights
from workbench.engine.scheduling.scheduler import Scheduler
from workbench.engine.scheduling.ticket import Ticket
from workbench.errors import EngineClosed, QueueFull, StreamIncomplete
from workbench.interfaces import EngineStats
from workbench.models import ModelFile
from workbench.settings import EngineSettings

T = TypeVar("T")

_LONGEST_SLEEP_S = 86400.0
"""The platform's timers have an end; idle times need not."""


class Core:
    """One thread, one model.

    Args:
        file: the model.
        settings: as asked for.

    Raises:
        ModelLoadError: llama.cpp refused; quotes what it said.
    """

    def __init__(self, file: ModelFile, settings: EngineSettings) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closing = False
        self._pid = os.getpid()
        self._guard = threading.Lock()
        self._settings = settings
        self._unstarted = 0
        self._live: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self.scheduler: Scheduler
        self.weights: Weights
        started: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(file, settings, started), name="engine", daemon=True)
        self._thread.start()
        try:
            failure = started.get()
        except BaseException:  # Ctrl-C while the model loads: nobody will ever stop the thread
            self._closing = True
            self._inbox.put(lambda: None)
            raise
        if failure is not None:
            raise failure

    def submit(self, tickets: list[Ticket]) -> None:
        """Queue requests, all or none.

        Raises:
            EngineClosed: there is no such thread any more.
            QueueFull: more would wait than ``queue_limit``.
        """
        with self._guard:
            self._check_open()
            running = self._settings.n_seq_max
            waiting = self._unstarted + self.scheduler.waiting
            if waiting + len(tickets) > self._settings.queue_limit + running:
                raise QueueFull(waiting)
            self._unstarted += len(tickets)
            self._live.update(tickets)
            self._inbox.put(lambda: self._take_in(tickets))

    def call(self, job: Callable[[Scheduler], T]) -> T:
        """Run ``job`` on the owning thread when no sequence is running; returns or raises what it does.

        Raises:
            EngineClosed: there is no such thread any more, or it ended before the job's turn came.
        """
        answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                answer.put((job(self.scheduler), None))
            except Exception as error:
                answer.put((None, error))

        self._send(lambda: self.scheduler.exclusively(run, lambda error: answer.put((None, error))))
        result, error = answer.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def score(self, tokens: list[int], first: int) -> Any:
        """Log-probabilities of the tokens from ``first`` on, computed when nothing else runs."""

        def job(scheduler: Scheduler) -> Any:
            context, slot = scheduler.borrow_slot(len(tokens))
            try:
                return score_tokens(context, slot.index, tokens, first)
            finally:
                scheduler.give_back(slot)

        return self.call(job)

    def using_weights(self, use: Callable[[Weights], T]) -> T:
        """Call ``use`` while the weights are sure to stay."""
        with self._guard:
            self._check_open()
            if self.weights.loaded:
                return use(self.weights)
        self.call(lambda _: None)  # wakes the thread, which loads them again
        return self.using_weights(use)

    def stats(self) -> EngineStats:
        """A snapshot."""
        return self.scheduler.stats(self._state())

    def stop(self) -> None:
        """End the thread and free what it owns; waits for the decode in progress."""
        if os.getpid() != self._pid:
            return
        with self._guard:
            already, self._closing = self._closing, True
        if not already:
            self._inbox.put(lambda: None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _send(self, command: Callable[[], None]) -> None:
        with self._guard:
            self._check_open()
            self._inbox.put(command)

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise EngineClosed(
                "This process was forked; an engine's thread stays with the parent. Load the engine in this process, "
                "or start processes with the 'spawn' method."
            )
        if self._closing:
            raise EngineClosed

    def _state(self) -> Literal["lazy", "idle", "busy", "closed"]:
        if self._closing:
            return "closed"
        if self.scheduler.busy:
            return "busy"
        return "lazy" if self.scheduler.context is None else "idle"

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _run(self, file: ModelFile, settings: EngineSettings, started: queue.SimpleQueue[BaseException | None]) -> None:
        try:
            self.weights = kept.weights_for(file, settings)
            self.scheduler = Scheduler(self.weights, settings)
        except BaseException as error:
            started.put(error)
            return
        started.put(None)
        try:
            while not self._closing:
                if self.scheduler.busy:
                    self._obey(block=False)
                else:
                    self._wait()
                self.scheduler.step()
        finally:
            with self._guard:
                self._closing = True  # nobody may queue for a thread that is gone
            self._break_off()
            self.scheduler.free()
            with self._guard:
                kept.give_back(self.weights, settings)

    def _take_in(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            self.scheduler.submit(ticket)
        with self._guard:
            self._unstarted -= len(tickets)

    def _wait(self) -> None:
        """Sleep until a command comes; meanwhile give back what idleness allows."""
        since = time.monotonic()
        while True:
            command = self._next(self._due(time.monotonic() - since))
            if command is not None:
                self._awake(command)
                return

    def _next(self, timeout_s: float | None) -> Callable[[], None] | None:
        try:
            return self._inbox.get(timeout=None if timeout_s is None else min(timeout_s, _LONGEST_SLEEP_S))
        except queue.Empty:
            return None

    def _due(self, idle_s: float) -> float | None:
        """Seconds until something is to be given back; ``None``: nothing ever."""
        later = self.scheduler.rest(idle_s)
        release_s = self._settings.model_release_s
        if release_s is None or not self.weights.loaded or self._settings.idle_release_s is None:
            return later
        if idle_s >= release_s and self.scheduler.context is None:
            with self._guard:
                self.weights.free()
            return None
        until = max(release_s - idle_s, 0.0)
        return until if later is None else min(later, until)

    def _awake(self, command: Callable[[], None]) -> None:
        """Obey after a rest; the weights may have to be loaded again first."""
        failure: Exception | None = None
        if not self.weights.loaded and not self._closing:
            try:
                with self._guard:
                    self.weights.load()
            except Exception as error:  # the file has gone: those who ask hear of it, and the next ones try again
                failure = error
        command()
        if failure is not None:
            self.scheduler.fail_all(failure)
            self.scheduler.abandon(failure)

    def _obey(self, *, block: bool) -> None:
        """Run the commands that have arrived; waits for the first one if there is nothing else to do."""
        while True:
            try:
                self._inbox.get(block)()
            except queue.Empty:
                return
            block = False

    def _break_off(self) -> None:
        """Tell everybody who still waits."""
        self._obey(block=False)
        self.scheduler.abandon(EngineClosed())
        for ticket in list(self._live):
            if not ticket.ended:
                ticket.end(StreamIncomplete(ticket.text, "the engine was closed."))
