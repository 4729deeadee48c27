"""One measuring process and the line to it. Knows requests and deadlines, not what is measured."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import IO, Any

from workbench.errors import EngineError, WorkerDied

_LAST_WORDS = 400


class Child:
    """A process running :mod:`workbench.tuning.child`. For one thread."""

    def __init__(self) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.tuning.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},  # an abort's words, not a debugger's, and at once
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # a thread, because pipes have no portable time-out
        threading.Thread(target=_forward, args=(self._process.stdout, self._answers), daemon=True).start()

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Its answer. After an error of the second kind the process is gone.

        Raises:
            EngineError: what was asked for failed there.
            WorkerDied: it crashed, was killed, or did not answer in time.
        """
        try:
            assert self._process.stdin is not None  # noqa: S101 - Popen was asked for a pipe
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.close()
            raise WorkerDied(f"No answer within {timeout_s:.0f} s.", exitcode=None) from None
        except OSError:
            line = b""
        except BaseException:  # Ctrl-C: the answer still to come must not become the next request's
            self.close()
            raise
        if not line:
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def close(self) -> None:
        """Kill it. Idempotent."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # unsent bytes for a process that is gone
                    pipe.close()
        self._said.close()

    def _death(self) -> WorkerDied:
        code = self._process.wait()
        self._said.seek(0)
        words = " ".join(self._said.read()[-_LAST_WORDS:].decode("utf-8", "replace").split())
        self.close()
        name = signal.Signals(-code).name if code < 0 else None
        how = name or f"exit status {code}"
        return WorkerDied(f"Its process ended by {how}. Last words: {words or 'none'}.", exitcode=code, signal=name)


def _forward(pipe: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Lines of the child → queue; an empty line at its end."""
    try:
        for line in pipe:
            answers.put(line)
    except ValueError:  # the pipe was closed under us: the child was killed
        pass
    answers.put(b"")
