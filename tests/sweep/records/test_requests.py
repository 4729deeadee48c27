import dataclasses

import pytest

import workbench as wb
from workbench.errors import UsageError
from workbench.interfaces import Timings
from workbench.sweep.records.requests import request_series
from workbench.testing import ScriptedEngine

TIMINGS = Timings(
    queue_ms=100.0,
    prefill_ms=400.0,
    ttft_ms=510.0,
    decode_ms=60.0,
    total_ms=600.0,
    prompt_tokens=8,
    cached_tokens=0,
    output_tokens=3,
    itl_ms=(20.0, 40.0),
    started_s=1000.0,
)


def test_it_is_exported():
    assert wb.request_series is request_series


def test_a_gap_is_at_its_later_token_and_a_first_chunk_when_it_came():
    found = request_series([TIMINGS], since=999.0)
    assert found["ttft_ms"] == [(pytest.approx(1.51), 510.0)]
    assert found["itl_ms"] == [(pytest.approx(1.52), 20.0), (pytest.approx(1.56), 40.0)]
    assert request_series(TIMINGS, since=999.0) == found


def test_samples_of_several_requests_are_in_the_order_of_time():
    later = dataclasses.replace(TIMINGS, started_s=1000.03)
    found = request_series([later, TIMINGS], since=1000.0)
    assert [value for _, value in found["itl_ms"]] == [20.0, 20.0, 40.0, 40.0]
    assert [at for at, _ in found["itl_ms"]] == sorted(at for at, _ in found["itl_ms"])


def test_what_is_not_told_leaves_no_sample():
    silent = dataclasses.replace(TIMINGS, started_s=None)
    nothing = dataclasses.replace(TIMINGS, ttft_ms=None, itl_ms=(), output_tokens=0)
    assert request_series([silent, nothing], since=0.0) == {"ttft_ms": [], "itl_ms": []}


def test_on_the_clock_of_a_monitor_around_an_engine():
    with wb.Monitor(60.0) as monitor, ScriptedEngine("one two three four five") as engine:
        answers = [engine.complete("x", max_tokens=4) for _ in range(2)]
    end = max(at for samples in monitor.series.values() for at, _ in samples)
    found = request_series(answers, since=monitor)
    assert len(found["ttft_ms"]) == 2
    assert len(found["itl_ms"]) == sum(len(answer.timings.itl_ms) for answer in answers) > 0
    assert all(0 <= at <= end for samples in found.values() for at, _ in samples)
    wb.record(series={**monitor.series, **found})


def test_a_monitor_that_never_ran_has_no_clock():
    assert wb.Monitor().started_s is None
    with pytest.raises(UsageError, match="never started"):
        request_series([TIMINGS], since=wb.Monitor())
