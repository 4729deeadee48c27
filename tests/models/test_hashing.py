import hashlib
import os
import shutil
from pathlib import Path

import pytest

from workbench.errors import ModelFileError, ModelHashMismatch, WorkbenchWarning
from workbench.models import hashing, read_model_file, verify
from workbench.models.catalogue import bundled
from workbench.settings import home
from workbench.testing.tiny_gguf import make_tiny_gguf


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def model_path(tmp_path: Path, tiny: Path) -> Path:
    return Path(shutil.copy(tiny, tmp_path / "mine.gguf"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read whole."""
    read: list[str] = []
    original = hashlib.file_digest

    def counting(file, algorithm):
        read.append(file.name)
        return original(file, algorithm)

    monkeypatch.setattr(hashing.hashlib, "file_digest", counting)
    return read


def test_the_hash_is_computed_once(model_path, hashed):
    model = read_model_file(model_path)
    assert verify(model) == verify(model) == sha256(model_path)
    assert len(hashed) == 1


def test_any_file_is_hashed_once(tmp_path, hashed):
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    assert hashing.file_hash(path) == hashing.file_hash(path) == sha256(path)
    assert len(hashed) == 1
    with pytest.raises(ModelFileError, match="cannot be read"):
        hashing.file_hash(tmp_path / "none")


def test_a_changed_file_without_a_known_hash_is_hashed_again(model_path, hashed):
    first = verify(read_model_file(model_path))
    make_tiny_gguf(model_path, seed=1)
    assert verify(read_model_file(model_path)) == sha256(model_path) != first
    os.utime(model_path, ns=(1, 1))
    verify(read_model_file(model_path))
    assert len(hashed) == 3


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1}', None])
def test_a_damaged_record_is_made_again(model_path, hashed, content):
    verify(read_model_file(model_path))
    record = home() / "model_hashes.json"
    damaged = record.read_text().replace('"sha256": "', '"sha256": 1, "was": "') if content is None else content
    record.write_text(damaged)
    assert verify(read_model_file(model_path)) == sha256(model_path)
    assert verify(read_model_file(model_path)) == sha256(model_path)
    assert len(hashed) == 2


@pytest.mark.parametrize("prefix", ["sha256-", ""], ids=["Ollama", "Hugging Face"])
def test_blobs_must_have_the_hash_they_are_named_by(tmp_path, tiny, prefix):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    right = Path(shutil.copy(tiny, blobs / f"{prefix}{sha256(tiny)}"))
    link = tmp_path / "snapshot.gguf"
    link.symlink_to(right)
    assert verify(read_model_file(link)) == sha256(tiny)
    data = bytearray(right.read_bytes())
    data[-1] ^= 1
    right.write_bytes(data)
    with pytest.raises(ModelHashMismatch) as caught:
        verify(read_model_file(link))
    assert (caught.value.expected, caught.value.actual) == (sha256(tiny), sha256(right))
    with pytest.raises(ModelHashMismatch):
        verify(read_model_file(link))


def test_a_bundled_model_must_have_its_known_hash(model_path, monkeypatch):
    monkeypatch.setattr(hashing, "known_sha256", lambda path: "0" * 64)
    with pytest.raises(ModelHashMismatch, match="altered or damaged"):
        verify(read_model_file(model_path))


def test_every_part_of_a_split_model_counts(tmp_path, model_path, tiny):
    other = Path(shutil.copy(tiny, tmp_path / "other.gguf"))
    object.__setattr__(model := read_model_file(model_path), "parts", (model_path, other))
    first = verify(model)
    assert first not in (sha256(model_path), sha256(other))
    make_tiny_gguf(other, seed=1)
    assert verify(model) != first


def test_a_file_that_went_away(model_path):
    model = read_model_file(model_path)
    model_path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        verify(model)


def test_a_record_that_cannot_be_written_is_a_warning(model_path):
    home().parent.mkdir(parents=True, exist_ok=True)
    home().write_text("in the way")
    model = read_model_file(model_path)
    with pytest.warns(WorkbenchWarning, match="not recorded"):
        assert verify(model) == sha256(model_path)


@pytest.mark.model
@pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed")
def test_smollm2_is_the_known_file():
    assert verify(read_model_file(bundled("smollm2-135m").locate())) == bundled("smollm2-135m").sha256
