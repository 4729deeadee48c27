"""Profiles: kept, found again, and passed over when they are stale."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import StoreCorrupt, UsageError
from workbench.models import ModelFile, resolve, verify
from workbench.models.profiles import (
    Profile,
    enabled,
    find_profile,
    llama_cpp_version,
    machine_facts,
    read_profile,
    save_profile,
)
from workbench.testing import make_tiny_gguf


@pytest.fixture
def file(tiny: Path) -> ModelFile:
    return resolve(tiny)


def profile_of(file: ModelFile, /, **changes: Any) -> Profile:
    values: dict[str, Any] = {
        "model": file.name,
        "model_sha256": verify(file),
        "machine": machine_facts(),
        "llama_cpp": llama_cpp_version(),
        "settings": {"n_threads": 1, "n_ubatch": 128},
        "quantisation": file.quantisation,
        "made": "2026-11-21T12:00:00+00:00",
        **changes,
    }
    return Profile(**values)


def test_what_is_saved_is_found(file: ModelFile) -> None:
    assert find_profile(file) is None
    profile = profile_of(file, quality={"kl": 0.1}, note="faster")
    path = save_profile(profile)
    assert path.parent.name == "profiles"
    assert find_profile(file) == read_profile(path) == profile
    assert str(profile) == "faster"


def test_a_newer_one_takes_the_place_of_the_older(file: ModelFile) -> None:
    first = save_profile(profile_of(file))
    assert save_profile(profile_of(file, settings={"n_threads": 2})) == first
    found = find_profile(file)
    assert found is not None
    assert found.settings == {"n_threads": 2}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"machine": {**machine_facts(), "cpu": "another"}}, "the machine differs in cpu"),
        ({"machine": {**machine_facts(), "usable_cores": 99}}, "the machine differs in usable_cores"),
        ({"llama_cpp": "0.0.1"}, "measured with llama-cpp-python 0.0.1"),
        ({"file": "/nowhere/x.gguf", "file_sha256": "0"}, "its file cannot be used"),
    ],
)
def test_stale_ones_are_passed_over_with_a_line(
    file: ModelFile, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], says: str
) -> None:
    save_profile(profile_of(file, **changes))
    with caplog.at_level(logging.INFO):
        assert find_profile(file) is None
    assert says in caplog.text


def test_another_models_profile_is_none_of_ours(file: ModelFile) -> None:
    save_profile(profile_of(file, model_sha256="0" * 64))
    assert find_profile(file) is None


def test_a_fresh_one_is_found_beside_that_of_another_machine(file: ModelFile) -> None:
    save_profile(profile_of(file, machine={"cpu": "another"}, made="2027-01-01"))
    save_profile(profile_of(file))
    found = find_profile(file)
    assert found is not None
    assert found.machine == machine_facts()


def test_a_copy_that_was_changed_since_is_not_loaded(file: ModelFile, tmp_path: Path) -> None:
    copy = make_tiny_gguf(tmp_path / "copy.gguf", seed=1)
    profile = profile_of(file, file=str(copy), file_sha256=verify(resolve(copy)))
    save_profile(profile)
    found = find_profile(file)
    assert found is not None
    assert found.model_file(file).path == copy
    make_tiny_gguf(copy, seed=2)
    assert find_profile(file) is None


@pytest.mark.parametrize(
    "damage",
    ["", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "model": 3}'],
)
def test_a_damaged_file_is_passed_over_and_named(
    file: ModelFile, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = save_profile(profile_of(file))
    path.write_text(damage)
    assert find_profile(file) is None
    assert str(path) in caplog.text
    with pytest.raises(StoreCorrupt):
        read_profile(path)


def test_settings_nobody_knows_make_a_profile_unusable(file: ModelFile) -> None:
    path = save_profile(profile_of(file))
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "settings": {"n_treads": 2}}))
    with pytest.raises(StoreCorrupt, match="n_threads"):
        read_profile(path)


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workbench tune"):
        read_profile(tmp_path / "none.json")


def test_explicit_settings_win(file: ModelFile) -> None:
    merged = profile_of(file).apply({"n_threads": 7})
    assert (merged.n_threads, merged.n_ubatch) == (7, 128)


@pytest.mark.parametrize(("value", "on"), [("", True), ("on", True), ("off", False), ("OFF", False), ("0", False)])
def test_the_switch(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("WORKBENCH_PROFILE", value)
    assert enabled() is on


def test_profiles_are_values(file: ModelFile) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        profile_of(file).model = "x"  # type: ignore[misc]
