"""Log-probabilities of given tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.engine import BaselineEngine, TunedEngine
from workbench.errors import ContextOverflow
from workbench.settings import EngineSettings


def test_both_engines_score_alike(tiny: Path) -> None:
    text = "The harbour lay quiet. " * 6
    with TunedEngine(tiny, EngineSettings(n_ctx=512, flash_attn=False)) as tuned, BaselineEngine(tiny) as plain:
        ours, theirs = tuned.score(text), plain.score(text)
        assert ours.tokens == theirs.tokens
        np.testing.assert_allclose(ours.logprobs, theirs.logprobs, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(
            tuned.score("abc", context="xyz").logprobs, plain.score("abc", context="xyz").logprobs, rtol=2e-3, atol=2e-3
        )


def test_pieces_do_not_show(tiny: Path) -> None:
    text = "a" * 150 + "b" * 150
    with TunedEngine(tiny, EngineSettings(n_ctx=512, flash_attn=False, type_k="f32", type_v="f32")) as engine:
        whole = engine.score(text).logprobs
        core = engine._core
        assert core.scheduler.context is not None
        core.scheduler.context.score_tokens = 16
        np.testing.assert_allclose(engine.score(text).logprobs, whole, rtol=1e-3, atol=1e-3)


def test_context_is_not_scored_and_the_chain_rule_holds(tiny: Path) -> None:
    with TunedEngine(tiny, EngineSettings(n_ctx=512)) as engine:
        head, tail = engine.tokenize("abcdefgh"), engine.tokenize("ijkl")
        whole = engine.score([*head, *tail]).logprobs
        part = engine.score(tail, context=[engine._core.weights.vocabulary.bos, *head]).logprobs
        assert part.shape == (len(tail),)
        np.testing.assert_allclose(part, whole[len(head) :], rtol=1e-3, atol=1e-3)


def test_probabilities_of_all_next_tokens_sum_to_one(tiny: Path) -> None:
    with TunedEngine(tiny, EngineSettings(n_ctx=256)) as engine:
        total = sum(
            float(np.exp(engine.score([token], context="ab").logprobs[0]))
            for token in range(engine._core.weights.vocabulary.size)
        )
    assert total == pytest.approx(1.0, abs=1e-3)


def test_scoring_leaves_requests_alone(tiny: Path) -> None:
    with TunedEngine(tiny, EngineSettings(n_ctx=1024, n_seq_max=2)) as engine:
        alone = engine.complete("abc", max_tokens=50, temperature=0, ignore_eos=True).text
        stream = engine.stream("abc", max_tokens=50, temperature=0, ignore_eos=True)
        next(stream)
        assert np.isfinite(engine.score("while something runs").logprobs).all()
        for _ in stream:
            pass
        assert stream.completion.text == alone


def test_too_long_to_score(tiny: Path) -> None:
    with TunedEngine(tiny, EngineSettings(n_ctx=256)) as engine, pytest.raises(ContextOverflow, match="in pieces"):
        engine.score("x" * 500)


@pytest.mark.model
def test_the_real_model_prefers_english(smollm2: str) -> None:
    with TunedEngine(smollm2) as engine:
        sense = engine.score("The cat sat on the mat and looked out of the window.").perplexity
        nonsense = engine.score("Mat the window of on cat out the sat looked the and.").perplexity
        assert sense < nonsense / 5
        assert engine.score(" Paris", context="The capital of France is").logprobs[0] > -1.5
