"""Perplexity of long texts, against a direct computation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from workbench.engine import TunedEngine
from workbench.engine.quality.divergence import Side, compare
from workbench.errors import ContextOverflow, UsageError
from workbench.evaluation import perplexity
from workbench.settings import EngineSettings

TEXT = "The pier was empty, but for two gulls and a rope. " * 3
ONE = EngineSettings(n_threads=1, n_ctx=512)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[TunedEngine]:
    with TunedEngine(tiny, ONE) as made:
        yield made


def test_a_text_within_the_window_is_its_score(engine: TunedEngine) -> None:
    found, whole = perplexity(engine, TEXT), engine.score(TEXT)
    assert found.tokens == len(whole.tokens) == len(TEXT)
    np.testing.assert_allclose(found.nll, -whole.logprobs, atol=1e-5)
    assert found.value == pytest.approx(whole.perplexity)
    nll = -whole.logprobs.astype(float)
    assert found.stderr == pytest.approx(found.value * nll.std(ddof=1) / math.sqrt(len(nll)))
    assert (found.window, found.stride) == (512, 256)


def test_strided_windows_against_token_by_token(engine: TunedEngine) -> None:
    tokens = [0, *engine.tokenize(TEXT)]
    window, stride = 32, 12
    expected, scored = [], 1
    for begin in range(0, len(tokens), stride):
        end = min(begin + window, len(tokens))
        chunk = [0, *tokens[begin + 1 : end]]  # this model wants BOS at the head of whatever it reads
        expected += [
            -float(engine.score([tokens[i]], context=chunk[: i - begin]).logprobs[0]) for i in range(scored, end)
        ]
        scored = end
        if end == len(tokens):
            break
    found = perplexity(engine, TEXT, window=window, stride=stride)
    assert found.tokens == len(TEXT)
    np.testing.assert_allclose(found.nll, expected, rtol=1e-3, atol=1e-3)


def test_second_halves_are_those_of_the_divergence(engine: TunedEngine, tiny: Path) -> None:
    found = perplexity(engine, TEXT, window=64, second_half=True)
    both = compare(Side(tiny, ONE), Side(tiny, ONE), TEXT, window=64)
    assert found.tokens == both.tokens
    assert found.value == pytest.approx(both.reference_perplexity, rel=1e-3)
    assert found.stride == 64


def test_disjoint_chunks_leave_out_each_first_token(engine: TunedEngine) -> None:
    assert perplexity(engine, TEXT, window=50, stride=50).tokens == len(TEXT) + 1 - math.ceil((len(TEXT) + 1) / 50)


def test_files_and_limits(engine: TunedEngine, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT, "utf-8-sig")
    assert perplexity(engine, tmp_path / "a.txt").value == perplexity(engine, TEXT).value
    assert perplexity(engine, TEXT, limit_tokens=21).tokens == 20
    assert perplexity(engine, "ab").tokens == 2
    plain = perplexity(engine, "a").to_dict()
    assert plain["stderr"] is None
    assert plain["tokens"] == 1


@pytest.mark.parametrize(
    "options",
    [
        {"window": 1},
        {"stride": 0},
        {"stride": 600},
        {"limit_tokens": 0},
        {"limit_tokens": 1},
        {"second_half": True, "stride": 7},
    ],
)
def test_what_scores_nothing_is_refused(engine: TunedEngine, options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        perplexity(engine, TEXT, **options)


def test_no_text(engine: TunedEngine) -> None:
    with pytest.raises(UsageError, match="no text"):
        perplexity(engine, " \n")


def test_a_window_beyond_the_context(engine: TunedEngine) -> None:
    with pytest.raises(ContextOverflow):
        perplexity(engine, TEXT * 10, window=1024)
