"""Measures of an engine, on a tiny model: that their numbers are what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench as wb
from workbench.evaluation import measures
from workbench.interfaces import Engine


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[Engine]:
    with wb.load(tiny, n_ctx=4096, n_seq_max=4, n_threads=1) as engine:
        yield engine


def test_agents_reuse_their_histories(engine: Engine) -> None:
    seen = measures.agents(engine, n_agents=2, turns=3, system_tokens=320, output_tokens=4)
    assert len(seen["ttft_ms"]) == len(seen["texts"]) == 6
    assert seen["output_tokens"] == 24
    assert sum(seen["ttft_ms"]) / 1e3 <= seen["total_s"]
    assert seen["cached_tokens"] >= 2 * 2 * 320, "every turn after the first has its system prompt already"


def test_throughput_counts_every_answer(engine: Engine) -> None:
    seen = measures.throughput(engine, requests=5, prompt_tokens=16, output_tokens=6)
    assert (seen["output_tokens"], seen["prompt_tokens"]) == (30, 80)
    assert seen["output_tps"] == pytest.approx(30 / seen["total_s"])


def test_stream_and_prefill(engine: Engine) -> None:
    seen = measures.stream(engine, output_tokens=12)
    assert seen["output_tokens"] == 12
    assert 0 < seen["output_tps"] < seen["decode_tps"], "the first takes the prompt along"
    assert measures.prefill(engine, prompt_tokens=64, output_tokens=4)["prefill_tps"] > 0


def test_host_overhead_is_per_step(engine: Engine) -> None:
    seen = measures.host_overhead(engine, sequences=4, output_tokens=32)
    assert 32 <= seen["steps"] <= 32 + 8, "four sequences share their steps"
    assert 0 < seen["host_us"] < 1e5


def test_a_chat_that_grows_reads_the_same(tiny: Path, engine: Engine) -> None:
    with wb.load(tiny, n_threads=1) as growing:
        seen = measures.growing_chat(growing, ends=(600, 900), output_tokens=8)
    fixed = measures.growing_chat(engine, ends=(600, 900), output_tokens=8)
    assert seen["texts"] == fixed["texts"]
    assert seen["output_tokens"] == 16
    assert seen["gap_ms"] >= 0


def test_a_pair_of_engines_answers_in_turn(engine: Engine, tiny: Path) -> None:
    prompts = [("one two three", 6), ("four five six", 8)]
    with wb.load(tiny, n_ctx=1024, n_threads=1) as other:
        seen = measures.lookup_pair(engine, other, prompts)
        assert seen["identical"] == 1.0
        assert seen["plain_tps"] > 0
        assert other.stats.output_tokens == 14 + 4, "both prompts and the warm-up"
