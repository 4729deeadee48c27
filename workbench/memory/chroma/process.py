"""The process that holds Chroma, seen from outside: started, asked, given up when it dies or does not answer."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from workbench.errors import StorageError
from workbench.memory.chroma.frames import read_frame, write_frame

_EXIT_WITHIN_S = 10.0


class ArchiveProcessDied(StorageError):
    """The process that held the archives is gone. What it was asked for may be asked again: of a new one."""


class ArchiveProcess:
    """One child process. Not thread-safe.

    Args:
        folder: of the archives.
        most_open: archives open at once.
        deadline_s: no answer within this time, and it is killed.
    """

    def __init__(self, folder: Path, *, most_open: int, deadline_s: float) -> None:
        self._folder, self._deadline_s = folder, deadline_s
        here = str(Path(__file__).parents[3])
        path = os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and this package
            [sys.executable, "-P", "-m", "workbench.memory.chroma.child", str(folder), str(most_open)],
            # -P: what lies in the folder somebody works in must not take the place of a module
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C goes to the whole process group of a terminal
            env={**os.environ, "PYTHONPATH": path},
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any], body: bytes = b"") -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            ArchiveProcessDied: there is none.
        """
        assert self._process.stdin and self._process.stdout  # noqa: S101, PT018 - Popen was asked for pipes
        watch = threading.Timer(self._deadline_s, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            write_frame(self._process.stdin, request, body)
            frame = read_frame(self._process.stdout)
        except OSError:
            frame = None
        finally:
            watch.cancel()
        if frame is None:
            self._process.kill()
            self.close()
            raise ArchiveProcessDied(
                f"The process that holds the archives in {self._folder} ended with {self._process.returncode}."
            )
        return frame[0]

    def close(self) -> None:
        """Let it finish and end. Idempotent."""
        _close(self._process.stdin)
        try:
            self._process.wait(_EXIT_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _close(self._process.stdout)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):  # it died with something unread
            pipe.close()
