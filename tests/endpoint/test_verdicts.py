"""What an outcome says about a server, and who waits because of it."""

from __future__ import annotations

import dataclasses
import time

import pytest

from workbench.caching.keys import engine_identity, request_key
from workbench.endpoint import PROVIDERS, BreakerSettings, EndpointEngine, Limits, RetryPolicy
from workbench.endpoint.balancing import Instance
from workbench.endpoint.client import client
from workbench.endpoint.secrets import Key
from workbench.errors import (
    DeadlineExceeded,
    EndpointError,
    EndpointUnavailable,
    RateLimited,
    StreamIncomplete,
)
from workbench.interfaces import Request
from workbench.testing import ScriptedEngine
from workbench.testing.mock_endpoint import Answer, Fault, MockEndpoint

TEXT = "Once there was a mill."
ONCE = RetryPolicy(attempts=1)


def reach(server, **options):
    return EndpointEngine("mock", base_url=server.url, **{"retries": ONCE, "deadline_s": 20.0, **options})


def asked(server):
    return [one for one in server.requests if "completions" in one.path]


def breaker_of(engine):
    return engine.health()[0].breaker


# -- whose answer it is -----------------------------------------------------------------------------------------------


def test_answers_of_two_servers_or_models_are_kept_apart():
    with MockEndpoint("one") as one, MockEndpoint("two") as two:
        engines = [
            EndpointEngine("m", base_url=one.url),
            EndpointEngine("m", base_url=two.url),
            EndpointEngine("n", base_url=one.url),
            EndpointEngine("m", base_url=one.url, provider="vllm"),
            EndpointEngine("m", base_url=one.url, instances=[two.url]),
        ]
        keys = [request_key(engine, Request.of("Hi")) for engine in engines]
        assert len(set(keys)) == len(engines)
        other_order = EndpointEngine("m", base_url=two.url, instances=[one.url])
        assert engine_identity(other_order) == engines[-1].identity


def test_a_provider_of_ones_own_with_a_known_name_is_another_server():
    with MockEndpoint("one") as mock:
        own = dataclasses.replace(PROVIDERS["vllm"], health="/nowhere")
        ask = [EndpointEngine("m", provider=one, base_url=mock.url) for one in ("vllm", own, dataclasses.replace(own))]
        for engine in ask:
            engine.health()
        known, *owned = [client().instance(Instance(mock.url, one.provider, Key(), BreakerSettings())) for one in ask]
        assert known is not owned[0]
        assert owned[0] is owned[1]
    assert [one.path for one in mock.requests] == ["/health", "/nowhere", "/nowhere"]


# -- rates ------------------------------------------------------------------------------------------------------------


def test_who_waits_for_the_rate_hears_of_retry_after():
    fault = Fault("status", at=(0,), status=429, retry_after="2")
    limits = Limits(requests_per_minute=120)  # 12 at once; one each half a second then
    with (
        MockEndpoint(TEXT, faults=[fault]) as mock,
        reach(mock, limits=limits, retries={"attempts": 3, "base_s": 0.01}) as engine,
    ):
        assert {answer.text for answer in engine.complete_many(["Hi"] * 14)} == {TEXT}
        times = sorted(one.at_s for one in asked(mock))
    assert times[12] - times[0] >= 2.0


def test_who_waits_for_the_rate_hears_of_an_open_breaker():
    with MockEndpoint(TEXT, faults=[Fault("status", status=500)]) as mock:
        limits = Limits(requests_per_minute=10)  # one at once; one each 6 s then
        with reach(mock, limits=limits, breaker={"failures": 1, "open_s": 60}, deadline_s=60.0) as engine:
            began, refused = time.monotonic(), []
            streams = [engine.stream("Hi") for _ in range(6)]
            for stream in streams:
                with pytest.raises(EndpointError) as caught:
                    list(stream)
                refused.append(isinstance(caught.value, EndpointUnavailable))
            assert time.monotonic() - began < 40, "one may wait for its rate; nobody else after it"
        assert len(asked(mock)) == 1
        assert sorted(refused) == [False, *[True] * 5]


def test_a_trial_is_not_held_by_who_waits_for_the_rate():
    with MockEndpoint(TEXT, faults=[Fault("status", at=(0,), status=500)]) as mock:
        options = {"breaker": {"failures": 1, "open_s": 0.2}}
        slow = reach(mock, limits=Limits(requests_per_minute=1), **options)
        with slow, reach(mock, **options) as quick:
            with pytest.raises(EndpointError):
                slow.complete("Hi")
            time.sleep(0.3)
            waiting = slow.stream("Hi")
            time.sleep(0.2)
            assert quick.complete("Hi").text == TEXT
            waiting.cancel()


def test_engines_with_the_same_limits_share_them_whatever_their_retries():
    with MockEndpoint(TEXT, latency_s=0.03) as mock:
        limits = Limits(concurrency=1)
        with reach(mock, limits=limits) as one, reach(mock, limits=limits, retries={"attempts": 4}) as two:
            streams = [engine.stream("Hi") for engine in (one, two) for _ in range(4)]
            assert all(list(stream) for stream in streams)
        assert mock.stats.peak_running == 1


# -- the breaker ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["content_filter", "abort"])
def test_an_end_that_is_none_is_no_failure_of_the_server(reason):
    with MockEndpoint(Answer(TEXT, finish_reason=reason)) as mock, reach(mock, breaker={"failures": 1}) as engine:
        for _ in range(3):
            with pytest.raises(StreamIncomplete, match="filter" if "filter" in reason else reason) as caught:
                engine.complete("Hi")
            assert caught.value.partial == TEXT
        assert breaker_of(engine) == "closed"


def test_the_first_token_of_a_trial_closes_the_breaker():
    with (
        MockEndpoint("word " * 100, tokens_per_s=20, faults=[Fault("status", at=(0,), status=500)]) as mock,
        reach(mock, breaker={"failures": 1, "open_s": 0.2}) as engine,
    ):
        with pytest.raises(EndpointError):
            engine.complete("Hi")
        time.sleep(0.3)
        trial = engine.stream("Hi")
        next(trial)
        assert breaker_of(engine) == "closed"
        assert engine.complete("Hi", max_tokens=2).text, "while the trial still streams"
        trial.cancel()


def test_a_server_that_is_silent_until_the_deadline_has_failed():
    with (
        MockEndpoint(TEXT, faults=[Fault("slow", seconds=30)]) as mock,
        reach(mock, deadline_s=0.3, breaker={"failures": 2, "open_s": 30}) as engine,
    ):
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                engine.complete("Hi")
        with pytest.raises(EndpointUnavailable, match="circuit breaker is open"):
            engine.complete("Hi")


def test_a_deadline_spent_in_a_queue_or_after_the_first_token_is_no_failure():
    with (
        MockEndpoint("word " * 100, tokens_per_s=20) as mock,
        reach(mock, deadline_s=0.6, breaker={"failures": 1}, limits=Limits(concurrency=1)) as engine,
    ):
        streams = [engine.stream("Hi") for _ in range(3)]
        for stream in streams:
            with pytest.raises(DeadlineExceeded):
                list(stream)
        assert breaker_of(engine) == "closed"


# -- elsewhere --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "message"), [(429, "insufficient_quota"), (402, "pay")])
def test_an_empty_account_is_not_asked_again_but_the_fallback_is(status, message):
    other = ScriptedEngine("From here.")
    with MockEndpoint(TEXT, faults=[Fault("status", status=status, message=message)]) as mock:
        with reach(mock, retries={"attempts": 4, "base_s": 0.01}, fallback=[other]) as engine:
            assert engine.complete("Hi").text == "From here."
        with reach(mock) as engine, pytest.raises(RateLimited if status == 429 else EndpointError, match=message):
            engine.complete("Hi")
        assert len(asked(mock)) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_mistake_of_configuration_is_not_hidden_by_a_fallback(status):
    other = ScriptedEngine("From here.")
    with (
        MockEndpoint(TEXT, faults=[Fault("status", status=status)]) as mock,
        reach(mock, fallback=[other]) as engine,
        pytest.raises(EndpointError, match=str(status)),
    ):
        engine.complete("Hi")
    assert other.requests == []


def test_a_failed_attempts_end_and_usage_are_not_the_next_ones():
    """An attempt that ends before any token, with a reason and usage, is followed by one that breaks off."""
    faults = [Fault("no_done", at=(0,)), Fault("no_finish", at=(1,))]
    with MockEndpoint(["", "ab"], faults=faults) as mock:
        engine = reach(mock, retries={"attempts": 2, "base_s": 0.01})
        with engine, pytest.raises(StreamIncomplete, match="without a finish_reason"):
            engine.complete("Hi")
        assert len(asked(mock)) == 2


# -- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["models", "tokenize", "count_tokens", "score"])
def test_a_dripping_answer_to_a_question_has_an_end(question):
    with MockEndpoint(TEXT, faults=[Fault("drip", path="/", after=0, seconds=0.02)]) as mock:
        for options in ({"read_s": 0.3}, {"deadline_s": 0.3}):
            with reach(mock, provider="vllm", **options) as engine:
                arguments = () if question == "models" else ("Hi",)
                with pytest.raises(EndpointUnavailable, match=r"more than 0\.3 s"):
                    getattr(engine, question)(*arguments)


def test_a_question_is_put_again_to_a_server_that_hung_up_once():
    with MockEndpoint(TEXT, faults=[Fault("reset", path="/models", after=0, at=(0,))]) as mock, reach(mock) as engine:
        assert len(engine.models()) == 1
    with MockEndpoint(TEXT, faults=[Fault("reset", path="/models", after=0)]) as mock, reach(mock) as engine:
        with pytest.raises(EndpointUnavailable):
            engine.models()
        assert sum(one.path.endswith("/models") for one in mock.requests) == 2, "twice, and no more"


def test_a_dripping_server_is_not_well(monkeypatch):
    monkeypatch.setattr("workbench.endpoint.balancing.HEALTH_TIMEOUT_S", 0.3)
    with MockEndpoint(TEXT, faults=[Fault("drip", path="/", after=0, seconds=0.02)]) as mock, reach(mock) as engine:
        assert engine.health()[0].healthy is False


def test_an_answer_without_end_is_not_kept(monkeypatch):
    monkeypatch.setattr("workbench.endpoint.asking.WHOLE_BYTES", 20)
    with MockEndpoint(TEXT) as mock, reach(mock) as engine, pytest.raises(EndpointError, match="no JSON"):
        engine.models()
