"""An engine behind caches keeps the contract of an engine, and answers from them what it has answered."""

import asyncio
import threading

import pytest

from workbench.caching import CachedEngine, ExactCache, SemanticCache
from workbench.embedding import HashingEmbedder
from workbench.engine import TunedEngine
from workbench.errors import ContextOverflow, EngineClosed, StreamIncomplete
from workbench.interfaces import Message
from workbench.settings import EngineSettings
from workbench.telemetry.trace import Trace, tracing
from workbench.testing import EngineContract, Reply, ScriptedEngine

STORY = "Once upon a time there was an engine that told everybody one and the same story, again and again. " * 3
GREEDY = {"temperature": 0.0}
DEADLINE_S = 30


class TestCachedContract(EngineContract):
    """Behind a cache; some delay, because a stream that is read ahead must still be running to be stopped."""

    def make(self):
        engine = ScriptedEngine(STORY, settings=EngineSettings(n_ctx=2048), delay_s=0.002)
        return CachedEngine(engine, [ExactCache()])

    def test_stats_count_what_was_done(self):
        """They are the engine's own: an answer from a cache was not computed, and is counted by the cache."""
        with self.make() as engine:
            first = engine.complete("Hello", max_tokens=4, temperature=0)
            again = engine.complete("Hello", max_tokens=4, temperature=0)
            assert again.text == first.text
            assert engine.stats.requests == 1
            assert engine.stats.output_tokens == len(first.tokens) == 4
            assert engine.caches[0].stats.hits == 1


def cached(script=STORY, caches=None, **options):
    engine = ScriptedEngine(script, **options)
    return engine, CachedEngine(engine, [ExactCache()] if caches is None else caches)


def at_once(count, work):
    results, threads = [None] * count, []

    def run(number):
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error

    for number in range(count):
        threads.append(threading.Thread(target=run, args=(number,)))
        threads[-1].start()
    for thread in threads:
        thread.join(DEADLINE_S)
    return results


def test_the_second_time_nothing_is_computed():
    engine, front = cached()
    first, second = front.complete("Hi", **GREEDY), front.complete("Hi", **GREEDY)
    assert len(engine.requests) == 1
    assert (second.text, second.tokens, second.finish_reason) == (first.text, first.tokens, first.finish_reason)
    assert second.receipt.tier == "response-exact"
    assert second.receipt.why
    assert first.receipt is None or first.receipt.tier == "none"
    assert second.timings.cached_tokens == second.timings.prompt_tokens == first.timings.prompt_tokens


def test_a_hit_comes_in_the_pieces_it_came_in():
    _, front = cached()
    first, second = list(front.stream("Hi", **GREEDY)), list(front.stream("Hi", **GREEDY))
    pieces = [(chunk.text, chunk.tokens) for chunk in first if chunk.text or chunk.tokens]
    assert [(chunk.text, chunk.tokens) for chunk in second] == pieces
    assert second[-1].finish_reason == first[-1].finish_reason
    assert len(second) > 10


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 5},
        {"stop": "time"},
        {"repeat_penalty": 1.1},
        {"temperature": 0.5, "seed": 1},
        {"logit_bias": {3: 1.0}},
    ],
)
def test_another_request_is_computed(change):
    engine, front = cached()
    front.complete("Hi", **GREEDY)
    front.complete("Hi", **{**GREEDY, **change})
    assert len(engine.requests) == 2


def test_what_cannot_change_a_greedy_answer_is_no_other_request():
    engine, front = cached()
    front.complete("Hi", **GREEDY)
    front.complete("Hi", **GREEDY, top_p=0.5, seed=7)
    assert len(engine.requests) == 1


def test_text_messages_and_scopes_are_kept_apart():
    engine, front = cached()
    for prompt in ("Hi", [Message.user("Hi")], [Message.system("Hi")], [Message("user", "Hi", name="Eve")]):
        front.complete(prompt, **GREEDY)
        front.for_scope("other").complete(prompt, **GREEDY)
    assert len(engine.requests) == 8


def test_drawn_answers_are_left_alone_unless_asked_for():
    engine, front = cached()
    for _ in range(2):
        front.complete("Hi", temperature=0.8)
        front.complete("Hi", **GREEDY, cache_prompt=False)
    assert len(engine.requests) == 4
    everything = CachedEngine(engine, [ExactCache()], only_deterministic=False)
    assert everything.complete("Hi", temperature=0.8).text == everything.complete("Hi", temperature=0.8).text
    assert len(engine.requests) == 5


def test_many_who_ask_at_once_are_answered_by_one_computation():
    engine, front = cached(delay_s=0.005)
    answers = at_once(8, lambda number: "".join(chunk.text for chunk in front.stream("Hi", **GREEDY)))
    assert answers == [answers[0]] * 8
    assert answers[0].startswith("Once")
    assert len(engine.requests) == 1


def test_followers_get_the_chunks_as_they_come():
    _, front = cached(Reply(STORY, delay_s=0.01))
    first = front.stream("Hi", **GREEDY)
    next(first)
    second = front.stream("Hi", **GREEDY)
    assert next(second).text, "without waiting for the end"
    assert second.cancel() is None
    rest = list(second)
    assert rest[-1].finish_reason == "cancelled"
    assert second.completion.finish_reason == "cancelled"
    list(first)
    assert first.completion.finish_reason == "stop", "one who leaves takes nothing from the others"


def test_when_the_first_leaves_the_others_read_on():
    engine, front = cached(Reply(STORY, delay_s=0.01))
    first, second = front.stream("Hi", **GREEDY), front.stream("Hi", **GREEDY)
    next(first)
    del first
    assert "".join(chunk.text for chunk in second) == STORY.strip() or second.completion.finish_reason == "stop"
    assert len(engine.requests) == 1


def test_a_failing_first_does_not_fail_the_second():
    engine, front = cached([Reply(STORY, delay_s=0.01, dies_after=5), Reply(STORY)])
    first, second = front.stream("Hi", **GREEDY), front.stream("Hi", **GREEDY)
    handed = [next(second).text for _ in range(3)]
    with pytest.raises(StreamIncomplete):
        list(first)
    text = "".join([*handed, *(chunk.text for chunk in second)])
    assert text == second.completion.text
    assert second.completion.finish_reason == "stop"
    assert len(engine.requests) == 2
    assert front.complete("Hi", **GREEDY).text == text
    assert len(engine.requests) == 2, "the whole one was kept"


def test_what_fails_to_begin_fails_each_by_itself():
    _, front = cached([TimeoutError("no"), "fine"])
    with pytest.raises(TimeoutError):
        front.complete("Hi", **GREEDY)
    assert front.complete("Hi", **GREEDY).text == "fine"
    with pytest.raises(ContextOverflow):
        front.complete("word " * 10_000, **GREEDY)


def test_cancelled_and_cut_answers_are_not_kept():
    engine, front = cached(delay_s=0.005, settings=EngineSettings(n_ctx=32))
    stream = front.stream("Hi", **GREEDY)
    next(stream)
    stream.cancel()
    list(stream)
    assert stream.completion.finish_reason == "cancelled"
    assert front.complete("Hi", **GREEDY).finish_reason == "length", "the context is full"
    front.complete("Hi", **GREEDY)
    assert len(engine.requests) == 3
    assert front.complete("Hi", **GREEDY, max_tokens=4).finish_reason == "length"
    assert front.complete("Hi", **GREEDY, max_tokens=4).receipt.tier == "response-exact", "cut where it was asked to be"


def test_complete_many_computes_each_request_once():
    engine, front = cached(lambda request: f"You said {request.prompt}.")
    front.complete("b", **GREEDY)
    answers = front.complete_many(["a", "b", "a", "c"], **GREEDY)
    assert [answer.text for answer in answers] == [f"You said {one}." for one in "abac"]
    assert [request.prompt for request in engine.requests] == ["b", "a", "c"]
    mixed = front.complete_many(["a", "d"], temperature=1.0)
    assert [answer.text for answer in mixed] == ["You said a.", "You said d."]


def test_asynchronous_streams_follow_too():
    engine, front = cached(delay_s=0.002)

    async def one():
        return "".join([chunk.text async for chunk in front.astream("Hi", **GREEDY)])

    async def several():
        return await asyncio.gather(*(one() for _ in range(4)))

    texts = asyncio.run(several())
    assert texts == [texts[0]] * 4
    assert len(engine.requests) == 1


def test_a_closed_engine_answers_nothing_from_the_cache():
    _, front = cached()
    front.complete("Hi", **GREEDY)
    front.close()
    with pytest.raises(EngineClosed):
        front.complete("Hi", **GREEDY)


def test_a_value_that_is_no_answer_is_a_miss():
    cache = ExactCache()
    engine, front = cached(caches=[cache])
    cache.get = lambda key: '{"not": "an answer"}'
    assert front.complete("Hi", **GREEDY).text
    assert len(engine.requests) == 1


def test_hits_and_misses_are_in_the_trace():
    _, front = cached()
    trace = Trace()
    with tracing(trace):
        for _ in range(3):
            front.complete("Hi", **GREEDY)
    assert (trace.counts["cache_misses"], trace.counts["cache_hits"]) == (1, 2)
    assert "cache" in trace.stages


def test_it_survives_a_restart(tmp_path):
    path = tmp_path / "answers.sqlite"
    for _ in range(2):
        cache = ExactCache(path)
        engine, front = cached(caches=[cache])
        text = front.complete([Message.user("Hi")], **GREEDY).text
        cache.close()
    assert len(engine.requests) == 0
    assert text.startswith("Once")


def test_no_key_is_in_the_files(tmp_path, monkeypatch):
    """FAULTS.md, row 23: what an endpoint is opened with goes into hashes only, where it goes at all."""
    sentinel = "sk-sentinel-1234567890"
    engine = ScriptedEngine(STORY)
    engine.base_url, engine.api_key = f"https://user:{sentinel}@host/v1", sentinel
    caches = [
        ExactCache(tmp_path / "a.sqlite"),
        SemanticCache(HashingEmbedder(), threshold=0.9, path=tmp_path / "b.sqlite"),
    ]
    front = CachedEngine(engine, caches)
    front.complete([Message.user("How do I wash a dog?")], **GREEDY)
    for cache in caches:
        cache.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Once" in written, "the answers are there"
    assert sentinel.encode() not in written
    assert sentinel not in repr(front) + repr(caches)


def say(*texts):
    roles = ("user", "assistant")
    return [Message.system("Be brief."), *(Message(roles[place % 2], text) for place, text in enumerate(texts))]


def test_meaning_counts_where_the_rest_is_the_same():
    cache = SemanticCache(HashingEmbedder(), threshold=0.5)
    engine, front = cached(caches=[cache])
    front.complete(say("How do I wash a big dog?"), **GREEDY)
    hit = front.complete(say("How do you wash a big dog"), **GREEDY)
    assert hit.receipt.tier == "response-semantic"
    assert hit.timings.prompt_tokens == front.count_tokens(say("How do you wash a big dog"))
    assert len(engine.requests) == 1
    front.complete(say("Hello", "Hi", "How do you wash a big dog"), **GREEDY)
    front.complete([Message.system("Be long."), Message.user("How do you wash a big dog")], **GREEDY)
    front.for_scope("other").complete(say("How do you wash a big dog"), **GREEDY)
    front.complete(say("How do you wash a big dog"), **GREEDY, max_tokens=3)
    assert len(engine.requests) == 5


def test_both_caches_one_after_the_other():
    exact, semantic = ExactCache(), SemanticCache(HashingEmbedder(), threshold=0.5)
    _, front = cached(caches=[exact, semantic])
    asked = ("How do I wash a big dog?", "How do I wash a big dog?", "How do you wash a big dog?")
    receipts = [front.complete(say(one), **GREEDY).receipt for one in asked]
    assert [one and one.tier for one in receipts] == [None, "response-exact", "response-semantic"]


def test_a_real_engine_is_known_by_its_file_again(tiny, tmp_path):
    """Also before its first request, when some of its settings are still open, and after a restart."""
    for computed in (1, 0):
        cache = ExactCache(tmp_path / "answers.sqlite")
        with CachedEngine(TunedEngine(tiny, EngineSettings(n_ctx=256, n_threads=1)), [cache]) as front:
            texts = [front.complete("Hello", max_tokens=4, **GREEDY).text for _ in range(3)]
            assert front.stats.requests == computed
        assert texts == [texts[0]] * 3
        cache.close()


def test_schemas_in_another_order_are_other_requests():
    engine, front = cached('{"a": 1}')
    one, other = {"type": "string"}, {"type": "integer"}
    for properties in ({"a": one, "b": other}, {"b": other, "a": one}, {"a": one, "b": other}):
        front.complete("Hi", **GREEDY, json_schema={"type": "object", "properties": properties})
    assert len(engine.requests) == 2
