import json

import pytest

from workbench.errors import StorageError, StoreCorrupt, SweepError
from workbench.storage import read_json
from workbench.sweep.records.attempt_file import FILE, end_attempt, read_attempt, run_folder, write_missing
from workbench.sweep.records.migrations import SCHEMA_VERSION


def kept(results, cell, attempt=1):
    return read_json(run_folder(results.path, cell.id, attempt) / FILE)


def test_a_finished_attempt_is_whole_in_one_file(results):
    cell = results.cell(block=3, a=1, b=None)
    assert results.run(cell, speed=2.0, gap=None, info={"text": "é"}, series={"s": [[0.0, 1.0], [0.5, None]]})
    found = kept(results, cell)
    assert found["schema_version"] == SCHEMA_VERSION
    assert found["parameters"] == {"model": "tiny", "a": 1, "b": None}
    assert found["varied"] == {"a": 1, "b": None}
    assert (found["cell"], found["attempt"], found["order"], found["block"]) == (cell.id, 1, 1, 3)
    assert (found["label"], found["arm"], found["phase"], found["status"]) == ("a=1, b=auto", "grid", "grid", "done")
    assert found["record"]["metrics"] == {"speed": 2.0, "gap": None}
    assert found["record"]["series"] == {"s": [[0.0, 1.0], [0.5, None]]}
    assert found["environment"]["git"]["commit"] == "c0ffee"
    assert found["started_at"] <= found["finished_at"]
    assert found["elapsed_s"] == 1.5


def test_a_failed_attempt_has_a_file_too(results):
    cell = results.cell(a=1)
    attempt = results.ledger.begin(cell.id, host="bench")
    end_attempt(
        results.ledger,
        results.path,
        cell,
        attempt,
        status="failed",
        error="no room",
        reason="out_of_memory",
        host="node7",
        environment={"seed": 3},
    )
    found = kept(results, cell)
    assert (found["status"], found["reason"], found["error"]) == ("failed", "out_of_memory", "no room")
    assert (found["host"], found["record"], found["environment"]) == ("node7", None, {"seed": 3})
    assert results.ledger.attempt(cell.id, 1).reason == "out_of_memory"


def test_the_file_is_there_before_the_ledger_says_so(results, monkeypatch):
    cell = results.cell(a=1)
    seen = []
    finish = results.ledger.finish
    monkeypatch.setattr(results.ledger, "finish", lambda *a, **k: seen.append(kept(results, cell)) or finish(*a, **k))
    results.run(cell, speed=1.0)
    assert [one["status"] for one in seen] == ["done"]


def test_a_second_result_of_a_cell_is_kept_as_abandoned(results):
    cell = results.cell(a=1)
    one, two = results.ledger.begin(cell.id, host="h"), results.ledger.begin(cell.id, host="h")
    payload = {"record": {"metrics": {}, "info": {}, "series": {}}, "environment": {}, "elapsed_s": 1.0}
    assert end_attempt(results.ledger, results.path, cell, one, status="done", payload=payload)
    assert not end_attempt(results.ledger, results.path, cell, two, status="done", payload=payload)
    assert [kept(results, cell, number)["status"] for number in (1, 2)] == ["done", "abandoned"]


def test_an_attempt_that_never_began_cannot_end(results):
    with pytest.raises(StorageError, match="no attempt 7"):
        end_attempt(results.ledger, results.path, results.cell(a=1), 7, status="failed")


def test_files_that_are_missing_are_written_from_the_ledger(results):
    done, given_up, running = (results.cell(a=level) for level in (1, 2, 3))
    results.run(done, speed=1.0)
    before = kept(results, done)
    results.ledger.begin(given_up.id, host="h")
    results.ledger.abandon_running("stopped")
    results.ledger.begin(running.id, host="h")
    (run_folder(results.path, done.id, 1) / FILE).unlink()
    assert write_missing(results.path, results.ledger, results.cells) == 2
    assert kept(results, done) == before
    assert kept(results, given_up)["status"] == "abandoned"
    assert not run_folder(results.path, running.id, 1).exists()
    assert write_missing(results.path, results.ledger, results.cells) == 0


VERSION_1 = {
    "cell": "0d1f2e3c4b5a69788796",
    "elapsed_s": 2.25,
    "result": {
        "record": {"metrics": {"speed": 7.5}, "info": {"k": "v"}, "series": {"s": [[0.0, 1.0]]}},
        "environment": {"host": "old-bench", "packages": {"numpy": "2.1"}},
    },
}
"""What a run left until attempts had files of their own."""


@pytest.fixture
def version_1(tmp_path):
    folder = tmp_path / "old" / "runs" / f"{VERSION_1['cell']}-3"
    folder.mkdir(parents=True)
    (folder / "outcome.json").write_text(json.dumps(VERSION_1))
    notebook = {"cells": [], "metadata": {"papermill": {"parameters": {"n_batch": 64}}}}
    (folder / "notebook.ipynb").write_text(json.dumps(notebook))
    return folder


def test_version_1_is_read(version_1):
    found = read_attempt(version_1)
    assert (found["schema_version"], found["cell"], found["attempt"]) == (SCHEMA_VERSION, VERSION_1["cell"], 3)
    assert found["parameters"] == found["varied"] == {"n_batch": 64}
    assert (found["status"], found["label"], found["host"]) == ("done", "n_batch=64", "old-bench")
    assert found["record"] == VERSION_1["result"]["record"]
    assert (found["elapsed_s"], found["started_at"], found["block"]) == (2.25, None, None)


def test_version_1_without_its_notebook_has_no_parameters(version_1):
    (version_1 / "notebook.ipynb").unlink()
    assert read_attempt(version_1)["parameters"] == {}


def test_a_newer_version_says_what_to_do(results):
    cell = results.cell(a=1)
    results.run(cell, speed=1.0)
    path = run_folder(results.path, cell.id, 1) / FILE
    path.write_text(json.dumps({**read_json(path), "schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(SweepError, match=rf"schema version {SCHEMA_VERSION + 1}.*pip install --upgrade workbench"):
        read_attempt(path.parent)


@pytest.mark.parametrize("text", ["[]", '{"cell": "x"}', "{"])
def test_a_damaged_file_is_no_attempt(version_1, text):
    (version_1 / "outcome.json").write_text(text)
    with pytest.raises(StoreCorrupt, match=r"outcome\.json"):
        read_attempt(version_1)


def test_an_empty_folder_left_nothing(tmp_path):
    assert read_attempt(tmp_path) is None
