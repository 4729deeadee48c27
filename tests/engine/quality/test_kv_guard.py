"""Which caches a model bears."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from workbench.engine.native.context import Context
from workbench.engine.quality import kv_guard
from workbench.engine.quality.agreement import wilson_interval
from workbench.engine.quality.divergence import Side, compare
from workbench.engine.quality.kv_guard import guard_kv, impossible, kv_types
from workbench.engine.quality.kv_report import KvGuard, KvOption, Rule
from workbench.errors import OutOfMemory, UnknownName, UsageError
from workbench.models import read_model_file
from workbench.settings import EngineSettings
from workbench.testing import make_tiny_gguf

TEXT = "The pier was empty, but for two gulls and a rope. " * 10
ONE = EngineSettings(n_threads=1)
TYPES = ("q8_0", "q8_0/f16", "q4_0")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads of 32 elements, so that every quantised cache is possible."""
    return make_tiny_gguf(tmp_path_factory.mktemp("kv") / "wide.gguf", n_embd=128, n_ctx_train=4096)


def guarded(model: Path, types: tuple[str, ...] = TYPES, **options: object) -> KvGuard:
    return guard_kv(model, TEXT, types=types, window=128, **{"settings": ONE, "certain": False, **options})


@pytest.fixture(scope="module")
def found(wide: Path) -> KvGuard:
    return guarded(wide, min_same_top=0.9)


def option(guard: KvGuard, label: str, flash: bool) -> KvOption:
    [one] = [one for one in guard.options if one.label == label and one.flash_attn is flash]
    return one


def test_each_cache_is_measured_against_f16(found: KvGuard, wide: Path) -> None:
    alone = compare(
        Side(wide, ONE), Side(wide, ONE.replace(type_k="q8_0", type_v="q8_0", flash_attn=True)), TEXT, window=128
    )
    measured = option(found, "q8_0/q8_0", flash=True).divergence
    assert measured is not None
    assert measured == dataclasses.replace(alone, kl=measured.kl)
    assert found.tokens == alone.tokens


def test_flash_attention_is_told_apart(found: KvGuard, wide: Path) -> None:
    flash = option(found, "f16/f16", flash=True)
    both = option(found, "q8_0/q8_0", flash=True)
    assert flash.divergence is not None
    assert both.divergence is not None
    assert 0 < flash.divergence.kl_mean < both.divergence.kl_mean
    with_flash = ONE.replace(flash_attn=True)
    own = compare(
        Side(wide, with_flash), Side(wide, with_flash.replace(type_k="q8_0", type_v="q8_0")), TEXT, window=128
    )
    assert both.own is not None
    assert both.own.kl_mean == own.kl_mean != both.divergence.kl_mean
    unflashed = option(found, "q8_0/f16", flash=False)
    assert unflashed.own is unflashed.divergence


def test_settings_that_have_flash_attention_need_no_separation(wide: Path) -> None:
    guard = guarded(wide, ("q8_0",), settings=ONE.replace(flash_attn=True))
    assert [one.label for one in guard.options] == ["f16/f16", "f32/f32", "q8_0/q8_0"]
    assert guard.options[2].own is guard.options[2].divergence


def test_the_smallest_that_passes_is_recommended(found: KvGuard) -> None:
    assert option(found, "q4_0/q4_0", flash=True).verdict == "refused"
    assert found.recommendation.label == "q8_0/q8_0"
    assert found.recommendation.saved == pytest.approx(1 - 34 / 64)
    chosen = found.settings(EngineSettings(n_ctx=1024, flash_attn=False))
    assert (chosen.type_k, chosen.type_v, chosen.flash_attn, chosen.n_ctx) == ("q8_0", "q8_0", True, 1024)


def test_a_limit_nothing_reaches_leaves_f16(wide: Path) -> None:
    guard = guarded(wide, min_same_top=1.0)
    assert {one.verdict for one in guard.options} <= {"reference", "floor", "refused", "pass"}
    assert all(one.verdict == "refused" for one in guard.options if one.saved > 0)
    assert guard.recommendation is guard.reference
    assert (guard.settings().type_k, guard.settings().type_v, guard.settings().flash_attn) == ("f16", "f16", None)
    assert "No smaller cache passed" in guard.text


def test_what_is_measured_on_too_few_tokens_does_not_pass(found: KvGuard, wide: Path) -> None:
    rate = option(found, "q8_0/q8_0", flash=True).divergence
    assert rate is not None
    limit = (rate.same_top + rate.same_top_low) / 2
    assert guarded(wide, ("q8_0",), min_same_top=limit).recommendation.label == "q8_0/q8_0"
    strict = guarded(wide, ("q8_0",), min_same_top=limit, certain=True)
    assert strict.recommendation.label == "f16/f16"
    assert "is certain" in strict.options[-1].reason
    assert "scored tokens would show it" in strict.options[-1].reason


def test_the_number_of_tokens_that_would_do() -> None:
    needed = Rule(0.99, certain=True)._tokens_needed(0.995)
    assert needed is not None
    assert wilson_interval(math.ceil(0.995 * needed), needed)[0] >= 0.99
    assert wilson_interval(math.floor(0.995 * 0.9 * needed), math.ceil(0.9 * needed))[0] < 0.99
    assert Rule(0.99, certain=True)._tokens_needed(0.99) is None


def test_the_noise_floor_is_that_of_the_weights_kernels(tmp_path: Path) -> None:
    """Kernels of quantised weights round activations: a finer cache changes their choices as well."""
    floors = []
    for dtype in ("f32", "q8_0"):
        model = make_tiny_gguf(tmp_path / f"{dtype}.gguf", n_embd=128, dtype=dtype)
        guard = guarded(model, (), min_same_top=1.0)
        assert guard.floor is not None
        floors.append(guard.floor.kl_mean)
    assert floors[1] > 20 * floors[0]
    assert "Noise floor" in guard.text
    assert guard.recommendation is guard.reference


def test_heads_that_no_block_fits_are_reported(tiny: Path) -> None:
    """Heads of 16 elements: llama.cpp would abort the process over a quantised K without flash attention."""
    guard = guarded(tiny, ("q8_0", "q8_0/f16", "bf16"))
    reasons = {one.label: one.reason for one in guard.options if one.verdict == "not possible"}
    assert set(reasons) == {"q8_0/q8_0", "q8_0/f16"}
    assert reasons["q8_0/f16"] == "K heads of 16 elements do not divide into q8_0's blocks of 32"
    assert guard.recommendation.label == "f16/f16"
    assert "not possible" in guard.text
    assert impossible(read_model_file(tiny), "f16", "q4_0") is not None


def test_a_context_llama_refuses_is_reported(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Context._create

    def refuse(self: Context, weights: object, settings: EngineSettings, n_ctx: int) -> object:
        from workbench.errors import ModelLoadError

        if settings.type_k == "q4_0":
            raise ModelLoadError("llama.cpp could not create a context. It said: no.")
        return made(self, weights, settings, n_ctx)  # type: ignore[arg-type]

    monkeypatch.setattr(Context, "_create", refuse)
    guard = guarded(wide, ("q4_0", "q8_0"))
    assert [one.verdict == "not possible" for one in guard.options[-2:]] == [True, False]
    assert "It said: no." in guard.text


def test_memory_for_one_cache_at_a_time_is_enough(found: KvGuard, wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, live = kv_guard.Context, []

    class Tight(made):  # type: ignore[misc, valid-type]
        def __init__(self, *args: object) -> None:
            if len(live) == 4:  # reference, floor, flash attention, one cache
                raise OutOfMemory("a context", 2, 1, "")
            super().__init__(*args)
            live.append(self)

        def free(self) -> None:
            super().free()
            live.remove(self)

    monkeypatch.setattr(kv_guard, "Context", Tight)
    tight = guarded(wide, min_same_top=0.9)
    assert [one.to_dict() for one in tight.options] == [one.to_dict() for one in found.options]
    assert not live


def test_the_report(found: KvGuard) -> None:
    frame = found.table()
    assert list(frame["verdict"])[:2] == ["reference", "floor"]
    assert len(frame) == len(found.options) == 6
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["recommendation"] == {"type_k": "q8_0", "type_v": "q8_0"}
    assert "q8_0/f16" in str(found)
    assert "Recommended: type_k='q8_0', type_v='q8_0', flash_attn=True: 47 % smaller than f16/f16." in found.text


def test_bad_input(wide: Path) -> None:
    assert kv_types(" q8_0/f16") == ("q8_0", "f16")
    assert kv_types("q4_0") == ("q4_0", "q4_0")
    with pytest.raises(UnknownName, match="q9_0"):
        guarded(wide, ("q9_0",))
    with pytest.raises(UsageError, match="min_same_top"):
        guarded(wide, min_same_top=99)
    with pytest.raises(UsageError, match="longer text"):
        guard_kv(wide, "", settings=ONE)
