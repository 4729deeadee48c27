"""What changes the meaning of KV bytes changes the fingerprint, and nothing else does."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from workbench.engine.reuse.fingerprint import fingerprint, model_identity
from workbench.models import known_hash, read_model_file, verify
from workbench.settings import EngineSettings

BASE = EngineSettings(flash_attn=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"type_k": "q8_0"},
        {"flash_attn": True},
        {"flash_attn": True, "type_v": "q8_0"},
        {"rope_freq_base": 5e5},
        {"rope_freq_scale": 0.5},
        {"swa_full": False},
        {"kv_unified": False, "n_seq_max": 2},
    ],
)
def test_what_matters_changes_it(changes):
    assert fingerprint("m", BASE.replace(**changes), "1") != fingerprint("m", BASE, "1")


@pytest.mark.parametrize(
    "changes",
    [
        {"n_gpu_layers": 3},
        {"n_ctx": 4096},
        {"n_threads": 7},
        {"n_batch": 64},
        {"n_seq_max": 4, "kv_unified": True},
        {"kv_unified": False},  # one sequence has one stream either way
    ],
)
def test_what_does_not_matter_leaves_it(changes):
    assert fingerprint("m", BASE.replace(**changes), "1") == fingerprint("m", BASE, "1")


def test_the_model_the_library_and_the_rotation_switch_matter(monkeypatch: pytest.MonkeyPatch):
    base = fingerprint("m", BASE, "1")
    assert fingerprint("n", BASE, "1") != base
    assert fingerprint("m", BASE, "2") != base
    monkeypatch.setenv("LLAMA_ATTN_ROT_DISABLE", "1")
    assert fingerprint("m", BASE, "1") != base


def test_a_known_hash_is_the_identity_and_costs_no_reading(tiny: Path, tmp_path: Path):
    path = shutil.copy(tiny, tmp_path / "a.gguf")
    model = read_model_file(path)
    assert known_hash(model) is None
    unhashed = model_identity(model)
    assert unhashed.startswith("file:")
    assert model_identity(model) == unhashed
    hashed = verify(model)
    assert model_identity(model) == f"sha256:{hashed}"
    os.utime(path, (1, 1))
    assert known_hash(model) is None, "it may be another file now"


def test_without_a_hash_another_file_is_another_model(tiny: Path, tmp_path: Path):
    one, other = (shutil.copy(tiny, tmp_path / name) for name in ("a.gguf", "b.gguf"))
    first = model_identity(read_model_file(one))
    assert first != model_identity(read_model_file(other))
    status = os.stat(one)
    with open(one, "r+b") as file:  # same size, same time, other weights at the end
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\2\3\4")
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert model_identity(read_model_file(one)) != first
