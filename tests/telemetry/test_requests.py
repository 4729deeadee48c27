"""A request to an engine leaves a trace of its own where somebody listens."""

import pytest

from workbench.telemetry import subscribe


@pytest.fixture
def engine(tiny):
    from workbench.engine import load

    with load(tiny, n_ctx=256, n_threads=1) as engine:
        yield engine


def test_a_request_is_told_before_its_answer_is_there(engine):
    told = []
    with subscribe(told.append):
        completion = engine.complete("Hello", max_tokens=4, ignore_eos=True)
    [trace] = told
    assert trace.kind == "request"
    assert trace.labels["finish"] == completion.finish_reason
    assert list(trace.stages) == ["queue", "prefill", "decode"]
    assert trace.stages["decode"] == completion.timings.decode_ms
    assert trace.counts["output_tokens"] == 4
    assert trace.total_ms == completion.timings.total_ms
    assert sum(trace.stages.values()) <= trace.total_ms * 1.01


def test_streams_too(engine):
    told = []
    with subscribe(told.append):
        list(engine.stream("Hello", max_tokens=4, ignore_eos=True))
    assert [trace.counts["output_tokens"] for trace in told] == [4]
