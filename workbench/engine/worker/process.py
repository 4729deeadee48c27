"""The life of one worker process: started, spoken to, watched, ended. Knows messages as JSON objects, no requests."""

from __future__ import annotations

import collections
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workbench.engine.worker import protocol
from workbench.engine.worker.deaths import Death, explain, no_answer, over_limit
from workbench.engine.worker.limits import private_bytes
from workbench.engine.worker.pulse import Pulse

log = logging.getLogger("workbench.engine")

_LINES_KEPT = 200
_LINE_BYTES = 2000
_LONGEST_TICK_S = 0.5
_SHORTEST_TICK_S = 0.01
_LAST_WORDS_WITHIN_S = 1.0
_EXIT_WITHIN_S = 5.0
_PROGRESS = {"chunks", "ends", "fails", "replies", "errors", "taken", "refused", "ready"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may take.

    Attributes:
        load_deadline_s: until it is ready.
        hang_after_s: without a sign of life, while there is work.
        patience_s: for a single step that computes.
        memory_limit_bytes: of private memory; ``None``: no limit.
    """

    load_deadline_s: float
    hang_after_s: float
    patience_s: float
    memory_limit_bytes: int | None

    @property
    def tick_s(self) -> float:
        """How often to look, and how often the process has to send its beat."""
        quick = 0.1 if self.memory_limit_bytes else _LONGEST_TICK_S
        return min(quick, self.hang_after_s / 4, max(self.load_deadline_s / 2, _SHORTEST_TICK_S))


class WorkerProcess:
    """One process. Thread-safe; :meth:`send` never blocks, so that it may be called in a destructor.

    Args:
        limits: what it may take.
        has_work: whether an answer is awaited; asked on the watching thread.
        on_message: called with every message, on one thread.
        on_end: called once with how it ended, on the same thread, after the last message.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        has_work: Callable[[], bool],
        on_message: Callable[[WorkerProcess, protocol.Message], None],
        on_end: Callable[[WorkerProcess, Death], None],
    ) -> None:
        self.ready = False
        self._limits, self._has_work = limits, has_work
        self._on_message, self._on_end = on_message, on_end
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._said: collections.deque[str] = collections.deque(maxlen=_LINES_KEPT)
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned, self._over = threading.Event(), threading.Event()
        self._verdict: Death | None = None
        self._pulse = Pulse(limits.hang_after_s, limits.patience_s, time.monotonic())
        # The kernel takes the *thread* that started a process for its parent, so it has to be one that stays.
        self._thread = threading.Thread(target=self._live, name="worker", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Its process id; ``None``: it could not be started."""
        self._spawned.wait()
        return None if self._process is None else self._process.pid

    def send(self, message: protocol.Message) -> None:
        """Queue a message; one for a process that is gone is lost, and its end has been told."""
        self._outbox.put(protocol.pack(message))

    def kill(self, verdict: Death) -> None:
        """End it at once; ``verdict`` is what will be told. Any thread; idempotent."""
        self._spawned.wait()
        if self._verdict is None:
            self._verdict = verdict
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let it finish its step and free what it holds; killed if it loads, or takes long. Waits. Idempotent."""
        if not self.ready:
            self.kill(no_answer("It was not wanted any more."))
        self.send({"op": "close"})
        self._outbox.put(None)
        if threading.current_thread() is self._thread:
            return
        self._thread.join(_EXIT_WITHIN_S)
        if self._thread.is_alive():
            self.kill(no_answer("It did not end when told to."))
            self._thread.join()

    # -- its threads --------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._process = _spawn()
        except OSError as error:
            self._on_end(self, Death(f"It could not be started: {error}.", 1))
            return
        finally:
            self._spawned.set()
        process = self._process
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - Popen was asked for pipes
        helpers = [
            threading.Thread(target=self._write, args=(process.stdin,), name="worker-writer", daemon=True),
            threading.Thread(target=self._overhear, args=(process.stderr,), name="worker-stderr", daemon=True),
            threading.Thread(target=self._watch, args=(process,), name="worker-watch", daemon=True),
        ]
        for thread in helpers:
            thread.start()
        self._listen(process.stdout)
        exitcode = self._exitcode(process)
        self._over.set()
        self._outbox.put(None)
        helpers[1].join(_LAST_WORDS_WITHIN_S)
        process.stdout.close()
        self._on_end(self, self._verdict or self._explain(exitcode))

    def _listen(self, pipe: IO[bytes]) -> None:
        """Hand on every message until the pipe ends."""
        try:
            for message in protocol.read_messages(pipe):
                self._feel(message)
                self._on_message(self, message)
        except Exception as error:
            log.warning("a worker process sent what is no message, or one that cannot be carried out", exc_info=True)
            self.kill(Death(f"It sent something that is no message: {error}.", -9, "SIGKILL"))

    def _feel(self, message: protocol.Message) -> None:
        now = time.monotonic()
        self._pulse.heard(now)
        if beat := message.get("beat"):
            self._pulse.beat(now, *beat)
        if "ready" in message:
            self.ready = True
        if not _PROGRESS.isdisjoint(message):
            self._pulse.progress(now)

    def _exitcode(self, process: subprocess.Popen[bytes]) -> int:
        """How it ended; one that only closed its pipe is killed."""
        try:
            return process.wait(_EXIT_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill(no_answer("It closed its pipe without an end."))
            return process.wait()

    def _explain(self, exitcode: int) -> Death:
        return explain(exitcode, list(self._said), memory_limit_bytes=self._limits.memory_limit_bytes)

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            while (line := self._outbox.get()) is not None:
                pipe.write(line)
                pipe.flush()
            pipe.close()
        except OSError:
            log.debug("a worker process went away before it had read everything; its end is told on its own thread")
            _close(pipe)

    def _overhear(self, pipe: IO[bytes]) -> None:
        """Keep the end of what it says on standard error."""
        with pipe:
            while line := pipe.readline(_LINE_BYTES):
                self._said.append(line.decode("utf-8", "replace").rstrip())

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        tick, born, looked = self._limits.tick_s, time.monotonic(), time.monotonic()
        while not self._over.wait(tick):
            now = time.monotonic()
            if now - looked > 4 * tick + 1 or not self._has_work():
                self._pulse.rest(now)  # this process itself was stopped, or nothing is awaited
            looked = now
            verdict = self._judge(now, now - born, process.pid)
            if verdict is not None:
                self.kill(verdict)
                return

    def _judge(self, now: float, age_s: float, pid: int) -> Death | None:
        limit = self._limits.memory_limit_bytes
        if limit is not None and (private_bytes(pid) or 0) > limit:
            return Death(over_limit(limit), -9, "SIGKILL", would_recur=True)
        if not self.ready:
            late = age_s > self._limits.load_deadline_s
            return no_answer(f"The model was not loaded after {age_s:.3g} s.") if late else None
        return self._pulse.verdict(now)


def _spawn() -> subprocess.Popen[bytes]:
    """Start the interpreter anew, never by a fork: a forked llama.cpp would lack its threads."""
    here = str(Path(__file__).parents[3])
    path = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part)
    return subprocess.Popen(  # noqa: S603 - this interpreter and this package
        [sys.executable, "-P", "-m", "workbench.engine.worker.child", str(os.getpid())],
        # -P: what lies in the folder somebody works in must not take the place of a module
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C goes to the whole process group of a terminal
        # ggml would start a debugger for a backtrace of its own; faulthandler has ours
        env={**os.environ, "PYTHONPATH": path, "GGML_NO_BACKTRACE": "1"},
    )


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        log.debug("unsent bytes for a process that is gone")
