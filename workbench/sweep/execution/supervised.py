"""A driver's end of the line to one supervisor (:mod:`.supervisor`): one job at a time, and how it ended."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import SweepError
from workbench.interfaces import Job, Outcome
from workbench.storage import read_json, safe_name
from workbench.sweep.execution import failures

_STOP_S = 20.0


class Supervised:
    """Runs one job at a time below a supervisor that is started when it is needed, and again when it was killed.

    Args:
        timeout_s: longest time of a job that does not say.
    """

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._job: Job | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job has been begun and not ended."""
        return self._job is not None

    @property
    def pid(self) -> int | None:
        """The supervisor's process id; ``None``: there is none now."""
        return self._process.pid if self._process is not None else None

    def fileno(self) -> int:
        """Readable when the job has ended: for :mod:`selectors`."""
        return int(_pipe(self._running().stdout).fileno())

    def begin(self, job: Job, module: str, function: str) -> None:
        """Start a job. Only when not :attr:`busy`."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        self._scratch = tempfile.TemporaryDirectory(prefix="workbench-job-")
        self._job = job
        request = {
            "id": job.id,
            "payload": job.payload,
            "module": module,
            "function": function,
            "result": str(self._result_file(job)),
            "timeout_s": self._limit_s(job),
            "memory_bytes": job.memory_bytes,
        }
        process = self._process or self._start()
        with contextlib.suppress(BrokenPipeError):  # killed this moment: the end of its output tells
            _send(process, request)

    def end(self) -> tuple[Job, Outcome]:
        """Wait for the job in progress; it is over, whatever became of it."""
        job, line = self._job, _pipe(self._running().stdout).readline()
        if job is None:  # pragma: no cover - nobody waits for a job that was not begun
            raise SweepError("no job was begun")
        outcome = self._outcome(job, json.loads(line)) if line else _lost()
        if not line:
            self.stop()
        self._forget()
        return job, outcome

    def stop(self) -> None:
        """End the supervisor and all below it. Idempotent."""
        process, self._process = self._process, None
        self._forget()
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            _pipe(process.stdin).close()  # it kills everything below it when its input ends
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _pipe(process.stdout).close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbench.sweep.execution.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the driver, which then closes it in order
        )
        _send(self._process, {"path": sys.path})
        return self._process

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:  # pragma: no cover - asked for only while a job runs
            raise SweepError("no supervisor was started")
        return self._process

    def _forget(self) -> None:
        scratch, self._scratch, self._job = self._scratch, None, None
        if scratch is not None:
            scratch.cleanup()

    def _result_file(self, job: Job) -> Path:
        if self._scratch is None:  # pragma: no cover - made with the job
            raise SweepError("no job was begun")
        return Path(self._scratch.name) / f"{safe_name(job.id)}.json"

    def _limit_s(self, job: Job) -> float | None:
        return self._timeout_s if job.timeout_s is None else job.timeout_s

    def _outcome(self, job: Job, reply: Mapping[str, Any]) -> Outcome:
        left: dict[str, Any]
        left = read_json(self._result_file(job)) if reply["exit_code"] == 0 else self._death(job, reply)
        return Outcome(
            status="failed" if "error" in left else "done",
            result=left.get("result"),
            error=left.get("error"),
            elapsed_s=reply["elapsed_s"],
            host=platform.node(),
            reason=left.get("reason"),
        )

    def _death(self, job: Job, reply: Mapping[str, Any]) -> dict[str, Any]:
        ended, code = reply.get("ended"), reply["exit_code"]
        if ended == "timeout":
            text = f"it took longer than timeout_s = {self._limit_s(job):g} s and was killed"
            return {"error": text, "reason": ended}
        if ended == "out_of_memory":
            need, have = reply["held_bytes"] / 2**30, (job.memory_bytes or 0) / 2**30
            text = f"its processes needed {need:,.2f} GiB of memory, its limit is {have:,.2f} GiB, so they were killed"
            return {"error": f"{text}. Raise memory_limit_gib, or use smaller settings.", "reason": ended}
        reason = failures.of_death(code, oom_kills=reply["oom_kills"])
        how = failures.describe(code)
        if reason == "out_of_memory":
            return {"error": f"the machine ran out of memory: its process was {how}", "reason": reason}
        hint = " (out of memory?)" if how.endswith("SIGKILL") else ""
        text = f"its process was {how}{hint}" if (code or 0) < 0 else f"its process ended with {how} and left no result"
        return {"error": text, "reason": reason}


def _lost() -> Outcome:
    return Outcome(
        status="failed",
        result=None,
        error="its supervisor was killed",
        elapsed_s=0.0,
        host=platform.node(),
        reason="lost",
    )


def _send(process: subprocess.Popen[bytes], value: Mapping[str, Any]) -> None:
    line = _pipe(process.stdin)
    line.write(json.dumps(value, allow_nan=False).encode() + b"\n")
    line.flush()


def _pipe(stream: Any) -> Any:
    if stream is None:  # pragma: no cover - both are always piped
        raise SweepError("the supervisor was started without a line to it")
    return stream
