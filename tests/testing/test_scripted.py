"""The scripted engine keeps the whole contract of an engine, and does what its script says."""

import asyncio
import gc

import pytest

from workbench.errors import EngineClosed, StreamIncomplete, UsageError
from workbench.interfaces import Message, Request
from workbench.settings import EngineSettings
from workbench.testing import EngineContract, Reply, ScriptedEngine


class TestScriptedEngineContract(EngineContract):
    def make(self):
        return ScriptedEngine(delay_s=0.0, settings=EngineSettings(n_ctx=1024))


def test_lines_are_said_in_order_and_then_the_script_is_over():
    engine = ScriptedEngine(["one", "two"])
    assert [engine.complete("?").text for _ in range(2)] == ["one", "two"]
    with pytest.raises(UsageError, match="over after 2 lines"):
        engine.complete("?")


def test_a_single_line_is_said_to_everybody():
    engine = ScriptedEngine("same")
    assert {engine.complete(text).text for text in "abc"} == {"same"}


def test_a_function_answers_the_request_it_is_given():
    engine = ScriptedEngine(lambda request: f"You said {request.prompt[-1].content}")
    assert engine.complete([Message.user("boo")]).text == "You said boo"


def test_requests_are_kept_as_they_came():
    engine = ScriptedEngine("x")
    engine.complete("first", temperature=0.1, stop="!")
    engine.complete([{"role": "user", "content": "second"}], preset="factual")
    assert [request.prompt for request in engine.requests] == ["first", (Message.user("second"),)]
    assert engine.requests[0].sampling.temperature == 0.1
    assert engine.requests[0].stop == ("!",)
    assert engine.requests[1].sampling.greedy


def test_it_breaks_off_after_the_tokens_it_was_told():
    engine = ScriptedEngine(Reply("one two three four", dies_after=2))
    stream = engine.stream("?")
    assert [next(stream).text, next(stream).text] == ["one", " two"]
    with pytest.raises(StreamIncomplete) as caught:
        next(stream)
    assert caught.value.partial == "one two"
    with pytest.raises(StreamIncomplete):
        engine.complete("?")


def test_it_raises_what_it_was_told():
    engine = ScriptedEngine([TimeoutError("no answer"), Reply("a b", dies_after=1, error=OSError("gone")), "fine"])
    with pytest.raises(TimeoutError, match="no answer"):
        engine.complete("?")
    with pytest.raises(OSError, match="gone"):
        engine.complete("?")
    assert engine.complete("?").text == "fine"


def test_an_end_by_itself_counts_the_end_token():
    completion = ScriptedEngine("one two").complete("?")
    assert completion.finish_reason == "stop"
    assert len(completion.tokens) == 3


def test_the_context_bounds_an_answer_without_a_cap():
    engine = ScriptedEngine("a b c d e f g h", settings=EngineSettings(n_ctx=6))
    completion = engine.complete("x")
    assert completion.finish_reason == "length"
    assert completion.timings.prompt_tokens + len(completion.tokens) == 6


def test_cancel_ends_a_delay_at_once():
    stream = ScriptedEngine(Reply("a b", first_delay_s=3600)).stream("?")
    stream.cancel()
    assert next(stream).finish_reason == "cancelled"


def test_close_ends_a_delay_at_once():
    async def run():
        engine = ScriptedEngine(Reply("a b", first_delay_s=3600))
        task = asyncio.ensure_future(engine.acomplete("?"))
        while engine.stats.state != "busy":
            await asyncio.sleep(0)
        engine.close()
        with pytest.raises(StreamIncomplete, match="closed"):
            await task

    asyncio.run(run())


def test_a_stream_nobody_started_leaves_no_trace():
    engine = ScriptedEngine("a b")
    engine.stream("?")
    gc.collect()
    assert engine.stats.state == "idle"
    assert engine.stats.requests == 0


def test_scores_come_from_the_given_function():
    engine = ScriptedEngine(logprob=lambda piece: -0.5)
    scores = engine.score("a b c", context="x")
    assert scores.logprobs.tolist() == [-0.5] * 3
    assert scores.perplexity == pytest.approx(1.6487, abs=1e-4)


def test_special_tokens_are_parsed_on_demand():
    engine = ScriptedEngine()
    assert engine.tokenize("<s>", parse_special=True) == [0]
    assert len(engine.tokenize("<s>")) == 3
    assert engine.detokenize([99_999]) == "\ufffd"


def test_a_request_made_by_hand_is_kept():
    engine = ScriptedEngine("x")
    request = Request(prompt="p", max_tokens=1)
    engine.complete(request)
    assert engine.requests == [request]


def test_complete_many_of_a_closed_engine_raises_even_for_none():
    engine = ScriptedEngine("x")
    engine.close()
    with pytest.raises(EngineClosed):
        engine.complete_many([])
