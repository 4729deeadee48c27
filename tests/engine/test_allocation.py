"""What llama.cpp allocated beside what was predicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.engine.allocation import allocated, estimate_error, record_allocation
from workbench.models import SyntheticShape, make_synthetic, memory_ledger, read_model_file
from workbench.settings import EngineSettings

SAID = """\
load_tensors:   CPU_Mapped model buffer size =    70.85 MiB
load_tensors:   CPU_REPACK model buffer size =    72.14 MiB
load_tensors:        CUDA0 model buffer size =  1000.00 MiB
llama_context:        CPU  output buffer size =     0.19 MiB
llama_kv_cache:        CPU KV buffer size =    45.00 MiB
sched_reserve:        CPU compute buffer size =    15.51 MiB
sched_reserve: graph: nodes = 936, splits = 1""".splitlines()


def test_the_log_is_read_by_part_over_all_devices() -> None:
    parts = {part: n_bytes / 2**20 for part, n_bytes in allocated(SAID).items()}
    assert parts == pytest.approx({"weights": 1142.99, "output": 0.19, "kv": 45.0, "compute": 15.51}, abs=0.001)
    assert allocated(["nothing of interest"]) == {}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_ctx": 4096, "n_seq_max": 4, "kv_unified": False},
        {"type_k": "q8_0", "type_v": "q8_0"},
        {"flash_attn": True, "n_ubatch": 64, "use_mmap": False},
    ],
)
def test_the_estimate_agrees_with_the_engine_itself(tiny: Path, tmp_path: Path, settings: dict[str, object]) -> None:
    shape = SyntheticShape(n_layer=3, n_embd=256, n_ff=768, n_head=4, n_head_kv=2, n_vocab=6000)
    path = make_synthetic(tmp_path / "m.gguf", shape, "q4_0", tokenizer_from=tiny)
    result = estimate_error(path, EngineSettings.from_mapping({"n_threads": 1, **settings}))
    assert abs(result["error"]) < 0.02
    for part in memory_ledger.PARTS:
        predicted, actual = result[f"predicted_{part}_bytes"], result[f"allocated_{part}_bytes"]
        assert predicted == pytest.approx(actual, abs=0.011 * 2**20), part


def test_a_load_is_recorded(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    model = read_model_file(tiny)
    record_allocation(model, EngineSettings(), SAID, n_ctx=2048)
    (line,) = memory_ledger.records()
    assert line["actual"]["kv"] == 45 * 2**20
    record_allocation(model, EngineSettings(n_gpu_layers=5), SAID, n_ctx=2048)
    record_allocation(model, EngineSettings(), [], n_ctx=2048)
    assert len(memory_ledger.records()) == 1, "nothing was said, or it lies on several devices"
