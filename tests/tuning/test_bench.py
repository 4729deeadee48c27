"""The real laboratory: processes, files, crashes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import EngineError, WorkerDied
from workbench.models import ModelFile, resolve
from workbench.testing import make_tiny_gguf
from workbench.tuning import Candidate, Plan, Workload, tune
from workbench.tuning import bench as module
from workbench.tuning.bench import ProcessLab
from workbench.tuning.candidate import DEFAULT
from workbench.tuning.process import Child

ONE_THREAD = Candidate.of(None, {"n_threads": 1})
SHORT = Workload(prompt_tokens=64, decode_tokens=8)
TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 12


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute threads of several processes on the same cores spin at each other's expense."""
    side = ProcessLab._side

    def with_one(self: ProcessLab, candidate: Candidate) -> dict[str, Any]:
        found = side(self, candidate)
        return {**found, "settings": {"n_threads": 1, **found["settings"], "n_threads_batch": 1}}

    monkeypatch.setattr(ProcessLab, "_side", with_one)


@pytest.fixture
def wide(tmp_path: Path) -> ModelFile:
    return resolve(make_tiny_gguf(tmp_path / "wide.gguf", n_embd=64, n_ff=64, name="wide", n_ctx_train=2048))


@pytest.fixture
def real(wide: ModelFile) -> Iterator[ProcessLab]:
    lab = ProcessLab(wide, text=TEXT)
    yield lab
    lab.close()


def test_speeds_of_the_file_and_of_a_copy(real: ProcessLab, own_home: Path) -> None:
    for candidate in (ONE_THREAD, Candidate.of("Q8_0", {"n_threads": 1})):
        shot = real.measure(candidate, SHORT)
        assert min(shot.prefill_tps, shot.decode_tps) > 0
    [copy] = (own_home / "models").glob("*.gguf")
    real.tidy(Candidate("Q8_0"))
    assert copy.exists()
    real.tidy(None)
    assert not copy.exists()
    assert list((own_home / "models").iterdir()) == []


def test_a_copy_that_was_there_before_is_not_deleted(wide: ModelFile, real: ProcessLab) -> None:
    path = real.prepare(Candidate("Q8_0")).path
    other = ProcessLab(wide)
    other.prepare(Candidate("Q8_0"))
    other.tidy(None)
    assert path.exists()


def test_quality_of_a_copy(real: ProcessLab) -> None:
    fine, coarse = (real.quality(Candidate(kind), 256) for kind in ("Q8_0", "Q2_K"))
    assert 0 < fine.kl < coarse.kl
    assert fine.same_top > coarse.same_top
    assert fine.tokens > 50
    assert real.quality(Candidate.of(None, {"n_threads": 1}), 256).kl < 1e-6


def test_processes_take_turns_and_the_oldest_goes_when_memory_is_short(
    real: ProcessLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    real.measure(ONE_THREAD, SHORT)
    real.measure(Candidate.of(None, {"n_threads": 1, "n_batch": 128}), SHORT)
    assert len(real._open) == 2
    monkeypatch.setattr(module, "_MOST_OPEN", 2)
    real.measure(ONE_THREAD, SHORT)
    real.measure(Candidate.of(None, {"n_threads": 1, "n_batch": 256}), SHORT)
    assert ONE_THREAD in real._open, "used a moment ago"
    assert len(real._open) == 2
    monkeypatch.setattr(module, "_MEMORY_SHARE", 0.0)
    real.measure(Candidate.of(None, {"n_threads": 1, "n_ubatch": 64}), SHORT)
    assert len(real._open) <= 2


def test_a_killed_process_is_this_candidates_failure_and_the_next_call_starts_another(real: ProcessLab) -> None:
    real.measure(ONE_THREAD, SHORT)
    [child] = real._open.values()
    os.kill(child._process.pid, signal.SIGKILL)
    child._process.wait()
    with pytest.raises(WorkerDied) as caught:
        real.measure(ONE_THREAD, SHORT)
    assert caught.value.signal == "SIGKILL"
    assert real.measure(ONE_THREAD, SHORT).decode_tps > 0


def test_an_abort_of_llama_cpp_is_an_error_with_its_words(wide: ModelFile) -> None:
    """Keys of 8 elements a token cannot be kept in blocks of 32."""
    narrow = resolve(make_tiny_gguf(wide.path.with_name("narrow.gguf"), n_embd=32, n_head=4, n_head_kv=1, n_ff=32))
    lab = ProcessLab(narrow)
    with pytest.raises(WorkerDied, match="GGML_ASSERT") as caught:
        lab.measure(Candidate.of(None, {"n_threads": 1, "type_k": "q8_0"}), SHORT)
    assert caught.value.signal == "SIGABRT"
    assert not lab._open


def test_a_gpu_that_is_not_there_is_no_cpu_measurement(real: ProcessLab) -> None:
    with pytest.raises(EngineError, match="GpuUnavailable"):
        real.measure(Candidate.of(None, {"n_threads": 1, "n_gpu_layers": 1}), SHORT)


def test_silence_ends_at_the_deadline() -> None:
    child = Child()
    with pytest.raises(WorkerDied, match="No answer"):
        child.ask({"operation": "compare"}, 0.001)
    assert child._process.poll() is not None


def test_whole_turns_go_through_the_engine(wide: ModelFile) -> None:
    lab = ProcessLab(wide, text=TEXT, through_engine=True)
    shot = lab.measure(Candidate.of(None, {"n_threads": 1, "speculation": "lookup"}), SHORT)
    lab.close()
    assert min(shot.prefill_tps, shot.decode_tps) > 0


def test_a_tune_on_real_processes_ends_with_a_report(wide: ModelFile, own_home: Path) -> None:
    plan = Plan(pairs=1, finalists=1, rounds=2, max_trials=3)
    lines: list[str] = []
    result = tune(wide, minutes=2, workload=SHORT, quantizations=("Q8_0",), plan=plan, text=TEXT, progress=lines.append)
    assert len(result.trials) >= 1
    assert result.trials[0].candidate == DEFAULT
    assert any(one.quality for one in result.screened)
    assert any(line.startswith("trial 1: default") for line in lines)
    assert list((own_home / "tuning").glob("*.db")) == []
    assert result.chosen is None, "two rounds decide nothing"
