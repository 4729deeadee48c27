"""The trial that kills drivers: it passes on this package, and it would notice if something were lost."""

import contextlib
import shutil
import sqlite3

import pytest

from workbench.sweep import Sweep, SweepSpec
from workbench.sweep.execution.trial import account, kill_driver


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trial")
    return folder, kill_driver(folder, kills=3, blocks=3, longest_s=0.6, seed=2)


@pytest.fixture
def sweep(trial, tmp_path):
    """A copy of the finished sweep, to spoil."""
    shutil.copytree(trial[0], tmp_path / "copy")
    return Sweep(SweepSpec.from_file(tmp_path / "copy" / "trial.yaml"))


def test_nothing_is_lost_and_nothing_is_doubled(trial):
    found = trial[1]
    assert found["cells"] == 15
    assert (found["lost"], found["doubled"], found["missing"]) == (0, 0, 0)
    assert found["killed_at_work"] >= 1


def test_a_run_that_ended_and_does_not_count_is_lost(sweep):
    with contextlib.closing(sqlite3.connect(sweep.folder / "ledger.sqlite")) as ledger, ledger:
        changed = "SELECT sequence FROM attempts WHERE status = 'done' LIMIT 1"
        ledger.execute(f"UPDATE attempts SET status = 'failed' WHERE sequence = ({changed})")
    found = account(sweep, {})
    assert found["lost"] == 1
    assert found["missing"] >= 1


def test_an_attempt_that_changed_after_it_was_done_is_lost(sweep):
    cell = sweep.plan()[0].id
    assert account(sweep, {(cell, 1): 1.0})["lost"] == 1


def test_a_cell_that_was_measured_twice_is_doubled(sweep):
    folder = next((sweep.folder / "runs").glob("*-1"))
    shutil.copytree(folder, folder.with_name(f"{folder.name[:-2]}-9"))
    found = account(sweep, {})
    assert found["doubled"] == 1
    assert found["lost"] == 1
