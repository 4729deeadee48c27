"""Break-even: compressing has to be paid for by the prefill it spares."""

import time

import pytest

from workbench.compression import MiddleCompressor
from workbench.errors import ContextOverflow, InvalidSettings
from workbench.evaluation.compression_breakeven import BreakEven, Trial, break_even, conversation_of
from workbench.interfaces import Message
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine


def trial(tokens, *, compress, before, after, hot_before=1.0, hot_after=1.0, strategy="s"):
    return Trial(
        strategy=strategy,
        tokens=tokens,
        tokens_after=tokens // 2,
        invalidated_tokens=tokens // 2,
        compress_ms=compress,
        before_ms=before,
        after_ms=after,
        hot_before_ms=hot_before,
        hot_after_ms=hot_after,
    )


def test_it_pays_once_the_prefill_spared_is_more_than_compressing_takes():
    found = BreakEven(tuple(trial(n, compress=100, before=n / 2, after=n / 4) for n in (200, 400, 800, 1600)))
    assert found.length("s") == 800
    assert found.trials[2].saved_ms("cold") == 100
    assert found.length("s", "hot") is None, "where all is cached, there is nothing to spare"


def test_a_length_that_pays_by_chance_does_not_count():
    trials = (
        trial(100, compress=1, before=10, after=5),
        trial(200, compress=9, before=10, after=5),
        trial(400, compress=1, before=10, after=5),
    )
    assert BreakEven(trials).length("s") == 400


def test_what_was_not_tried_is_named():
    with pytest.raises(InvalidSettings, match="'s'"):
        BreakEven((trial(1, compress=1, before=1, after=1),)).length("t")


class Slow(ScriptedEngine):
    """Takes a time for each prompt token it has not just seen."""

    def __init__(self, ms_per_token=0.05, **options):
        super().__init__(lambda request: "ok", **options)
        self.per_token, self.cached = ms_per_token, []

    def complete(self, prompt, **options):
        tokens = self._prompt_tokens(prompt)
        fresh = len(tokens)
        if options.get("cache_prompt"):
            fresh -= sum(one == other for one, other in zip(tokens, self.cached, strict=False))
            self.cached = tokens
        answer = super().complete(prompt, **options)
        import dataclasses

        return dataclasses.replace(
            answer, timings=dataclasses.replace(answer.timings, prefill_ms=fresh * self.per_token)
        )


class Sleepy(MiddleCompressor):
    """Takes ten milliseconds, whatever the length."""

    def _shorten(self, messages, budget_tokens, query):
        time.sleep(0.01)
        return super()._shorten(messages, budget_tokens, query)


def test_it_is_measured_cold_and_hot():
    engine = Slow(ms_per_token=1.0)
    found = break_even(
        engine,
        {"middle": lambda: MiddleCompressor(engine), "sleepy": lambda: Sleepy(engine)},
        lengths=(128, 512),
        rate=0.5,
    )
    assert [one.strategy for one in found.trials] == ["middle", "sleepy"] * 2
    for one in found.trials:
        assert one.tokens_after <= one.tokens / 2
        assert one.before_ms == pytest.approx(one.tokens)
        assert one.after_ms == pytest.approx(one.tokens_after)
        assert one.hot_before_ms < 40, "only the question"
        assert one.hot_after_ms > one.hot_before_ms, "the end has moved, so that it is computed again"
    assert found.length("middle", "hot") is None
    assert len(found.rows()) == 4
    assert {"strategy", "saved_cold_ms", "saved_hot_ms"} <= set(found.rows()[0])
    sleepy = [one for one in found.trials if one.strategy == "sleepy"]
    assert all(one.compress_ms >= 10 for one in sleepy)


def test_conversations_have_the_length_asked_for_and_end_with_a_question():
    engine = ScriptedEngine("", settings=EngineSettings(n_ctx=1 << 20))
    for tokens in (64, 1000, 4000):
        messages = conversation_of(engine, tokens)
        assert tokens - 120 < engine.count_tokens(messages) <= tokens
        assert messages[-1].role == "user"
        assert len(set(map(str, messages))) == len(messages), "nothing is said twice"


def test_bad_input_is_refused():
    engine = ScriptedEngine("ok")
    for options in ({"lengths": ()}, {"lengths": (10,)}, {"rate": 1.0}, {"rounds": 0}):
        with pytest.raises(InvalidSettings, match="64 tokens"):
            break_even(engine, {}, **options)


def test_a_conversation_beyond_the_context_is_an_overflow():
    engine = ScriptedEngine(lambda request: "ok", settings=EngineSettings(n_ctx=256))
    with pytest.raises(ContextOverflow):
        break_even(engine, {"middle": lambda: MiddleCompressor(engine)}, lengths=(512,))


def test_a_message_is_never_empty():
    messages = conversation_of(ScriptedEngine(""), 64)
    assert all(isinstance(one, Message) and one.content for one in messages)
