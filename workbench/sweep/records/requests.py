"""What the requests of a run were like over time, on the clock of the run's monitor."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from workbench.errors import UsageError
from workbench.hardware import Monitor
from workbench.interfaces import Completion, Timings

Samples = list[tuple[float, float | None]]


def request_series(
    requests: Iterable[Completion | Timings] | Completion | Timings, *, since: Monitor | float
) -> dict[str, Samples]:
    """The series ``ttft_ms`` and ``itl_ms`` of docs/metrics.md: a sample a first chunk, a sample a gap between tokens.

    >>> with wb.Monitor() as monitor:
    ...     answers = llm.complete_many(prompts)
    >>> wb.record(metrics, series={**monitor.series, **wb.request_series(answers, since=monitor)})

    Args:
        requests: completions, or their timings, in any order; or one of them.
        since: the monitor whose series they stand beside, or a moment of ``time.perf_counter``.

    Returns:
        Name → (seconds since then, milliseconds) pairs in the order of time: a request's first chunk at the moment it
        came, a gap at its later token. Requests of an engine that does not tell when they were made
        (``Timings.started_s``) leave none.

    Raises:
        UsageError: the monitor was never started.
    """
    zero_s = since.started_s if isinstance(since, Monitor) else since
    if zero_s is None:
        raise UsageError("The monitor was never started, so nothing is on its clock. Open it: with wb.Monitor() as …")
    several = [requests] if isinstance(requests, Completion | Timings) else requests
    timed = [one.timings if isinstance(one, Completion) else one for one in several]
    told = [(one, one.started_s - zero_s) for one in timed if one.started_s is not None]
    return {
        "ttft_ms": sorted((at + 1e-3 * one.ttft_ms, one.ttft_ms) for one, at in told if one.ttft_ms is not None),
        "itl_ms": sorted(itertools.chain.from_iterable(_gaps(one, at) for one, at in told)),
    }


def _gaps(timings: Timings, made_s: float) -> Iterable[tuple[float, float]]:
    """Each gap at its later token; the first token is drawn when the prompt is read."""
    first_ms = timings.queue_ms + timings.prefill_ms
    drawn_ms = itertools.islice(itertools.accumulate(timings.itl_ms, initial=first_ms), 1, None)
    return ((made_s + 1e-3 * at_ms, gap_ms) for at_ms, gap_ms in zip(drawn_ms, timings.itl_ms, strict=True))
