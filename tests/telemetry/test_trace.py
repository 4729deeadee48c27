"""A trace says what was done, when, for how long and how often; without one nothing is kept."""

import threading
import time

import pytest

from workbench.telemetry import Trace, count, current, label, span, subscribe, tracing


def test_stages_follow_one_another_on_one_clock():
    trace = Trace("turn", session="s")
    with tracing(trace):
        with span("recall"):
            time.sleep(0.002)
        with span("compress"):
            pass
        with span("recall"):
            time.sleep(0.002)
    assert [one.name for one in trace.spans] == ["recall", "compress", "recall"]
    assert list(trace.stages) == ["recall", "compress"], "a stage that came twice is one, where it came first"
    assert trace.stages["recall"] == trace.spans[0].elapsed_ms + trace.spans[2].elapsed_ms >= 4
    assert trace.spans[0].start_ms <= trace.spans[1].start_ms <= trace.spans[2].start_ms


def test_a_part_is_not_added_to_its_stage_again():
    trace = Trace()
    with tracing(trace), span("recall"), span("database"):
        time.sleep(0.001)
    assert list(trace.stages) == ["recall"]
    assert list(trace.parts) == ["database"]
    assert trace.spans[1].within == "recall"
    assert trace.stages["recall"] >= trace.parts["database"]


def test_a_span_of_another_trace_is_no_part():
    outer, inner = Trace(), Trace()
    with tracing(outer), span("turn"), tracing(inner), span("request"):
        pass
    assert inner.spans[0].within is None


def test_without_a_trace_nothing_happens():
    assert current() is None
    with span("recall") as one:
        count("recalled")
        label(route="fast")
    assert one is None


def test_counts_add_up_and_labels_replace():
    trace = Trace(session="s")
    with tracing(trace):
        count("hits")
        count("hits", 2)
        label(route="fast", session="t")
    assert trace.counts == {"hits": 3}
    assert trace.labels == {"session": "t", "route": "fast"}


def test_what_fails_is_timed_too():
    trace = Trace()

    def fail():
        with tracing(trace), span("recall"):
            time.sleep(0.001)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert trace.spans[0].elapsed_ms >= 1
    assert current() is None


def test_its_end_is_told_once_and_to_those_who_listen():
    told = []
    trace = Trace()
    with subscribe(told.append):
        trace.end()
        trace.end()
    Trace().end()
    assert told == [trace]
    ended = trace.total_ms
    time.sleep(0.002)
    assert trace.total_ms == ended


def test_a_listener_that_fails_harms_nobody(caplog):
    def fails(trace):
        raise ValueError("no")

    told = []
    with subscribe(fails), subscribe(told.append):
        Trace().end()
    assert len(told) == 1
    assert "listener of traces failed" in caplog.text


def test_another_thread_has_a_trace_of_its_own():
    trace, seen = Trace(), []
    with tracing(trace):
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_threads_may_count_together():
    trace = Trace()

    def work():
        with tracing(trace):
            for _ in range(1000):
                count("n")
                with span("s"):
                    pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trace.counts["n"] == len(trace.spans) == 4000


def test_as_plain_values():
    trace = Trace("turn", session="s")
    with tracing(trace), span("recall", k=10):
        count("recalled", 3)
    trace.place("prefill", 5.0, 7.0)
    trace.end()
    values = trace.to_dict()
    assert values["labels"] == {"session": "s"}
    assert values["counts"] == {"recalled": 3}
    assert values["spans"][0]["k"] == 10
    assert values["spans"][1] == {"name": "prefill", "start_ms": 5.0, "elapsed_ms": 7.0, "within": None}
    assert values["total_ms"] == trace.total_ms


def test_a_turn_is_traced_in_well_under_a_millisecond():
    def turn():
        trace = Trace("turn", session="s", model="m", turn=1)
        with tracing(trace):
            for name in ("queue", "cache", "recall", "compress", "tools", "tools", "background"):
                with span(name):
                    count("db_queries", 2)
                    count("db_ms", 0.1)
        trace.end()

    def took():
        started = time.perf_counter()
        for _ in range(200):
            turn()
        return (time.perf_counter() - started) / 200

    assert min(took() for _ in range(3)) < 1e-3
