"""Settings for any machine: real shapes from 1B to 8B, described machines, nothing loaded."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import InvalidSettings, OutOfMemory, UnknownName
from workbench.models import Fit, GpuMemory, Machine, ModelFile, fit, read_model_file
from workbench.models.machine import UNREAD_SHARE, parse_sizes
from workbench.models.placement import Costs, deal_out
from workbench.models.synthetic import SHAPES, _Plan, _tokenizer
from workbench.settings import EngineSettings
from workbench.testing.tiny_gguf import make_tiny_gguf

GIB = 2**30


def hollow(path: Path, shape: str, quantization: str, tokenizer: Path) -> ModelFile:
    """A model of which only the header is there; the rest of the file is a hole."""
    chosen = dataclasses.replace(SHAPES[shape], n_vocab=128_256)
    plan = _Plan(chosen, quantization, _tokenizer(tokenizer, chosen), 0)
    plan.write_header(path, shape)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 64 + sum(plan._n_bytes(name) + 32 for name in plan.tensors))
    return read_model_file(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("hollow")
    tokenizer = make_tiny_gguf(folder / "bytes.gguf")
    return {
        "1b": hollow(folder / "1b.gguf", "1b", "q4_0", tokenizer),
        "8b": hollow(folder / "8b.gguf", "8b", "q4_k", tokenizer),
        "8b f16": hollow(folder / "8bf16.gguf", "8b", "f16", tokenizer),
    }


def machine(*gpus: float, ram: float = 16, cores: int = 8) -> Machine:
    return Machine(
        host_free_bytes=int(ram * GIB),
        physical_cores=cores,
        gpus=tuple(
            GpuMemory(total_bytes=int(size * GIB), free_bytes=int(size * GIB), name=f"GPU {number}")
            for number, size in enumerate(gpus)
        ),
    )


def check(found: Fit) -> Fit:
    """What must hold for every fit."""
    free = [found.machine.host_free_bytes, *(gpu.usable_bytes for gpu in found.machine.gpus)]
    assert all(load.total_bytes <= available for load, available in zip(found.loads, free, strict=True))
    assert found.settings.n_gpu_layers == sum(load.layers for load in found.loads[1:])
    assert all(why.endswith(".") for why in found.why)
    assert {"n_gpu_layers", "n_ctx", "n_batch", "type_k, type_v", "n_threads"} <= {row[0] for row in found.table()}
    assert found.settings.n_threads == found.machine.physical_cores
    return found


def test_one_gpu_holds_all(models: dict[str, ModelFile]) -> None:
    found = check(fit(models["8b"], machine(24), factor=1.0))
    assert found.settings.n_gpu_layers == 33
    assert found.settings.type_k == "f16"
    assert found.settings.flash_attn is True
    assert found.settings.n_ubatch == 512
    assert found.n_ctx == 32_768


def test_two_gpus_when_one_is_enough(models: dict[str, ModelFile]) -> None:
    found = check(fit(models["8b"], machine(12, 24), factor=1.0))
    assert (found.settings.split_mode, found.settings.main_gpu, found.settings.tensor_split) == ("none", 1, None)
    assert [load.layers for load in found.loads] == [0, 0, 33]


def test_two_gpus_share_in_whole_layers_by_free_memory(models: dict[str, ModelFile]) -> None:
    found = check(fit(models["8b f16"], machine(7, 14), factor=1.0, n_ctx=4096))
    assert found.settings.n_gpu_layers == 33
    split = found.settings.tensor_split
    assert split is not None
    assert sum(split) == 33
    assert 1.5 < split[1] / split[0] < 3, "the second is twice as large"
    assert found.settings.split_mode == "layer"
    assert any("shared by free memory" in why for why in found.why)
    even = check(fit(models["8b f16"], machine(14, 14), factor=1.0, n_ctx=16_384)).settings.tensor_split
    assert even is not None
    assert abs(even[0] - even[1]) <= 4


@pytest.mark.parametrize("gpu", [4, 8])
def test_a_small_gpu_holds_some_layers(models: dict[str, ModelFile], gpu: int) -> None:
    found = check(fit(models["8b"], machine(gpu), n_ctx=8192, factor=1.0))
    layers = found.settings.n_gpu_layers
    assert layers is not None
    assert (0 < layers < 33) if gpu == 4 else layers == 33
    costs = Costs(models["8b"], found.settings, 8192)
    if layers < 33:
        assert deal_out(costs, layers + 1, [gpu * GIB]) is None, "one more would not fit"
        assert any(f"{33 - layers} run on the CPU" in why for why in found.why)


def test_more_memory_never_means_fewer_layers(models: dict[str, ModelFile]) -> None:
    layers = [fit(models["8b"], machine(size), n_ctx=8192, factor=1.0).settings.n_gpu_layers for size in range(1, 10)]
    assert layers == sorted(layers)
    assert layers[0] < layers[-1]


def test_no_gpu(models: dict[str, ModelFile]) -> None:
    found = check(fit(models["1b"], machine(ram=16), factor=1.0))
    assert found.settings.n_gpu_layers == 0
    assert found.settings.flash_attn is False
    assert found.settings.tensor_split is None
    assert "There is no GPU" in found.why[0]


def test_an_open_context_gives_way_before_quality_does(models: dict[str, ModelFile]) -> None:
    roomy, tight = (check(fit(models["8b"], machine(ram=ram), factor=1.0)) for ram in (32, 6.5))
    assert roomy.n_ctx == 32_768 > tight.n_ctx >= 4096
    assert tight.settings.type_k == "f16"
    assert any("Twice as much would not fit" in why for why in tight.why)


def test_a_context_asked_for_stays_and_the_cache_gives_way_last(models: dict[str, ModelFile]) -> None:
    found = check(fit(models["8b"], machine(ram=7), n_ctx=32_768, factor=1.0))
    assert found.n_ctx == found.settings.n_ctx == 32_768
    assert found.settings.type_k == found.settings.type_v == "q8_0"
    assert found.settings.flash_attn is True
    assert any("costs quality" in why and "guard" in why for why in found.why)
    with pytest.raises(OutOfMemory):
        fit(models["8b"], machine(ram=7), n_ctx=32_768, kv_quality="full", factor=1.0)
    assert fit(models["8b"], machine(ram=32), n_ctx=4096, kv_quality="reduced", factor=1.0).settings.type_k == "q8_0"


def test_a_smaller_micro_batch_comes_first(models: dict[str, ModelFile]) -> None:
    whole = fit(models["8b"], machine(ram=64), n_ctx=16_384, factor=1.0)
    tight = check(fit(models["8b"], machine(ram=whole.total_bytes / GIB - 0.5), n_ctx=16_384, factor=1.0))
    assert tight.settings.type_k == "f16"
    assert (tight.settings.n_ubatch or 0) < (whole.settings.n_ubatch or 0) == 512
    assert tight.settings.n_batch == tight.settings.n_ubatch


@pytest.mark.parametrize(("total", "batch"), [(24, 512), (12, 512), (8, 256), (4, 128), (2, 64)])
def test_tiers_of_memory_where_nothing_can_be_measured(models: dict[str, ModelFile], total: int, batch: int) -> None:
    unread = Machine(host_free_bytes=32 * GIB, physical_cores=4, gpus=(GpuMemory(total_bytes=total * GIB),))
    found = check(fit(models["1b"], unread, n_ctx=4096, factor=1.0))
    assert found.settings.n_ubatch == batch
    assert found.settings.n_batch == max(batch, 1)
    assert any("cannot be read" in why for why in found.why)
    assert unread.gpus[0].usable_bytes == int(UNREAD_SHARE * total * GIB)


def test_larger_than_everything(models: dict[str, ModelFile]) -> None:
    with pytest.raises(OutOfMemory, match=r"A Q5_K_M of this model would fit") as caught:
        fit(models["8b f16"], machine(ram=6), factor=1.0)
    assert caught.value.need_bytes > caught.value.have_bytes == 6 * GIB
    with pytest.raises(OutOfMemory, match=r"a model of up to \d\.\d billion weights"):
        fit(models["8b f16"], machine(ram=2.5), factor=1.0)
    with pytest.raises(OutOfMemory, match="free some memory"):
        fit(models["8b f16"], machine(ram=0.1), factor=1.0)


def test_the_factor_makes_it_more_careful(models: dict[str, ModelFile]) -> None:
    plain, careful = (fit(models["8b"], machine(4), n_ctx=8192, factor=factor) for factor in (1.0, 1.5))
    assert (careful.settings.n_gpu_layers or 0) < (plain.settings.n_gpu_layers or 0)


def test_sequences_share_the_context(models: dict[str, ModelFile]) -> None:
    found = check(fit(models["1b"], machine(24), n_seq_max=16, factor=1.0))
    assert found.settings.n_seq_max == 16
    assert found.n_ctx >= 16 * 1024
    crowded = check(fit(models["1b"], machine(24), n_seq_max=200, n_ctx=20_000, factor=1.0))
    assert crowded.settings.n_batch >= 200


def test_the_settings_are_taken_by_an_engine(tiny: Path) -> None:
    found = fit(read_model_file(tiny), machine(ram=1, cores=1), factor=1.0)
    assert EngineSettings.from_mapping(found.settings.to_dict()) == found.settings
    assert found.n_ctx == 512, "no more than the model was trained for"


def test_this_machine(tiny: Path) -> None:
    found = check(wb.fit(read_model_file(tiny)))
    assert found.machine.host_free_bytes > 0
    assert found.machine.physical_cores >= 1


def test_it_is_quick(models: dict[str, ModelFile]) -> None:
    started = time.perf_counter()
    fit(models["8b"], machine(4, 4), factor=1.0)
    assert time.perf_counter() - started < 10, "below one second on an idle machine"


def test_what_cannot_be_is_refused(models: dict[str, ModelFile]) -> None:
    with pytest.raises(UnknownName, match="Known: auto, full, reduced"):
        fit(models["1b"], machine(), kv_quality="low")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettings):
        fit(models["1b"], machine(), n_ctx=4, n_seq_max=8)


def test_sizes_as_people_write_them() -> None:
    assert parse_sizes("8GB, 512MiB,1.5g,100") == [8 * GIB, 512 * 2**20, 3 * 2**29, 100]
    for wrong in ("", "8 potatoes", "-1GB", "GB", "8XB", "inf GB", "nan"):
        with pytest.raises(InvalidSettings):
            parse_sizes(wrong)
