import os
import shutil
from pathlib import Path

import pytest

from workbench.errors import WorkbenchWarning
from workbench.models import discovery, list_models
from workbench.models.catalogue import bundled
from workbench.models.discovery import FoundModel, ModelList
from workbench.settings import cache_dir

HOSTILE = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture
def folder(user: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is searched; the bundled models are not there."""
    path = user / "ggufs"
    path.mkdir()
    monkeypatch.setenv("WORKBENCH_MODELS", str(path))
    monkeypatch.setattr(discovery, "CATALOGUE", ())
    return path


@pytest.fixture
def read_count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The model files whose headers were read."""
    read: list[Path] = []

    def counting(path: Path):
        read.append(path)
        return original(path)

    original = discovery.read_model_file
    monkeypatch.setattr(discovery, "read_model_file", counting)
    return read


def test_lists_what_headers_say(folder, tiny):
    shutil.copy(tiny, folder / "mine.gguf")
    (found,) = list_models()
    assert (found.name, found.source, found.path) == ("mine", "WORKBENCH_MODELS", folder / "mine.gguf")
    assert (found.architecture, found.quantisation, found.n_ctx_train) == ("llama", "F32", 512)
    assert (found.size_bytes, found.problem) == (tiny.stat().st_size, None)


def test_a_broken_file_is_listed_with_its_reason(folder, tiny):
    shutil.copy(tiny, folder / "good.gguf")
    (folder / "cut.gguf").write_bytes(tiny.read_bytes()[:100])
    (folder / "dangling.gguf").symlink_to(folder / "gone")
    (folder / "page.gguf").write_text("<!doctype html>")
    (folder / "part-00001-of-00002.gguf").write_bytes(tiny.read_bytes())
    problems = {found.name: found.problem for found in list_models()}
    assert problems.pop("good") is None
    assert {name: bool(problem) for name, problem in problems.items()} == dict.fromkeys(
        ("cut", "dangling", "page", "part"), True
    )
    assert "cut off" in problems["cut"]
    assert "web page" in problems["page"]
    assert "part-00002-of-00002.gguf is missing" in problems["part"]


def test_a_second_listing_reads_no_header(folder, tiny, read_count):
    shutil.copy(tiny, folder / "mine.gguf")
    first = list_models()
    assert list_models() == first
    assert read_count == [folder / "mine.gguf"]


def test_a_changed_file_is_read_again(folder, tiny, read_count):
    path = Path(shutil.copy(tiny, folder / "mine.gguf"))
    list_models()
    os.utime(path, ns=(1, 1))
    list_models()
    path.write_bytes(b"")
    os.utime(path, ns=(1, 1))
    assert "empty" in list_models()[0].problem
    assert len(read_count) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1, "models": {"x": 3}}', '{"version": 99}'])
def test_a_damaged_cache_is_ignored_and_rewritten(folder, tiny, read_count, content):
    shutil.copy(tiny, folder / "mine.gguf")
    first = list_models()
    (cache_dir() / "models.json").write_text(content)
    assert list_models() == first == list_models()
    assert len(read_count) == 2


def test_what_is_gone_is_forgotten(folder, tiny):
    for name in ("one", "two"):
        shutil.copy(tiny, folder / f"{name}.gguf")
    list_models()
    (folder / "one.gguf").unlink()
    shutil.copy(tiny, folder / "three.gguf")
    list_models()
    stored = (cache_dir() / "models.json").read_text()
    assert "one.gguf" not in stored
    assert "three.gguf" in stored


def test_a_cache_that_cannot_be_written_is_a_warning(folder, tiny):
    shutil.copy(tiny, folder / "mine.gguf")
    cache_dir().parent.mkdir(parents=True)
    cache_dir().write_text("in the way")
    with pytest.warns(WorkbenchWarning, match="not remembered"):
        assert len(list_models()) == 1


def test_one_file_found_twice_is_listed_once(folder, tiny):
    shutil.copy(tiny, folder / "mine.gguf")
    (folder / "same.gguf").symlink_to(folder / "mine.gguf")
    assert [found.name for found in list_models()] == ["mine"]


@pytest.mark.model
@pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed")
def test_bundled_models_come_first_and_listing_joins_nothing():
    found = list_models()
    assert (found[0].name, found[0].source) == ("smollm2-135m", "bundled")
    assert all(one.n_ctx_train for one in found if one.source == "bundled")
    assert not (cache_dir() / "models").exists()


def test_shows_itself_as_a_table(folder, tiny):
    shutil.copy(tiny, folder / "mine.gguf")
    (folder / "broken.gguf").write_bytes(b"")
    lines = repr(list_models()).splitlines()
    assert lines[0].split() == ["name", "architecture", "quantisation", "size", "trained", "context", "source"]
    assert lines[1].split() == ["broken", "broken", "WORKBENCH_MODELS"]
    assert lines[2].split()[:3] == ["mine", "llama", "F32"]
    assert lines[3].startswith("broken: the file is empty")


def test_an_empty_list_says_what_to_do(folder):
    assert "pip install 'workbench[models]'" in repr(list_models())
    assert "WORKBENCH_MODELS" in list_models()._repr_html_()


def test_html_is_text_only():
    hostile = dict.fromkeys(("name", "source", "architecture", "quantisation"), HOSTILE)
    page = ModelList(
        [
            FoundModel(path=Path(HOSTILE), **hostile),
            FoundModel(path=Path("x"), name="n", source="s", problem=HOSTILE),
        ]
    )._repr_html_()
    assert "<img" not in page
    assert page.count("&lt;img") == 6
    assert page.count("'") == 4, "only the quotes around the two titles"


def test_is_a_sequence():
    found = ModelList([FoundModel(name=name, source="s", path=Path(name)) for name in "abc"])
    assert [one.name for one in found[1:]] == ["b", "c"]
    assert isinstance(found[:1], ModelList)
    assert found[0] in found
    assert hash(found) == hash(found[:])
