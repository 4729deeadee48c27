"""Requantising through llama.cpp's own quantiser, in a child process."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

import workbench as wb
from workbench.engine import quantize as module
from workbench.engine.quantize import BITS, expected_bytes, quantize, requantised
from workbench.errors import ModelFileError, StorageFull, UnknownName, UsageError
from workbench.models import list_models, resolve, verify
from workbench.models.requantised import provenance
from workbench.testing import make_tiny_gguf


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of 256 weights, as k-quants need them, already quantised."""
    return make_tiny_gguf(
        tmp_path_factory.mktemp("wide") / "wide.gguf", n_embd=256, n_ff=256, dtype="q4_1", name="wide"
    )


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "Q4_K_M", "IQ4_NL", "Q6_K", "F16"])
def test_the_result_has_the_type_runs_and_takes_no_more_than_expected(wide: Path, tmp_path: Path, kind: str) -> None:
    target = quantize(wide, tmp_path / "out" / f"{kind}.gguf", kind, threads=1)
    made = resolve(target)
    assert made.quantisation == kind
    assert made.size_bytes <= expected_bytes(resolve(wide), kind)
    assert made.size_bytes > 0.5 * expected_bytes(resolve(wide), kind), "the bound says something"
    with wb.load(target, n_threads=1, n_ctx=256) as engine:
        assert engine.complete("hello", max_tokens=4, temperature=0).timings.output_tokens == 4
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_every_known_type_has_a_number_in_llama_cpp() -> None:
    assert len({module._ftype(kind) for kind in BITS}) == len(BITS)


def test_mistakes_name_what_is_known(wide: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Q4_K_M"):
        quantize(wide, tmp_path / "x.gguf", "Q4_KM")
    with pytest.raises(UsageError, match="is the model itself"):
        quantize(wide, wide, "Q8_0")


def test_what_llama_cpp_refuses_is_an_error_with_its_words(wide: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.gguf"
    target.write_bytes(b"old")
    with pytest.raises(ModelFileError, match=r"could not be requantised.*requantizing from type"):
        quantize(wide, target, "Q4_0", allow_requantize=False)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.glob(".*.tmp")) == []


def test_a_crash_of_llama_cpp_stays_in_its_process(wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tmp_path / "crash"
    crash.write_text(f"#!{sys.executable}\nimport os\nos.abort()\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(ModelFileError, match="SIGABRT"):
        quantize(wide, tmp_path / "x.gguf", "Q8_0")
    assert not (tmp_path / "x.gguf").exists()


def test_a_hang_ends_at_the_deadline(wide: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"within 0\.01 s"):
        quantize(wide, tmp_path / "x.gguf", "Q8_0", timeout_s=0.01)


def test_too_little_room_is_known_before_anything_is_written(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(StorageFull, match="1,000 are free") as caught:
        quantize(wide, tmp_path / "x.gguf", "Q8_0")
    assert caught.value.need_bytes == expected_bytes(resolve(wide), "Q8_0")
    assert not (tmp_path / "x.gguf").exists()


def test_a_copy_is_made_once_found_by_name_and_says_where_it_is_from(
    wide: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = requantised(wide, "Q8_0", threads=1)
    assert made.path == own_home / "models" / f"wide-Q8_0-{verify(resolve(wide))[:8]}.gguf"
    note = provenance(made.path)
    assert note is not None
    assert note["source"]["sha256"] == verify(resolve(wide))
    assert note["sha256"] == verify(made)
    assert "Requantised from wide" in note["note"]
    assert "quantised twice" in note["note"]
    changed = os.stat(made.path).st_mtime_ns
    assert requantised(wide, "Q8_0").path.stat().st_mtime_ns == changed
    assert made.path.stem in [one.name for one in list_models()]
    assert resolve(made.path.stem).path == made.path


def test_a_copy_does_not_stand_in_the_way_of_its_original(
    wide: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "wid" meant one model before it was requantised; it has to go on meaning it."""
    monkeypatch.setenv("WORKBENCH_MODELS", str(wide.parent))
    requantised(wide, "Q8_0", threads=1)
    assert resolve("wid").path == wide


def test_an_interrupted_copy_is_made_again(wide: Path) -> None:
    made = requantised(wide, "Q8_0", threads=1)
    made.path.with_suffix(".json").unlink()
    assert provenance(requantised(wide, "Q8_0", threads=1).path) is not None
