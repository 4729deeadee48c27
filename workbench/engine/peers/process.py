"""A llama-server process: started, waited for, ended. Knows nothing of prompts.

It never outlives the process that started it: it is killed on close, at interpreter exit, and by the kernel should its
parent die (``prctl(2)``, ``PR_SET_PDEATHSIG``, Linux).
"""

from __future__ import annotations

import collections
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from workbench.engine.peers.program import clean_environment
from workbench.errors import ModelLoadError

START_DEADLINE_S = 300.0
"""A large model from a slow disk takes its time."""

_ANSWER_TIMEOUT_S = 60.0
_POLL_S = 0.02
_LOG_LINES = 30

_EXEC = (  # runs between fork and exec of the server, where Python code of a threaded parent must not
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux':\n"
    "    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "    if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


class ServerProcess:
    """A running llama-server that takes requests on :attr:`port` of 127.0.0.1. Thread-safe.

    Args:
        command: port → the command line.

    Raises:
        ModelLoadError: it ended, or did not get ready in time; quotes what it said.
    """

    def __init__(self, command: Callable[[int], Sequence[str]], *, deadline_s: float = START_DEADLINE_S) -> None:
        self.port = _free_port()
        self.closed = False
        self._said: collections.deque[str] = collections.deque(maxlen=_LOG_LINES)
        started: queue.SimpleQueue[subprocess.Popen[str] | OSError] = queue.SimpleQueue()
        # The kernel takes the *thread* that started a process for its parent, so that has to be one that stays.
        threading.Thread(
            target=self._attend, args=(list(command(self.port)), started), name="llama-server", daemon=True
        ).start()
        process = started.get()
        if isinstance(process, OSError):
            raise ModelLoadError(f"llama-server could not be started: {process}") from process
        self._process = process
        try:
            self._await_health(deadline_s)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exitcode(self) -> int | None:
        """How it ended; negative: by which signal; ``None``: it runs."""
        return self._process.poll()

    @property
    def said(self) -> str:
        """Its last words."""
        return " / ".join(list(self._said)[-3:]) or "nothing"

    def connect(self, timeout_s: float | None = None) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def ask(self, path: str, body: Any = None) -> Any:
        """One small request and its JSON answer.

        Raises:
            OSError, HTTPException: it did not answer.
        """
        connection = self.connect(_ANSWER_TIMEOUT_S)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def stop(self) -> None:
        """Kill it; there is nothing it would have to save. Idempotent."""
        self.closed = True
        self._process.kill()
        self._process.wait()

    def _attend(self, command: list[str], started: queue.SimpleQueue[Any]) -> None:
        """Start it, keep the end of what it says, and stay until it has ended."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the program the user put on PATH
                [sys.executable, "-I", "-S", "-c", _EXEC, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=clean_environment(),
            )
        except OSError as error:
            started.put(error)
            return
        started.put(process)
        assert process.stdout is not None  # noqa: S101 - Popen was asked for a pipe
        with process.stdout as pipe:
            self._said.extend(line.strip() for line in pipe if line.strip())

    def _await_health(self, deadline_s: float) -> None:
        give_up = time.monotonic() + deadline_s
        while not self._healthy():
            if self.exitcode is not None:
                raise ModelLoadError(f"llama-server ended with {self.exitcode} before it was ready: {self.said}")
            if time.monotonic() > give_up:
                raise ModelLoadError(f"llama-server was not ready after {deadline_s:g} s: {self.said}")
            time.sleep(_POLL_S)

    def _healthy(self) -> bool:
        try:
            connection = self.connect(_ANSWER_TIMEOUT_S)
            connection.request("GET", "/health")
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException):
            return False
        return status == 200


def signal_name(exitcode: int | None) -> str | None:
    """The signal that ended a process, by its name."""
    return signal.Signals(-exitcode).name if exitcode is not None and exitcode < 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
