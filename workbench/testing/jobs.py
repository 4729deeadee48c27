"""Jobs for trying out executors: functions any process can find by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.interfaces import Job


def echo(job: Job) -> Mapping[str, Any]:
    """Give back what came in."""
    return {"id": job.id, "payload": dict(job.payload)}


def fail(job: Job) -> Mapping[str, Any]:
    """Raise, with the job's id in the message."""
    raise ValueError(f"{job.id} was meant to fail")


def fail_if_odd(job: Job) -> Mapping[str, Any]:
    """Raise for an odd ``number``."""
    return fail(job) if job.payload["number"] % 2 else echo(job)


def leave_mark(job: Job) -> Mapping[str, Any]:
    """Write a file named after the job into ``folder``, then take ``seconds``."""
    (Path(job.payload["folder"]) / job.id).touch()
    time.sleep(job.payload.get("seconds", 0.0))
    return {}


def linger(job: Job) -> Mapping[str, Any]:
    """Take ``seconds``."""
    time.sleep(job.payload["seconds"])
    return {}


def fill_memory(job: Job) -> Mapping[str, Any]:
    """Have a child of this process hold ``bytes`` of memory for ``seconds``."""
    program = "import sys, time; held = b'x' * int(sys.argv[1]); time.sleep(float(sys.argv[2]))"
    arguments = [str(job.payload["bytes"]), str(job.payload["seconds"])]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)  # noqa: S603 - a constant program
    return {}


def die(job: Job) -> Mapping[str, Any]:
    """Kill the process that runs the job."""
    os.kill(os.getpid(), signal.SIGKILL)
    return echo(job)
