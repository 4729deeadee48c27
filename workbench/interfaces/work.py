"""The contract of an executor, and what a measured run leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one measured run left.

    Attributes:
        metrics: name with unit → value; ``None`` where there was nothing to read.
        info: what is not a number: effective settings, hashes, texts.
        series: name → samples over time, as (seconds since the start, value) pairs.
    """

    metrics: Mapping[str, float | None]
    info: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, Sequence[tuple[float, float | None]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for an executor: JSON values only, so that it can travel.

    Attributes:
        id: the same job has the same id, wherever and whenever it runs.
        payload: what the job's function needs.
        timeout_s: longest time it may take; ``None``: what the executor was made with.
        memory_bytes: resident memory its processes may have together; ``None``: what the machine has.
        group: jobs of one group are compared with one another and belong on one host; ``None``: wherever.
    """

    id: str
    payload: Mapping[str, Any]
    timeout_s: float | None = None
    memory_bytes: int | None = None
    group: str | None = None


Reason = Literal["error", "timeout", "out_of_memory", "died", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: "done" or "failed".
        result: what its function returned; ``None`` if it failed.
        error: why it failed, for a person.
        elapsed_s: wall time.
        host: where it ran.
        reason: why it failed, for a program; ``None`` if it did not. "error": the function raised; "timeout": the
            deadline; "out_of_memory": its limit, the machine's memory or the GPU's; "died": its process was killed or
            crashed; "lost": nobody knows, its worker is gone and it may be asked for again.
    """

    status: Literal["done", "failed"]
    result: Mapping[str, Any] | None
    error: str | None
    elapsed_s: float
    host: str
    reason: Reason | None = None


@runtime_checkable
class Executor(Protocol):
    """Runs jobs somewhere. A failing job is an outcome, never an exception.

    ``function`` is importable by its name (module level), so that an executor may run it in another process; what it
    returns is JSON values.
    """

    slots: int
    """Jobs that run at the same time."""

    def run(self, jobs: Iterable[Job], function: Callable[[Job], Mapping[str, Any]]) -> Iterator[tuple[Job, Outcome]]:
        """Run every job, started in the given order, yielded as they end. Closing the iterator stops what runs."""
        ...

    def close(self) -> None:
        """Stop what runs and free the workers. Idempotent."""
        ...
