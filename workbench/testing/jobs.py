"""Jobs for trying out executors: functions any process can find by name."""

from __future__ import annotations

import os
import signal
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


def die(job: Job) -> Mapping[str, Any]:
    """Kill the process that runs the job."""
    os.kill(os.getpid(), signal.SIGKILL)
    return echo(job)
