"""Loading with and without a profile: who gets it, who never does, and who wins."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.engine.quantize import requantised
from workbench.errors import UsageError
from workbench.models import resolve, verify
from workbench.models.profiles import Profile, llama_cpp_version, machine_facts, save_profile


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WORKBENCH_PROFILE", raising=False)


def keep(model: Path, **changes: Any) -> Profile:
    file = resolve(model)
    values: dict[str, Any] = {
        "model": file.name,
        "model_sha256": verify(file),
        "machine": machine_facts(),
        "llama_cpp": llama_cpp_version(),
        "settings": {"n_threads": 1, "n_batch": 96},
        "quantisation": file.quantisation,
        "made": "2026-11-21",
        **changes,
    }
    profile = Profile(**values)
    save_profile(profile)
    return profile


def test_it_is_picked_up_by_name_alone_and_named(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    profile = keep(tiny)
    with caplog.at_level(logging.INFO), wb.load(tiny) as engine:
        assert engine.profile == profile
        assert engine.settings.n_batch == 96
    assert "loaded with its tuned profile" in caplog.text


def test_explicit_settings_win_over_it(tiny: Path) -> None:
    keep(tiny)
    with wb.load(tiny, n_batch=64) as engine:
        assert (engine.settings.n_batch, engine.settings.n_threads) == (64, 1)


def test_what_makes_no_sense_together_leaves_the_profile_out(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tiny, settings={"n_batch": 96, "type_v": "q8_0"})
    with caplog.at_level(logging.INFO), wb.load(tiny, flash_attn=False, n_threads=1) as engine:
        assert engine.profile is None
        assert engine.settings.n_batch != 96
    assert "is left out" in caplog.text


def test_without(tiny: Path) -> None:
    keep(tiny)
    with wb.load(tiny, profile=False, n_threads=1) as engine:
        assert engine.profile is None
        assert engine.settings.n_batch != 96


def test_a_baseline_stays_a_baseline(tiny: Path) -> None:
    profile = keep(tiny)
    with wb.load(tiny, engine="baseline", n_threads=1, n_ctx=256) as engine:
        assert engine.profile is None
        assert engine.settings.n_batch != 96
    with pytest.raises(UsageError, match="Leave it out"):
        wb.load(tiny, engine="baseline", profile=profile)


def test_switched_off_it_has_to_be_asked_for(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = keep(tiny)
    monkeypatch.setenv("WORKBENCH_PROFILE", "off")
    with wb.load(tiny, n_threads=1) as engine:
        assert engine.profile is None
    with wb.load(tiny, profile=True) as engine:
        assert engine.profile == profile


def test_a_profile_or_its_file_can_be_named(tiny: Path, tmp_path: Path) -> None:
    path = save_profile(keep(tiny))
    moved = path.rename(tmp_path / "mine.json")
    with wb.load(tiny, n_threads=1) as engine:
        assert engine.profile is None
    with wb.load(tiny, profile=moved) as engine:
        assert engine.settings.n_batch == 96


def test_a_stale_one_that_was_named_is_an_error(tiny: Path) -> None:
    stale = keep(tiny, llama_cpp="0.0.1")
    with pytest.raises(UsageError, match=r"0\.0\.1.*workbench tune"):
        wb.load(tiny, profile=stale)


def test_another_file_is_loaded_and_that_is_said_aloud(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy = requantised(tiny, "Q8_0", threads=1)
    keep(tiny, quantisation="Q8_0", file=str(copy.path), file_sha256=verify(copy), note="KL 0.01", settings={})
    with wb.load(tiny, n_threads=1) as engine:
        assert engine.profile is not None
        assert engine.profile.quantisation == "Q8_0"
        assert engine.name == copy.name
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "KL 0.01" in warning.getMessage()
