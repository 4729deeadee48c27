"""The record of loads: what it teaches, and that it never fails one."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest

from workbench.errors import StorageFull
from workbench.models import ModelFile, check_fits, estimate, memory_ledger, read_model_file
from workbench.models.memory_ledger import DEFAULT_MARGIN, ledger_file, margin, predicted_parts, record, records
from workbench.settings import EngineSettings

SETTINGS = EngineSettings()


@pytest.fixture
def model(tiny: Path) -> ModelFile:
    return read_model_file(tiny)


def note(model: ModelFile, ratio: float, times: int = 1, exact: bool = True) -> None:
    predicted = dataclasses.replace(estimate(model, SETTINGS, 512), exact=exact)
    actual = {part: int(ratio * n_bytes) for part, n_bytes in predicted_parts(predicted).items()}
    for _ in range(times):
        record(model, SETTINGS, predicted, actual)


def test_a_record_holds_both_sides(model: ModelFile) -> None:
    predicted = estimate(model, SETTINGS, 512)
    record(model, SETTINGS, predicted, {"kv": 1000, "compute": 2000, "gravity": 3})
    (line,) = records()
    assert line["actual"] == {"kv": 1000, "compute": 2000}
    assert line["predicted"] == {"kv": predicted.kv_bytes, "compute": predicted.compute_bytes}
    assert line["model"]["name"] == model.name
    assert line["settings"]["n_batch"] == 512


def test_without_records_the_default_counts(model: ModelFile) -> None:
    assert margin() == DEFAULT_MARGIN
    note(model, 1.3, times=4)
    assert margin() == DEFAULT_MARGIN, "four loads are too few"
    assert margin(default=1.0) == 1.0


def test_the_margin_is_learned_and_one_wild_load_does_not_count(model: ModelFile) -> None:
    note(model, 1.02, times=40)
    assert margin() == pytest.approx(1.02, abs=0.001)
    note(model, 9.0)
    assert margin() == pytest.approx(1.02, abs=0.001)
    note(model, 1.2, times=10)
    assert margin() == pytest.approx(1.2, abs=0.001)


def test_it_is_never_below_one_nor_absurd(model: ModelFile) -> None:
    note(model, 0.5, times=10)
    assert margin() == 1.0
    note(model, 50.0, times=100)
    assert margin() == 2.0


def test_exact_and_approximated_models_are_judged_apart(model: ModelFile) -> None:
    note(model, 1.0, times=10)
    note(model, 1.4, times=10, exact=False)
    assert margin(exact=True) == pytest.approx(1.0, abs=0.001)
    assert margin(exact=False) == pytest.approx(1.4, abs=0.001)


def test_another_machines_records_do_not_count(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    note(model, 1.5, times=10)
    monkeypatch.setattr(memory_ledger.platform, "node", lambda: "another")
    assert records() == []
    assert margin() == DEFAULT_MARGIN


def test_damaged_lines_are_passed_over(model: ModelFile) -> None:
    note(model, 1.1, times=6)
    with ledger_file().open("ab") as file:
        file.write(b'[1, 2]\n\xff\xfe\n{"predicted": 3}\n{"cut off')
    note(model, 1.1)
    assert len(records()) == 7
    assert margin() == pytest.approx(1.1, abs=0.001)


def test_a_full_disk_is_a_warning_not_a_failure(
    model: ModelFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (OSError(28, "No space left on device"), StorageFull("x")):
        monkeypatch.setattr(memory_ledger, "_append", lambda line, error=error: (_ for _ in ()).throw(error))
        with caplog.at_level(logging.WARNING):
            note(model, 1.0)
        assert "not recorded" in caplog.text
        caplog.clear()


def test_a_folder_in_its_place_fails_nothing(model: ModelFile) -> None:
    ledger_file().mkdir(parents=True)
    note(model, 1.0)
    assert margin() == DEFAULT_MARGIN


def test_it_stays_small(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_ledger, "_MOST_BYTES", 20_000)
    monkeypatch.setattr(memory_ledger, "_KEPT", 5)
    note(model, 1.0, times=60)
    assert ledger_file().stat().st_size < 25_000
    assert records()


def test_what_was_learned_makes_the_check_stricter(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench import hardware
    from workbench.errors import OutOfMemory

    need = estimate(model, SETTINGS, 512).total_bytes
    just_enough = hardware.Ram(total_bytes=2 * need, available_bytes=need + 10)
    monkeypatch.setattr(hardware, "ram", lambda: just_enough)
    check_fits(model, SETTINGS, 512)
    note(model, 1.2, times=10)
    with pytest.raises(OutOfMemory):
        check_fits(model, SETTINGS, 512)
