"""How tokens are drawn: on a real context of a tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from workbench.engine import TunedEngine, presets
from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import Sampling
from workbench.settings import EngineSettings


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[TunedEngine]:
    with TunedEngine(tiny, EngineSettings(n_ctx=1024)) as engine:
        yield engine


def text(engine: TunedEngine, **options: object) -> str:
    return engine.complete("once upon a time", max_tokens=40, ignore_eos=True, **options).text


def test_argmax_and_llama_cpps_greedy_chain_agree(engine: TunedEngine) -> None:
    # A bias on a token that never wins forces the native chain without changing what is likeliest.
    native = text(engine, temperature=0, logit_bias={0: -1.0})
    assert text(engine, temperature=0) == native


def test_equal_seeds_draw_equal_texts_and_others_do_not(engine: TunedEngine) -> None:
    draws = [text(engine, temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_no_seed_draws_anew(engine: TunedEngine) -> None:
    assert len({text(engine, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0) for _ in range(4)}) > 1


def test_top_k_of_one_is_greedy(engine: TunedEngine) -> None:
    assert text(engine, temperature=3.0, top_k=1) == text(engine, temperature=0)


def test_min_p_of_one_is_greedy(engine: TunedEngine) -> None:
    assert text(engine, temperature=3.0, top_k=0, min_p=1.0) == text(engine, temperature=0)


def test_logit_bias_rules_a_token_out_and_in(engine: TunedEngine) -> None:
    usual = engine.complete("abc", max_tokens=20, temperature=0, ignore_eos=True).tokens
    banned = usual[0]
    assert banned not in engine.complete("abc", max_tokens=20, temperature=0, logit_bias={banned: -1e9}).tokens
    forced = engine.tokenize("Z")[-1]
    assert set(engine.complete("abc", max_tokens=5, temperature=0, logit_bias={forced: 1e9}).tokens) == {forced}


def test_ignore_eos_goes_on_where_the_model_would_stop(engine: TunedEngine) -> None:
    vocabulary = engine._core.weights.vocabulary
    end = vocabulary.end_tokens()[0]
    stopped = engine.complete("abc", max_tokens=20, temperature=0, logit_bias={end: 1e9})
    assert (stopped.finish_reason, len(stopped.tokens), stopped.text) == ("stop", 1, "")
    going = engine.complete("abc", max_tokens=20, temperature=0, ignore_eos=True)
    assert (going.finish_reason, len(going.tokens)) == ("length", 20)
    assert not set(going.tokens) & set(vocabulary.end_tokens())


def test_repeat_penalty_sees_the_prompt(engine: TunedEngine) -> None:
    favourite = engine.complete("abc", max_tokens=1, temperature=0, ignore_eos=True, cache_prompt=False).tokens[0]
    prompt = [*engine.tokenize("abc"), favourite, *engine.tokenize("abc")]
    plain = engine.complete(prompt, max_tokens=30, temperature=0, ignore_eos=True).tokens
    penalised = engine.complete(prompt, max_tokens=30, temperature=0, ignore_eos=True, repeat_penalty=5.0).tokens
    assert len(set(penalised)) > len(set(plain)) or penalised != plain
    assert np.mean([t in prompt for t in penalised]) <= np.mean([t in prompt for t in plain])


@pytest.mark.parametrize(
    "options",
    [
        {"typical_p": 0.7},
        {"top_n_sigma": 1.0},
        {"xtc_probability": 0.5},
        {"dry_multiplier": 0.8},
        {"frequency_penalty": 0.5, "presence_penalty": 0.5},
    ],
)
def test_every_sampler_of_the_chain_changes_the_draw_or_keeps_it_valid(engine: TunedEngine, options: dict) -> None:
    completion = engine.complete("abcabcabc", max_tokens=60, temperature=1.2, seed=3, ignore_eos=True, **options)
    plain = engine.complete("abcabcabc", max_tokens=60, temperature=1.2, seed=3, ignore_eos=True)
    assert len(completion.tokens) == 60
    assert completion.tokens != plain.tokens


@pytest.mark.parametrize("name", ["chat", "storytelling", "creative", "assistant", "factual"])
def test_presets_work(engine: TunedEngine, name: str) -> None:
    assert isinstance(presets[name], Sampling)
    assert engine.complete("abc", max_tokens=5, preset=name, seed=1, ignore_eos=True).tokens


def test_unknown_preset_lists_the_known(engine: TunedEngine) -> None:
    with pytest.raises(
        UnknownName, match=r"Unknown preset 'storytime'\..*assistant, chat, creative, factual, storytelling"
    ):
        engine.complete("abc", preset="storytime")


def test_a_temperature_out_of_range_is_refused(engine: TunedEngine) -> None:
    with pytest.raises(InvalidSettings, match="temperature must lie between"):
        engine.complete("abc", temperature=-1)
