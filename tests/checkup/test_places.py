"""Checks of folders, models and variables, against places to order."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import workbench.models
from workbench.checkup import places


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in places.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def found(monkeypatch):
    """found((name, problem), …): the models on this machine."""

    def have(*models):
        listed = [SimpleNamespace(name=name, path=Path(f"/m/{name}.gguf"), problem=trouble) for name, trouble in models]
        monkeypatch.setattr(workbench.models, "list_models", lambda: listed, raising=False)
        return places.models()

    return have


def test_models_are_named(found):
    check = found(("a", None), ("b", None))
    assert (check.status, check.detail) == ("ok", "2 found: a, b")


def test_many_models_are_cut_short(found):
    check = found(*((f"m{n}", None) for n in range(20)))
    assert "20 found" in check.detail
    assert check.detail.endswith("…")


def test_no_models_are_told_where_to_get_some(found):
    check = found()
    assert check.status == "warning"
    assert "workbench[models]" in check.remedy
    assert "WORKBENCH_MODELS" in check.remedy


def test_a_broken_model_is_named_with_its_trouble(found):
    check = found(("good", None), ("bad", "cut off"))
    assert check.status == "warning"
    assert "1 usable (good)" in check.detail
    assert "bad.gguf: cut off" in check.detail


def test_known_variables_are_shown(tmp_path):
    assert places.variables().detail == f"WORKBENCH_HOME={tmp_path / 'home'}"


def test_a_misspelt_variable_is_guessed_and_its_value_kept_secret(monkeypatch):
    monkeypatch.setenv("WORKBENCH_MODLES", "sentinel")
    check = places.variables()
    assert check.status == "warning"
    assert "WORKBENCH_MODLES (WORKBENCH_MODELS?)" in check.detail
    assert "sentinel" not in check.detail


def test_a_folder_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_MODELS", str(tmp_path / "gone"))
    check = places.variables()
    assert check.status == "warning"
    assert str(tmp_path / "gone") in check.detail


def test_nothing_is_created(tmp_path):
    assert places.folders().status == "ok"
    assert places.disk().status in ("ok", "warning")
    assert not (tmp_path / "home").exists()


def test_a_home_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file" / "home"))
    check = places.folders()
    assert check.status == "problem"
    assert "WORKBENCH_HOME" in check.remedy


@pytest.mark.parametrize(("free", "status"), [(2**20, "problem"), (2 * 2**30, "warning"), (2**40, "ok")])
def test_disk_space(monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    check = places.disk()
    assert check.status == status
    assert bool(check.remedy) == (status != "ok")
