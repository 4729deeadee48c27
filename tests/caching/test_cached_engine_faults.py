"""What goes wrong around an engine behind caches costs no answer, is nobody else's, and leaves nobody waiting."""

import asyncio
import threading

import pytest

from workbench.caching import CachedEngine, ExactCache, SemanticCache
from workbench.caching.flight import Flight
from workbench.embedding import HashingEmbedder
from workbench.endpoint import EndpointEngine
from workbench.errors import EndpointUnavailable, NotSaved, StreamIncomplete
from workbench.interfaces import Message
from workbench.testing import Reply, ScriptedEngine
from workbench.testing.contracts.threads import DEADLINE_S, at_once

STORY = "Once upon a time there was an engine that told everybody one and the same story, again and again. " * 3
GREEDY = {"temperature": 0.0}


def cached(script=STORY, caches=None):
    engine = ScriptedEngine(script)
    return engine, CachedEngine(engine, [ExactCache()] if caches is None else caches)


def question(text):
    return [Message.system("Be brief."), Message.user(text)]


class Failing(ExactCache):
    """A cache that fails where it is told to."""

    def __init__(self, *, reads=(), writes=()):
        super().__init__()
        self.reads, self.writes = iter(reads), iter(writes)

    def get(self, key):
        error = next(self.reads, None)
        if error is not None:
            raise error
        return super().get(key)

    def put(self, key, value):
        error = next(self.writes, None)
        if error is not None:
            raise error
        super().put(key, value)


class Server(ScriptedEngine):
    """Pretends to be a model elsewhere: counting asks a server, which is away."""

    remote = True
    asked = 0

    def count_tokens(self, prompt):
        self.asked += 1
        raise EndpointUnavailable("nothing there answers", provider="test")


class FallingBack(ScriptedEngine):
    """Says what another model said, as an endpoint does whose server is away."""

    away = True

    def stream(self, prompt, **options):
        return (
            ScriptedEngine("Fallen back.", name="small").stream(prompt, **options) if self.away else self._own(prompt)
        )

    def _own(self, prompt):
        return super().stream(prompt)


def test_the_answer_of_a_fallback_is_not_kept_as_the_models_own():
    engine = FallingBack("My own.", name="large")
    front = CachedEngine(engine, [ExactCache()])
    first = front.complete("Hi", **GREEDY)
    [again] = front.complete_many(["Hi"], **GREEDY)
    assert [(answer.model, answer.text) for answer in (first, again)] == [("small", "Fallen back.")] * 2
    engine.away = False
    own = front.complete("Hi", **GREEDY)
    assert (own.model, own.text) == ("large", "My own.")
    assert front.complete("Hi", **GREEDY).receipt.tier == "response-exact"


def test_an_endpoint_that_fell_back_computes_again_the_next_time():
    small = ScriptedEngine("Fallen back.", name="small")
    with EndpointEngine("large", base_url="http://127.0.0.1:9/v1", retries={"attempts": 1}, fallback=[small]) as engine:
        front = CachedEngine(engine, [ExactCache()])
        for _ in range(2):
            answer = front.complete("Hi", **GREEDY)
            assert (answer.model, answer.receipt and answer.receipt.tier) == ("small", None)
    assert len(small.requests) == 2


def test_who_follows_a_fallback_hears_whose_answer_it_is():
    class Slow(FallingBack):
        def stream(self, prompt, **options):
            return ScriptedEngine(Reply(STORY, delay_s=0.005), name="small").stream(prompt, **options)

    front = CachedEngine(Slow(name="large"), [ExactCache()])
    first, second = front.stream("Hi", **GREEDY), front.stream("Hi", **GREEDY)
    list(first), list(second)
    assert second.completion.receipt.tier == "response-exact"
    assert first.completion.model == second.completion.model == "small"


@pytest.mark.parametrize("error", [OSError("no such file"), KeyboardInterrupt()])
def test_complete_many_that_fails_while_it_looks_leaves_nobody_waiting(error):
    _, front = cached(caches=[Failing(reads=[None, error])])
    with pytest.raises(type(error)):
        front.complete_many(["a", "b"], **GREEDY)
    [answer] = at_once(1, lambda _: front.complete("a", **GREEDY))
    assert answer.text.startswith("Once"), "the first one's flight is over"
    assert not front._flights


def test_an_interrupt_while_keeping_leaves_nobody_waiting():
    """Those who follow one that was interrupted are not interrupted themselves: they ask anew."""
    _, front = cached(caches=[Failing(writes=[KeyboardInterrupt()])])
    followers = []
    whole = front.engine.complete_many

    def followed_meanwhile(requests):
        followers.extend(front.stream(request) for request in requests)
        return whole(requests)

    front.engine.complete_many = followed_meanwhile
    with pytest.raises(KeyboardInterrupt):
        front.complete_many(["a", "b"], **GREEDY)
    texts = at_once(2, lambda number: "".join(chunk.text for chunk in followers[number]))
    assert [text[:4] for text in texts] == ["Once"] * 2


def test_what_cannot_be_kept_is_answered_all_the_same():
    engine, front = cached(caches=[Failing(writes=[OSError("no"), OSError("no")]), ExactCache()])
    with pytest.warns(NotSaved, match="not kept: no"):
        answers = front.complete_many(["a"], **GREEDY)
    with pytest.warns(NotSaved, match="not kept: no"):
        answers.append(front.complete("b", **GREEDY))
    assert [answer.finish_reason for answer in answers] == ["stop"] * 2
    assert answers[1].timings.total_ms > 0
    assert answers[1].receipt is None or answers[1].receipt.tier == "none"
    assert front.complete("b", **GREEDY).receipt.tier == "response-exact", "the other cache has it"
    assert len(engine.requests) == 2


def test_a_flight_that_cannot_start_is_not_waited_for(monkeypatch):
    _, front = cached()
    with monkeypatch.context() as patch:
        patch.setattr(
            "workbench.caching.flight.threading.Thread", lambda **_: (_ for _ in ()).throw(RuntimeError("no"))
        )
        with pytest.raises(RuntimeError):
            front.stream("Hi", **GREEDY)
    [answer] = at_once(1, lambda _: front.complete("Hi", **GREEDY))
    assert answer.finish_reason == "stop"


def test_an_error_of_keep_leaves_the_reader_its_timings():
    said, flight = [], Flight()
    own = ScriptedEngine(STORY).stream("Hi", **GREEDY)
    before, threading.excepthook = threading.excepthook, said.append
    try:
        flight.drive(own, lambda chunks, whole: [][0], lambda: None)
        assert flight.landed() == own.completion
    finally:
        threading.excepthook = before
    assert [one.exc_type for one in said] == [IndexError], "and it is not swallowed"


def test_an_interrupt_of_a_follower_reaches_it():
    engine, front = cached(Reply(STORY, delay_s=0.01))
    first, second = front.stream("Hi", **GREEDY), front.stream("Hi", **GREEDY)
    waiting = second._flight.chunk
    second._flight.chunk = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        next(second)
    second._flight.chunk = waiting
    assert "".join(chunk.text for chunk in second) == "".join(chunk.text for chunk in first), "nothing was lost"
    assert len(engine.requests) == 1


def test_a_hit_asks_no_server():
    cache = SemanticCache(HashingEmbedder(), threshold=0.5)
    engine = Server(Reply(STORY, delay_s=0.002))
    front = CachedEngine(engine, [cache])
    first, second = (front.stream(question("How do I wash a big dog?"), **GREEDY) for _ in range(2))
    list(first), list(second)
    hit = front.complete(question("How do you wash a big dog?"), **GREEDY)
    assert second.completion.timings.prompt_tokens == first.completion.timings.prompt_tokens
    assert hit.receipt.tier == "response-semantic"
    assert hit.timings.prompt_tokens == first.completion.timings.prompt_tokens, "of the prompt it was given to"
    assert engine.asked == 0


def test_an_error_at_the_end_ends_the_stream():
    engine = ScriptedEngine(Reply(STORY, delay_s=0.005))
    engine.count_tokens = lambda prompt: 1 / 0
    front = CachedEngine(engine, [ExactCache()])
    first, second = front.stream("Hi", **GREEDY), front.stream("Hi", **GREEDY)
    next(second)
    second.cancel()
    with pytest.raises(ZeroDivisionError):
        list(second)
    assert list(second) == []
    with pytest.raises(StreamIncomplete):
        _ = second.completion
    list(first)


def test_estimates_are_asked_for_each_time():
    engine = ScriptedEngine()
    counts = iter(range(10, 20))
    engine.count_tokens = lambda prompt: next(counts)
    front = CachedEngine(engine, [])
    assert [front.count_tokens("Hi") for _ in range(2)] == [10, 10]
    engine.counts_exact = False
    assert [front.count_tokens("Hi") for _ in range(2)] == [11, 12]


def test_the_event_loop_goes_on_while_an_answer_is_kept():
    release = threading.Event()

    class Slow(ExactCache):
        def put(self, key, value):
            assert release.wait(DEADLINE_S), "the loop that was to release it stood still"
            super().put(key, value)

    _, front = cached(caches=[Slow()])

    async def ask():
        return "".join([chunk.text async for chunk in front.astream("Hi", **GREEDY)])

    async def both():
        asked = asyncio.create_task(ask())
        await asyncio.sleep(0.3)
        release.set()
        return await asked

    assert asyncio.run(both()).startswith("Once")
    assert front.complete("Hi", **GREEDY).receipt.tier == "response-exact"
