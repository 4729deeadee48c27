"""The contract of :class:`workbench.interfaces.Engine`: tokens, scores, requests, counters and life time."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

from workbench.interfaces import Completion, Engine, Message, Request
from workbench.settings import EngineSettings

TEXTS = (
    "The capital of France is Paris.",
    " two  spaces and\nlines\n\n\tand a tab",
    "naïve café, Ελλάδα, Москва, 東京, العربية",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🌍 e\u0301",
    "def f(x):\n    return x ** 2  # done\n",
    "0123456789 3.14159 1e-9",
)
CHAT = (Message.system("You are brief."), Message.user("Name a colour."))


class EngineApiContract:
    """The part of :class:`EngineContract` that is not about generating."""

    prompt = "The capital of France is"
    long_tokens = 400
    tells_tokens = True
    names_tokens = True
    greedy: ClassVar[Mapping[str, Any]] = {"max_tokens": 24, "ignore_eos": True, "temperature": 0.0}

    def make(self) -> Engine:
        """A new engine, ready to use. Override."""
        raise NotImplementedError("Override make() so that it returns a new engine.")

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> Iterator[Engine]:
        """One engine for the tests that leave it as it was."""
        engine = cls().make()
        yield engine
        engine.close()

    def too_long(self, engine: Engine) -> tuple[int, ...]:
        """A prompt, as tokens, one longer than the context. Override where ``settings.n_ctx`` is chosen late."""
        limit = engine.settings.n_ctx
        assert limit, "Make the engine of a contract suite with n_ctx set, or override too_long()."
        return (engine.tokenize(" a")[-1],) * (limit + 1)

    def test_it_is_an_engine(self, engine: Engine) -> None:
        assert isinstance(engine, Engine), "An engine has every member of workbench.interfaces.Engine."
        assert engine.name, "An engine has the name of its model."
        assert isinstance(engine.settings, EngineSettings), "settings are EngineSettings."

    def length(self, completion: Completion) -> int:
        """How many tokens were generated."""
        return len(completion.tokens) if self.names_tokens else completion.timings.output_tokens

    # -- tokens -------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("text", TEXTS)
    def test_detokenize_is_the_inverse_of_tokenize(self, engine: Engine, text: str) -> None:
        tokens = engine.tokenize(text)
        assert tokens, "A text has tokens."
        assert all(type(token) is int for token in tokens), "Token ids are plain ints."
        assert engine.detokenize(tokens) == text, "detokenize is the inverse of tokenize."

    def test_no_text_has_no_tokens(self, engine: Engine) -> None:
        assert engine.tokenize("") == [], "No text has no tokens."
        assert engine.detokenize([]) == "", "No tokens have no text."

    def test_special_tokens_are_added_on_demand(self, engine: Engine) -> None:
        plain, special = engine.tokenize("one two"), engine.tokenize("one two", add_special=True)
        assert len(special) >= len(plain), "add_special adds BOS and EOS as the model wants."
        assert any(special[at : at + len(plain)] == plain for at in range(3)), "add_special changes nothing else."

    def test_counted_tokens_are_those_of_the_request(self, engine: Engine) -> None:
        tokens = engine.tokenize(self.prompt)
        for prompt in (self.prompt, CHAT, tokens):
            counted = engine.count_tokens(prompt)
            used = engine.complete(prompt, max_tokens=1).timings.prompt_tokens
            assert counted == used, f"count_tokens of a {type(prompt).__name__} is what its completion reports."
        assert engine.count_tokens(tokens) == len(tokens), "Tokens are taken as they are."
        assert engine.count_tokens(self.prompt) == len(engine.tokenize(self.prompt, add_special=True)), (
            "A text counts with its special tokens."
        )

    def test_a_longer_conversation_counts_more(self, engine: Engine) -> None:
        counts = [engine.count_tokens(CHAT[:1]), engine.count_tokens(CHAT)]
        assert counts[0] < counts[1], "Every message takes tokens."

    # -- scores -------------------------------------------------------------------------------------------------------

    def test_scores_are_log_probabilities_of_the_texts_tokens(self, engine: Engine) -> None:
        text = " Paris, a city on the river Seine."
        scores = engine.score(text, context=self.prompt)
        assert list(scores.tokens) == engine.tokenize(text), "Scored are the tokens of the text, not of the context."
        assert scores.logprobs.shape == (len(scores.tokens),), "One log-probability a token."
        assert scores.logprobs.dtype == np.float32, "logprobs are float32."
        assert np.isfinite(scores.logprobs).all(), "Every token after a context has a finite log-probability."
        assert (scores.logprobs <= 0).all(), "A log-probability is never above 0."
        mean = float(scores.logprobs.astype(np.float64).mean())
        assert scores.perplexity == pytest.approx(np.exp(-mean), rel=1e-4), "perplexity is exp(-mean logprob)."

    def test_scores_follow_the_chain_rule(self, engine: Engine) -> None:
        tokens = engine.tokenize(TEXTS[0])
        whole = engine.score(tokens[1:], context=tokens[:1]).logprobs
        for cut in (2, len(tokens) - 1):
            tail = engine.score(tokens[cut:], context=tokens[:cut]).logprobs
            assert tail == pytest.approx(whole[cut - 1 :], abs=0.1), (
                "log P(ab|c) = log P(a|c) + log P(b|ca): moving tokens from the text to the context changes nothing."
            )

    def test_a_token_without_anything_before_it_has_no_probability(self, engine: Engine) -> None:
        tokens = engine.tokenize(TEXTS[0])
        scores = engine.score(tokens, context=[])
        assert np.isnan(scores.logprobs[0]), "The first token of a text without context is NaN."
        assert np.isfinite(scores.logprobs[1:]).all(), "All others are finite."

    def test_scores_do_not_depend_on_other_calls(self, engine: Engine) -> None:
        first = engine.score(TEXTS[0], context=self.prompt).logprobs
        engine.complete(self.prompt, **self.greedy)
        again = engine.score(TEXTS[0], context=self.prompt).logprobs
        assert again == pytest.approx(first, abs=1e-3), "What came before in other calls has no influence."

    # -- requests -----------------------------------------------------------------------------------------------------

    def test_a_request_and_loose_options_are_the_same(self, engine: Engine) -> None:
        request = Request.of(self.prompt, **self.greedy)
        text = engine.complete(self.prompt, **self.greedy).text
        assert engine.complete(request).text == text, "options are fields of Request and of Sampling."
        capped = engine.complete(request, max_tokens=3)
        assert self.length(capped) == 3, "Options beside a request change that request."

    def test_messages_may_be_dictionaries(self, engine: Engine) -> None:
        plain: Any = [message.to_dict() for message in CHAT]
        assert engine.complete(plain, **self.greedy).text == engine.complete(CHAT, **self.greedy).text, (
            "Messages as dictionaries are the same conversation."
        )

    def test_a_seed_makes_draws_repeatable(self, engine: Engine) -> None:
        options = {**self.greedy, "temperature": 1.0, "seed": 7, "cache_prompt": False}
        one, two = (engine.complete(self.prompt, **options) for _ in range(2))
        assert (one.text, one.tokens) == (two.text, two.tokens), (
            "The same request with the same seed gives the same text."
        )

    def test_presets_are_known(self, engine: Engine) -> None:
        completion = engine.complete(self.prompt, preset="factual", max_tokens=2)
        assert completion.text, "preset is a name of workbench.engine.presets."

    # -- what is reported ---------------------------------------------------------------------------------------------

    def test_timings_add_up(self, engine: Engine) -> None:
        before_s = time.perf_counter()
        completion = engine.complete(self.prompt, **self.greedy)
        timings, after_s = completion.timings, time.perf_counter()
        if timings.started_s is not None:
            assert before_s <= timings.started_s <= after_s, "started_s is when the request was made, here."
        assert timings.output_tokens == self.length(completion), "output_tokens counts the generated tokens."
        assert len(timings.itl_ms) == timings.output_tokens - 1, "itl_ms has a gap between each two tokens."
        assert sum(timings.itl_ms) == pytest.approx(timings.decode_ms, abs=1e-3), "Gaps add up to decode_ms."
        assert min(timings.queue_ms, timings.prefill_ms, timings.decode_ms, *timings.itl_ms) >= 0, "No negative time."
        assert timings.total_ms >= timings.queue_ms + timings.prefill_ms + timings.decode_ms - 1e-3, (
            "The parts are within the whole."
        )
        assert timings.ttft_ms is not None, "A text that is not empty has a time to its first chunk."
        assert timings.queue_ms <= timings.ttft_ms <= timings.total_ms, "TTFT includes queueing."
        assert 0 <= timings.cached_tokens <= timings.prompt_tokens, "Reused tokens are prompt tokens."

    def test_a_completion_names_its_model_and_settings(self, engine: Engine) -> None:
        completion = engine.complete(self.prompt, max_tokens=1)
        assert completion.model == engine.name, "model is the engine's name."
        assert completion.settings == engine.settings, "settings are the effective ones."

    def test_stats_count_what_was_done(self) -> None:
        with self.make() as engine:
            done = [engine.complete(self.prompt, max_tokens=cap, ignore_eos=True) for cap in (2, 3)]
            stream = engine.stream(self.prompt, max_tokens=self.long_tokens, ignore_eos=True)
            next(stream)
            stream.cancel()
            list(stream)
            stats = engine.stats
            every = [*done, stream.completion]
        assert stats.requests == 3, "requests counts finished requests, cancelled ones included."
        assert stats.prompt_tokens == sum(c.timings.prompt_tokens for c in every), "prompt_tokens so far."
        assert stats.output_tokens == sum(map(self.length, every)), "output_tokens so far."
        assert stats.cached_tokens == sum(c.timings.cached_tokens for c in every), "cached_tokens so far."
        assert stats.waiting == 0, "Nothing waits."
        assert stats.state in {"idle", "lazy"}, "With nothing to do an engine is idle, or lazy before its context."

    def test_an_engine_is_a_context_manager(self) -> None:
        states = []
        with self.make() as engine:
            states.append(engine.stats.state)
        states.append(engine.stats.state)
        assert states[0] != "closed", "Inside the block the engine is open."
        assert states[1] == "closed", "Leaving the block closes the engine."
