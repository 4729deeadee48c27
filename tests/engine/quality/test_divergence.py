"""Two settings, or two files, on one text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from workbench.engine.native.context import Context
from workbench.engine.native.weights import Weights
from workbench.engine.quality import divergence
from workbench.engine.quality.divergence import Side, compare
from workbench.engine.quality.lockstep import walk
from workbench.engine.quality.windows import chunks
from workbench.errors import InvalidSettings, OutOfMemory, UsageError
from workbench.models import read_model_file
from workbench.settings import EngineSettings
from workbench.testing import make_tiny_gguf

TEXT = "The pier was empty, but for two gulls and a rope. " * 8
ONE = EngineSettings(n_threads=1)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads of 32 elements, so that every quantised cache is possible."""
    return make_tiny_gguf(tmp_path_factory.mktemp("kv") / "wide.gguf", n_embd=128, n_ctx_train=4096)


def against_f16(model: Path, text: str = TEXT, window: int = 128, **changes: object) -> divergence.Divergence:
    return compare(Side(model, ONE), Side(model, ONE.replace(**changes)), text, window=window)


def raw_logits(model: Path, settings: EngineSettings, tokens: list[int]) -> np.ndarray:
    """(n, n_vocab) of each token, one decode a token."""
    weights = Weights(read_model_file(model), settings)
    context = Context(weights, settings, len(tokens))
    try:
        rows = [
            piece.logits[0].copy()
            for n in range(2, len(tokens) + 1)
            for piece in walk([context], tokens[:n], chunks(n, n, second_half=False)[-1:], bos=None)
        ]
        return np.stack([row[-1] for row in rows])
    finally:
        context.free()
        weights.free()


def test_a_model_does_not_diverge_from_itself(wide: Path) -> None:
    found = against_f16(wide)
    assert found.kl_max == 0.0
    assert found.same_top == 1.0
    assert found.same_top_low < 1.0
    assert found.perplexity_ratio == 1.0
    assert found.dp_rms == 0.0
    assert math.isnan(found.dp_rms_stderr)
    assert found.to_dict()["dp_rms_stderr"] is None


def test_against_a_direct_computation(wide: Path) -> None:
    quantised = ONE.replace(type_k="q8_0", flash_attn=False)
    tokens = [0, *range(40, 100)]
    p = log_softmax(raw_logits(wide, ONE, tokens).astype(float), axis=1)
    q = log_softmax(raw_logits(wide, quantised, tokens).astype(float), axis=1)
    rows, targets = np.arange(60), tokens[1:]
    found = compare(Side(wide, ONE), Side(wide, quantised), tokens, window=64, second_half=False)
    assert found.tokens == 60
    # one by one and all at once round differently; their difference is far below the effect
    np.testing.assert_allclose(found.kl, (np.exp(p) * (p - q)).sum(axis=1), rtol=0.2, atol=2e-4)
    assert found.kl_mean == pytest.approx((np.exp(p) * (p - q)).sum(axis=1).mean(), rel=0.05)
    assert found.reference_perplexity == pytest.approx(np.exp(-p[rows, targets].mean()), rel=1e-3)
    assert found.candidate_perplexity == pytest.approx(np.exp(-q[rows, targets].mean()), rel=1e-3)
    dp = np.exp(q[rows, targets]) - np.exp(p[rows, targets])
    assert found.dp_rms == pytest.approx(np.sqrt((dp**2).mean()), rel=0.05)


def test_the_direction_matters(wide: Path) -> None:
    rough = ONE.replace(type_k="q4_0", type_v="q4_0", flash_attn=True)
    there = compare(Side(wide, ONE), Side(wide, rough), TEXT, window=128)
    back = compare(Side(wide, rough), Side(wide, ONE), TEXT, window=128)
    assert abs(there.kl_mean / back.kl_mean - 1) > 1e-3
    assert there.same_top == back.same_top
    assert there.perplexity_ratio == pytest.approx(1 / back.perplexity_ratio)
    assert there.reference.type_k == back.candidate.type_k == "f16"


def test_a_rougher_cache_diverges_more(wide: Path) -> None:
    fine = against_f16(wide, type_k="q8_0", type_v="q8_0", flash_attn=True)
    rough = against_f16(wide, type_k="q4_0", type_v="q4_0", flash_attn=True)
    assert rough.kl_mean > 10 * fine.kl_mean > 0
    assert rough.same_top < fine.same_top
    assert rough.kl_median < rough.kl_p95 < rough.kl_p99 <= rough.kl_max


def test_pieces_do_not_show(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = against_f16(wide, type_k="q4_0", flash_attn=False)
    made = Context.__init__

    def small(self: Context, *args: object, **options: object) -> None:
        made(self, *args, **options)  # type: ignore[arg-type]
        self.score_tokens = 16

    monkeypatch.setattr(Context, "__init__", small)
    assert against_f16(wide, type_k="q4_0", flash_attn=False).kl_mean == pytest.approx(whole.kl_mean, rel=0.02)


def test_two_quantisations_of_one_model(tmp_path: Path) -> None:
    full, rough = (make_tiny_gguf(tmp_path / f"{dtype}.gguf", dtype=dtype) for dtype in ("f32", "q4_0"))
    found = compare(Side(full, ONE), Side(rough, ONE), TEXT, window=128)
    assert found.kl_mean > 0.01
    assert found.tokens == 3 * 63


def test_weights_are_loaded_once_when_both_sides_use_them_alike(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = Weights.__init__

    def counted(self: Weights, *args: object) -> None:
        loads.append(args)
        load(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Weights, "__init__", counted)
    against_f16(wide, type_k="q8_0")
    assert len(loads) == 1
    against_f16(wide, repack=False)
    assert len(loads) == 3


def test_other_vocabularies_are_refused(tmp_path: Path, wide: Path) -> None:
    other = make_tiny_gguf(tmp_path / "other.gguf", tokenizer="smollm2")
    with pytest.raises(UsageError, match=r"261 and 49,152 tokens.*no common vocabulary"):
        compare(Side(wide, ONE), Side(other, ONE), TEXT)


def test_texts_that_have_nothing_to_score(wide: Path) -> None:
    with pytest.raises(UsageError, match="longer text"):
        against_f16(wide, text="")
    with pytest.raises(UsageError, match="limit_tokens"):
        compare(Side(wide, ONE), Side(wide, ONE), TEXT, limit_tokens=0)
    with pytest.raises(InvalidSettings, match="no token"):
        compare(Side(wide, ONE), Side(wide, ONE), [1, 2, 99999])


def test_a_limit_of_tokens(wide: Path) -> None:
    found = compare(Side(wide, ONE), Side(wide, ONE), TEXT, window=32, limit_tokens=64)
    assert found.tokens == 2 * 15
    assert len(found.kl) == found.tokens


def test_what_does_not_fit_is_refused_before_loading(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Weights, "__init__", lambda *_: pytest.fail("loaded"))
    with pytest.raises(OutOfMemory):
        compare(Side(wide, ONE), Side(wide, ONE), TEXT, window=10**9)


def test_settings_for_many_sequences_count_as_one(wide: Path) -> None:
    many = ONE.replace(n_seq_max=8, n_ctx=4096, kv_unified=False)
    assert compare(Side(wide, ONE), Side(wide, many), TEXT, window=128).kl_max == 0.0
