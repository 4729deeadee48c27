"""Requests that go wrong, over real sockets: sent again, sent elsewhere, ended in time, or refused with the remedy."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings

import pytest

import workbench as wb
from workbench.endpoint import EndpointEngine, Limits, RetryPolicy
from workbench.errors import (
    AuthenticationFailed,
    ConstraintUnmet,
    ContextOverflow,
    DeadlineExceeded,
    EndpointError,
    EndpointUnavailable,
    InvalidSettings,
    QueueFull,
    RateLimited,
    SettingAdjusted,
    StreamIncomplete,
    UnknownName,
    UsageError,
)
from workbench.interfaces import Message
from workbench.registry import engines
from workbench.telemetry import subscribe
from workbench.testing import ScriptedEngine
from workbench.testing.mock_endpoint import Fault, MockEndpoint

TEXT = "Once there was a mill."
QUICK = RetryPolicy(base_s=0.01, max_s=0.02)


@pytest.fixture
def mock():
    with MockEndpoint(TEXT) as server:
        yield server


def reach(server, **options):
    options = {"retries": QUICK, "deadline_s": 20.0, **options}
    return EndpointEngine("mock", base_url=server.url, **options)


def asked(server, path="completions"):
    return [one for one in server.requests if path in one.path]


def closed_port():
    """An address where nothing listens."""
    with MockEndpoint() as gone:
        return gone.url


# -- sent again -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_a_failure_that_may_pass_is_sent_again(mock, status):
    mock.faults = [Fault("status", at=(0, 1), status=status)]
    with reach(mock) as engine:
        assert engine.complete("Hi").text == TEXT
    assert len(asked(mock)) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, EndpointError), (401, AuthenticationFailed), (403, AuthenticationFailed), (404, EndpointError)],
)
def test_what_is_wrong_with_the_request_is_not_sent_again(mock, status, kind):
    mock.faults = [Fault("status", status=status)]
    with reach(mock) as engine, pytest.raises(kind) as caught:
        engine.complete("Hi")
    assert len(asked(mock)) == 1
    assert (caught.value.status, caught.value.provider) == (status, "compatible")


def test_attempts_end(mock):
    mock.faults = [Fault("status", status=500)]
    with reach(mock, retries={"attempts": 3, "base_s": 0.01}) as engine, pytest.raises(EndpointError, match="500"):
        engine.complete("Hi")
    assert len(asked(mock)) == 3


def test_the_budget_bounds_the_retries_of_all_requests(mock):
    mock.faults = [Fault("status", status=429)]
    policy = {"attempts": 5, "base_s": 0.001, "budget": 0.0, "budget_floor": 4}
    with reach(mock, retries=policy) as engine:
        for _ in range(6):
            with pytest.raises(RateLimited):
                engine.complete("Hi")
    assert len(asked(mock)) == 6 + 4


def test_retry_after_is_obeyed(mock):
    mock.faults = [Fault("status", at=(0,), status=429, retry_after="1")]
    with reach(mock) as engine:
        engine.complete("Hi")
    first, second = (one.at_s for one in asked(mock))
    assert second - first >= 1.0


def test_retry_after_is_capped(mock):
    mock.faults = [Fault("status", at=(0,), status=503, retry_after="3600")]
    with reach(mock, retries={"retry_after_max_s": 0.2}, deadline_s=30.0) as engine:
        assert engine.complete("Hi").text == TEXT


def test_a_wait_beyond_the_deadline_is_not_begun(mock):
    mock.faults = [Fault("status", status=429, retry_after="50")]
    with reach(mock, deadline_s=20.0) as engine:
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(RateLimited) as caught:
                engine.complete("Hi")
            assert 45 < caught.value.retry_after <= 50
        assert time.monotonic() - began < 10
    assert len(asked(mock)) == 1, "the second request knows that the server wants to be left alone"


def test_a_refused_connection_is_tried_again(mock):
    mock.refuse()
    threading.Timer(0.2, mock.listen).start()
    with reach(mock, retries={"base_s": 0.3, "attempts": 8}, breaker={"failures": 50}) as engine:
        assert engine.complete("Hi").text == TEXT


def test_a_kept_connection_that_the_server_closed_is_no_failure(mock):
    mock.faults = [Fault("close_idle", at=(0,), seconds=0.05)]
    with reach(mock) as engine:
        engine.complete("Hi")
        time.sleep(0.2)
        assert engine.complete("Hi").text == TEXT


@pytest.mark.parametrize("kind", ["half_close", "reset", "bad_chunk", "garbage", "error_event"])
def test_never_again_after_the_first_token(mock, kind):
    mock.faults = [Fault(kind, at=(0,), after=3)]
    with reach(mock) as engine:
        with pytest.raises(StreamIncomplete) as caught:
            engine.complete("Hi")
        assert TEXT.startswith(caught.value.partial)
        assert caught.value.partial
        assert engine.complete("Hi").text == TEXT, "the engine goes on"
    assert len(asked(mock)) == 2


@pytest.mark.parametrize("kind", ["half_close", "reset", "bad_chunk", "garbage", "error_event"])
def test_again_before_the_first_token(mock, kind):
    mock.faults = [Fault(kind, at=(0,), after=0)]
    with reach(mock) as engine:
        assert engine.complete("Hi").text == TEXT
    assert len(asked(mock)) == 2


@pytest.mark.parametrize("kind", ["no_done", "no_finish"])
def test_an_end_that_is_none(mock, kind):
    mock.faults = [Fault(kind)]
    with reach(mock) as engine, pytest.raises(StreamIncomplete) as caught:
        engine.complete("Hi")
    assert caught.value.partial == TEXT


@pytest.mark.parametrize("kind", ["comments", "crlf", "multiline", "pieces"])
def test_what_the_standard_allows_changes_nothing(mock, kind):
    mock.faults = [Fault(kind)]
    with reach(mock) as engine:
        assert "".join(chunk.text for chunk in engine.stream("Hi")) == TEXT


def test_a_page_of_html_names_the_address(mock):
    mock.faults = [Fault("content_type")]
    with reach(mock) as engine, pytest.raises(EndpointError, match="base_url end where the API begins"):
        engine.complete("Hi")


# -- ended in time ----------------------------------------------------------------------------------------------------


def test_a_dripping_server_is_ended_by_the_deadline(mock):
    mock.faults = [Fault("drip", after=3, seconds=0.02)]
    with reach(mock, deadline_s=0.5, read_s=10.0) as engine, pytest.raises(DeadlineExceeded) as caught:
        engine.complete("Hi")
    assert (caught.value.deadline_s, caught.value.partial[:4]) == (0.5, "Once")


def test_a_silent_server_is_ended_by_the_read_timeout(mock):
    mock.faults = [Fault("stall", after=3)]
    with reach(mock, read_s=0.2) as engine, pytest.raises(StreamIncomplete, match="no sign of it for too long"):
        engine.complete("Hi")


def test_a_slow_server_is_asked_again(mock):
    mock.faults = [Fault("slow", at=(0,), seconds=5)]
    with reach(mock, read_s=0.2) as engine:
        assert engine.complete("Hi").text == TEXT


def test_cancel_closes_the_connection():
    with MockEndpoint("word " * 500, tokens_per_s=50) as mock, reach(mock) as engine:
        stream = engine.stream("Hi")
        next(stream)
        stream.cancel()
        assert list(stream)[-1].finish_reason == "cancelled"
        deadline = time.monotonic() + 5
        while mock.stats.running and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (mock.stats.running, mock.stats.broken) == (0, 1)


def test_the_first_chunk_does_not_wait_for_the_second():
    with MockEndpoint("one two three", tokens_per_s=2) as mock, reach(mock) as engine:
        chunks = [chunk.at_ms for chunk in engine.stream("Hi") if chunk.text]
        assert chunks[1] - chunks[0] >= 300


# -- elsewhere --------------------------------------------------------------------------------------------------------


def test_the_breaker_opens_and_is_shared(mock):
    mock.faults = [Fault("status", status=500)]
    options = {"retries": {"attempts": 1}, "breaker": {"failures": 3, "open_s": 30}}
    with reach(mock, **options) as one, reach(mock, **options) as other:
        for _ in range(3):
            with pytest.raises(EndpointError):
                one.complete("Hi")
        for engine in (one, other):
            with pytest.raises(EndpointUnavailable, match="circuit breaker is open") as caught:
                engine.complete("Hi")
            assert 0 < caught.value.retry_after <= 30
        assert one.health()[0].breaker == "open"
    assert len(asked(mock)) == 3


def test_the_breaker_closes_after_a_trial(mock):
    mock.faults = [Fault("status", at=(0, 1), status=500)]
    with reach(mock, retries={"attempts": 1}, breaker={"failures": 2, "open_s": 0.1}) as engine:
        for _ in range(2):
            with pytest.raises(EndpointError):
                engine.complete("Hi")
        time.sleep(0.15)
        assert engine.complete("Hi").text == TEXT
        assert engine.health()[0].breaker == "closed"


def test_a_refusal_says_nothing_about_the_servers_health(mock):
    mock.faults = [Fault("status", status=400)]
    with reach(mock, breaker={"failures": 1}) as engine:
        for _ in range(3):
            with pytest.raises(EndpointError, match="400"):
                engine.complete("Hi")


def test_load_is_spread_over_instances():
    with MockEndpoint(TEXT, latency_s=0.05) as one, MockEndpoint(TEXT, latency_s=0.05) as two:
        with reach(one, instances=[two.url]) as engine:
            engine.complete_many(["Hi"] * 12)
        assert [len(asked(server)) for server in (one, two)] == [6, 6]


def test_an_instance_that_fails_is_replaced_without_waiting():
    with MockEndpoint(TEXT) as good:
        slow = {"base_s": 30.0, "max_s": 30.0}
        with reach(good, instances=[closed_port()], retries=slow) as engine:
            assert [engine.complete("Hi").text for _ in range(4)] == [TEXT] * 4


def test_fallbacks_are_asked_in_their_order(mock):
    other = ScriptedEngine("From here.", name="local")
    with reach(mock, fallback=[other]) as engine:
        assert engine.complete("Hi").model == "mock"
        mock.refuse()
        mock.drop()
        answer = engine.complete("Hi")
        assert (answer.text, answer.model) == ("From here.", "local")
        assert answer.timings.queue_ms >= 0
        stream = engine.stream("Hi")
        assert "".join(chunk.text for chunk in stream) == "From here."
    assert len(other.requests) == 2


def test_a_fallback_may_be_an_endpoint_and_its_failure_leaves_the_first_error(mock):
    with reach(mock, fallback=[{"model": "x", "base_url": closed_port(), "retries": {"attempts": 1}}]) as engine:
        mock.faults = [Fault("status", status=500)]
        with pytest.raises(EndpointError, match="500"):
            engine.complete("Hi")


def test_no_fallback_for_a_wrong_key(mock):
    mock.faults = [Fault("status", status=401)]
    other = ScriptedEngine("From here.")
    with reach(mock, fallback=[other]) as engine, pytest.raises(AuthenticationFailed):
        engine.complete("Hi")
    assert other.requests == []


# -- what is sent and what comes back ---------------------------------------------------------------------------------


def test_load_takes_a_servers_model(mock):
    with wb.load("any/model:7b", engine="endpoint", base_url=mock.url, n_ctx=100, deadline_s=5) as engine:
        assert (engine.name, engine.settings.n_ctx, engine.effective["deadline_s"]) == ("any/model:7b", 100, 5)
        assert engine.complete("Hi").model == "any/model:7b"
        with pytest.raises(ContextOverflow):
            EndpointEngine("m", engine.settings, provider="vllm", base_url=mock.url).complete([1] * 200)
    assert engines.get("endpoint") is EndpointEngine
    with pytest.raises(InvalidSettings, match="n_threads is set where the server is started"):
        wb.load("m", engine="endpoint", base_url=mock.url, n_threads=2)
    with pytest.raises(UnknownName, match="base_url"):
        wb.load("m", engine="endpoint", base_ulr=mock.url)
    with pytest.raises(InvalidSettings, match="chat_template"):
        wb.load("m", engine="endpoint", base_url=mock.url, chat_template="{{ x }}")


def test_text_goes_to_completions_and_messages_to_chat(mock):
    with reach(mock) as engine:
        engine.complete("Hi", max_tokens=4)
        engine.complete([Message.system("Short."), Message.user("Hi")], max_tokens=4, seed=3, stop=["x"])
    text, chat = asked(mock)
    assert (text.path, text.body["prompt"]) == ("/v1/completions", "Hi")
    assert chat.path == "/v1/chat/completions"
    assert chat.body["messages"][0] == {"role": "system", "content": "Short."}
    assert (chat.body["max_tokens"], chat.body["seed"], chat.body["stop"]) == (4, 3, ["x"])
    assert "authorization" not in chat.headers


def test_what_a_provider_does_not_understand_is_told_once_and_recorded(mock):
    with reach(mock) as engine:
        with pytest.warns(SettingAdjusted, match="does not understand top_k: 3 is left out"):
            engine.complete("Hi", top_k=3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine.complete("Hi", top_k=3)
            engine.complete("Hi", temperature=0, top_k=3)
        assert engine.effective["sampling_left_out"] == {"top_k": 3, "min_p": 0.05}
        for promise in ({"ignore_eos": True}, {"logit_bias": {1: 2.0}}, {"grammar": 'root ::= "a"'}):
            with pytest.raises(UsageError, match="takes no"):
                engine.complete("Hi", **promise)


def test_json_schema(mock):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with reach(mock) as engine:
        assert engine.complete_json([Message.user("a number")], schema) == {"a": 0}
        with pytest.raises(ConstraintUnmet):
            engine.complete([Message.user("a number")], json_schema=schema, max_tokens=1)


def test_a_prompt_too_long_is_an_overflow_with_its_numbers():
    with MockEndpoint(TEXT, n_ctx=20) as mock, reach(mock) as engine:
        with pytest.raises(ContextOverflow) as caught:
            engine.complete("word " * 50)
        assert caught.value.need_tokens > caught.value.have_tokens == 20


def test_the_queue_has_an_end():
    with MockEndpoint("word " * 50, tokens_per_s=100) as mock:
        settings = wb.EngineSettings(queue_limit=2)
        with reach(mock, settings=settings, limits=Limits(concurrency=1)) as engine:
            streams = [engine.stream("Hi") for _ in range(3)]
            with pytest.raises(QueueFull) as caught:
                engine.stream("Hi")
            assert caught.value.waiting == 2
            for stream in streams:
                stream.cancel()


def test_limits_hold_over_all_engines_of_a_provider():
    with MockEndpoint(TEXT, latency_s=0.02) as mock:
        limits = Limits(concurrency=2)
        with reach(mock, limits=limits) as one, reach(mock, limits=limits) as two:
            streams = [engine.stream("Hi") for engine in (one, two) for _ in range(5)]
            assert all(list(stream) for stream in streams)
        assert mock.stats.peak_running == 2


def test_queueing_is_told_apart_from_the_servers_time():
    with MockEndpoint(TEXT, latency_s=0.1) as mock, reach(mock, limits=Limits(concurrency=1)) as engine:
        first, second = sorted((one.timings for one in engine.complete_many(["Hi"] * 2)), key=lambda t: t.queue_ms)
        assert second.queue_ms >= 100 > first.queue_ms
        assert second.prefill_ms >= 90


def test_a_finished_request_is_told_to_who_listens(mock):
    told = []
    with subscribe(told.append), reach(mock) as engine:
        done = engine.complete("Hi")
    assert [trace.kind for trace in told] == ["request"]
    assert told[0].counts["output_tokens"] == done.timings.output_tokens > 0
    assert set(told[0].stages) == {"queue", "prefill", "decode"}


def test_many_requests_at_once_from_an_event_loop(mock):
    async def run(engine):
        return await asyncio.gather(*(engine.acomplete(f"Hi {n}") for n in range(40)))

    mock.faults = [Fault("status", probability=0.1, status=500)]
    with reach(mock, breaker={"failures": 100}) as engine:
        answers = asyncio.run(run(engine))
        assert [answer.text for answer in answers] == [TEXT] * 40
        assert (engine.stats.requests, engine.stats.waiting, engine.stats.state) == (40, 0, "idle")


def test_names_of_models_and_health(mock):
    with reach(mock) as engine:
        assert engine.models() == ["mock"]
        assert [(one.url, one.healthy) for one in engine.health()] == [(mock.url, True)]
        mock.refuse()
        mock.drop()
        assert engine.health()[0].healthy is False


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"provider": "opnai"}, UnknownName),
        ({"provider": "compatible"}, UsageError),
        ({"base_url": "ftp://x"}, UsageError),
        ({"base_url": "http://127.0.0.1:99999"}, UsageError),
        ({"base_url": "http://x", "limits": {"rpm": 3}}, UnknownName),
        ({"base_url": "http://x", "limits": 3}, InvalidSettings),
        ({"base_url": "http://x", "deadline_s": 0}, InvalidSettings),
        ({"base_url": "http://x", "read_s": None}, InvalidSettings),
    ],
)
def test_bad_options_are_refused(options, kind):
    with pytest.raises(kind):
        EndpointEngine("m", **options)
