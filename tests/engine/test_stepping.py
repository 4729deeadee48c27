"""Too little memory at load: down in steps, loudly; never for what is far beyond the machine."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

import workbench as wb
from workbench.engine import stepping
from workbench.engine.stepping import load_stepping_down, smaller_settings
from workbench.errors import ModelLoadError, OutOfMemory, SettingAdjusted, UnknownName
from workbench.models import ModelFile, estimate, read_model_file
from workbench.settings import EngineSettings


@pytest.fixture
def file(tiny: Path) -> ModelFile:
    return read_model_file(tiny)


def loader(have_bytes: int) -> Callable[[ModelFile, EngineSettings], EngineSettings]:
    """A machine of that size, which says what it was asked for last."""

    def make(file: ModelFile, settings: EngineSettings) -> EngineSettings:
        need = estimate(file, settings, settings.n_ctx or 256).total_bytes
        if need > have_bytes:
            raise OutOfMemory("it", need, have_bytes, "Use less.")
        return settings

    return make


def needs(file: ModelFile, **settings: object) -> int:
    chosen = EngineSettings.from_mapping(settings)
    return estimate(file, chosen, chosen.n_ctx or 256).total_bytes


def test_what_fits_is_left_alone(file: ModelFile) -> None:
    asked = EngineSettings(n_ctx=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_stepping_down(loader(2**40), file, asked) == asked


def test_the_micro_batch_gives_way_first(file: ModelFile) -> None:
    with pytest.warns(SettingAdjusted, match="n_ubatch=None became 128"):
        used = load_stepping_down(loader(needs(file, n_ctx=8192, n_ubatch=128)), file, EngineSettings(n_ctx=8192))
    assert (used.n_ctx, used.n_ubatch, used.type_k) == (8192, 128, "f16")


def test_then_the_context_in_halves(file: ModelFile) -> None:
    have = needs(file, n_ctx=4096, n_ubatch=128)
    with pytest.warns(SettingAdjusted, match=r"n_ctx=16384 became 4096.*this machine has.*on_oom=\"raise\""):
        used = load_stepping_down(loader(have), file, EngineSettings(n_ctx=16384))
    assert (used.n_ctx, used.type_k) == (4096, "f16")


def test_last_the_cache_and_it_says_what_that_costs(file: ModelFile) -> None:
    have = needs(file, n_ctx=2048, n_ubatch=128, type_k="q8_0", type_v="q8_0")
    with pytest.warns(SettingAdjusted, match="type_k=f16 became q8_0.*costs quality"):
        used = load_stepping_down(loader(have), file, EngineSettings(n_ctx=4096, n_batch=512))
    assert (used.n_ctx, used.type_v) == (2048, "q8_0")


def test_the_first_error_stands_when_nothing_fits(file: ModelFile) -> None:
    have = needs(file, n_ctx=2048, n_ubatch=128, type_k="q8_0", type_v="q8_0") - 1
    with pytest.raises(OutOfMemory) as caught:
        load_stepping_down(loader(have), file, EngineSettings(n_ctx=4096))
    assert caught.value.need_bytes == needs(file, n_ctx=4096)


def test_far_beyond_the_machine_is_an_error_at_once(file: ModelFile) -> None:
    tries = []

    def make(file: ModelFile, settings: EngineSettings) -> None:
        tries.append(settings)
        raise OutOfMemory("it", 100 * 2**30, 2**30, "Lower n_ctx.")

    with pytest.raises(OutOfMemory):
        load_stepping_down(make, file, EngineSettings(n_ctx=8192))
    assert len(tries) == 1


def test_beyond_the_trained_context_is_an_error_at_once(file: ModelFile) -> None:
    beyond = EngineSettings(n_ctx=file.n_ctx_train + 1)
    with pytest.raises(OutOfMemory):
        load_stepping_down(loader(needs(file, n_ctx=file.n_ctx_train)), file, beyond)


def test_an_allocation_that_failed_in_llama_cpp_counts_as_short_of_memory(file: ModelFile) -> None:
    def make(file: ModelFile, settings: EngineSettings) -> EngineSettings:
        if (settings.n_ctx or 0) > 2048:
            raise ModelLoadError(
                "It said: ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size"
            )
        return settings

    with pytest.warns(SettingAdjusted, match="n_ctx=8192 became 2048.*failed to allocate"):
        assert load_stepping_down(make, file, EngineSettings(n_ctx=8192)).n_ctx == 2048


def test_what_was_loaded_is_closed_when_the_warning_is_an_error(file: ModelFile) -> None:
    closed = []

    class Made:
        def close(self) -> None:
            closed.append(self)

    def make(file: ModelFile, settings: EngineSettings) -> Made:
        if settings.n_ubatch is None:
            raise OutOfMemory("it", 2, 1, "Use less.")
        return Made()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SettingAdjusted):
            load_stepping_down(make, file, EngineSettings(n_ctx=512))
    assert len(closed) == 1


def test_other_refusals_are_not_met_halfway(file: ModelFile) -> None:
    def make(file: ModelFile, settings: EngineSettings) -> None:
        raise ModelLoadError("It said: unknown model architecture: 'x'")

    with pytest.raises(ModelLoadError, match="architecture"):
        load_stepping_down(make, file, EngineSettings(n_ctx=8192))


def test_layers_leave_the_gpu_before_the_context_shrinks(file: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "_gpu", lambda: True)
    steps = list(smaller_settings(file, EngineSettings(n_ctx=4096, n_gpu_layers=-1)))
    assert [step.n_gpu_layers for step in steps] == [-1, 2, 1, 0, 0, 0, 0][: len(steps)]
    assert [step.n_ctx for step in steps[:5]] == [4096] * 5


def test_switched_off_flash_attention_keeps_the_cache_as_it_is(file: ModelFile) -> None:
    steps = list(smaller_settings(file, EngineSettings(n_ctx=4096, flash_attn=False)))
    assert {step.type_v for step in steps} == {"f16"}


def test_every_step_takes_less(file: ModelFile) -> None:
    asked = EngineSettings(n_ctx=16384, n_gpu_layers=0, n_seq_max=4)
    sizes = [estimate(file, step, step.n_ctx or 0).total_bytes for step in (asked, *smaller_settings(file, asked))]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


def test_load_steps_down_or_refuses(
    tiny: Path, file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import hardware

    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))  # what other loads have taught the ledger does not count here
    have = needs(file, n_ctx=4096, n_ubatch=128)
    monkeypatch.setattr(hardware, "ram", lambda: hardware.Ram(total_bytes=2 * have, available_bytes=have))
    with pytest.raises(OutOfMemory, match="n_ctx=8,192"):
        wb.load(tiny, n_ctx=8192, n_threads=1, on_oom="raise")
    with (
        pytest.warns(SettingAdjusted, match="n_ctx=8192 became 4096"),
        wb.load(tiny, n_ctx=8192, n_threads=1) as engine,
    ):
        assert engine.settings.n_ctx == 4096
    with pytest.raises(UnknownName, match="Known: raise, step_down"):
        wb.load(tiny, on_oom="ignore")
