import dataclasses
import json
import os
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

import workbench as wb
from workbench.errors import SweepError, UnknownName
from workbench.sweep import Records, load_frame, read_sweep
from workbench.sweep.records import compaction
from workbench.sweep.records.attempt_file import FILE, run_folder
from workbench.sweep.records.compaction import RECORDS, SAMPLES
from workbench.sweep.records.migrations import SCHEMA_VERSION

MIXED = (1, "1", True, None, 1.5)


@pytest.fixture
def filled(results):
    """Five finished runs of mixed levels, one that failed and was done later, one that never fitted."""
    for block, level in enumerate(MIXED):
        cell = results.cell(block=block, mixed=level, n_batch=2**block, flash=block % 2 == 0)
        info = {"effective": {"n_batch": 512}, "requested": {"n_batch": None}, "definitions": {"speed": "N / s"}}
        results.run(cell, speed=1.0 + block, gap=None, info=info, series={"cpu_percent": [[0.0, None], [0.5, 9.0]]})
    again = results.cell(block=9, mixed=1, n_batch=8, flash=True)
    results.run(again, status="failed", error="boom", reason="error")
    results.run(again, speed=9.0)
    results.run(results.cell(mixed=1, n_batch=4096), status="failed", error="no room", reason="out_of_memory")
    return results


def stamps(folder):
    return {name: os.stat(folder / name).st_mtime_ns for name in (RECORDS, SAMPLES)}


def test_they_are_exported():
    assert wb.read_sweep is read_sweep
    assert isinstance(load_frame, type(read_sweep))


def test_one_row_per_finished_run_or_per_attempt(filled):
    done, everything = filled.records().frame(), filled.records().frame("all")
    assert list(done["speed"]) == [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]
    assert done["gap"].isna().all()
    assert set(done["load_1min"]) == {0.5}
    assert list(everything["status"]) == ["done"] * 5 + ["failed", "done", "failed"]
    assert list(everything["counts"]) == [True] * 5 + [False, True, True]
    assert list(everything["reason"].dropna()) == ["error", "out_of_memory"]
    assert everything["order"].tolist() == list(range(1, 9))
    with pytest.raises(UnknownName, match="Known: all, done"):
        filled.records().frame("failed")


def test_a_compacted_folder_says_the_same_as_its_ledger(filled):
    before = [filled.records().frame(which) for which in ("done", "all")], filled.records().samples()
    filled.records().compact()
    after = [filled.records().frame(which) for which in ("done", "all")], filled.records().samples()
    for one, other in zip(before[0], after[0], strict=True):
        pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(before[1], after[1])


def test_levels_of_any_type_come_back_as_they_were(filled):
    filled.records().compact()
    for frame in (filled.records().frame(), load_frame(filled.path)):
        found = [value for value in frame["mixed"] if not isinstance(value, float) or value == 1.5]
        assert [(type(value), value) for value in found[:3]] == [(int, 1), (str, "1"), (bool, True)]
        assert list(frame["n_batch"])[:5] == [1, 2, 4, 8, 16]
    table = pq.read_table(filled.path / RECORDS)
    types = {name: str(table.schema.field(name).type) for name in ("mixed", "n_batch", "flash", "speed", "started_at")}
    expected = ("string", "int64", "bool", "double", "timestamp[us, tz=UTC]")
    assert tuple(types.values()) == expected
    assert [text and json.loads(text) for text in table["mixed"].to_pylist()[:5]] == list(MIXED)
    assert json.loads(table["effective"][0].as_py()) == {"n_batch": 512}
    assert json.loads(table["requested"][0].as_py()) == {"n_batch": None}


def test_the_files_say_what_they_are(filled):
    filled.records().compact()
    assert pq.ParquetFile(filled.path / RECORDS).metadata.row_group(0).column(0).compression == "ZSTD"
    note = json.loads(pq.read_schema(filled.path / SAMPLES).metadata[b"workbench"])
    assert note["schema_version"] == SCHEMA_VERSION
    assert note["definitions"] == {"speed": "N / s"}
    assert {"name": "speed", "kind": "metric", "of": "speed", "json": False} in note["columns"]


def test_compacting_again_touches_nothing_until_something_happens(filled):
    assert filled.records().compact() == filled.path
    first = stamps(filled.path)
    filled.records().compact()
    assert stamps(filled.path) == first
    filled.run(filled.cell(mixed=7, n_batch=1), speed=7.0)
    filled.records().compact()
    assert stamps(filled.path) != first


def test_a_stale_file_is_never_read(filled):
    filled.records().compact()
    late = filled.cell(mixed=7, n_batch=1)
    filled.run(late, speed=70.0)
    for folder in (filled.records(), read_sweep(filled.path)):
        assert folder.frame()["speed"].max() == 70.0
        assert folder.query("SELECT max(speed) AS most FROM runs")["most"][0] == 70.0
    del filled.cells[late.id]  # the specification no longer asks for it
    assert filled.records().frame()["speed"].max() == 9.0
    assert len(filled.records().frame("all")) == 9


def test_one_file_of_two_that_is_from_yesterday_is_not_read(filled):
    filled.records().compact()
    shutil.copy(filled.path / SAMPLES, filled.path / "yesterday")
    cell = filled.cell(mixed=7, n_batch=1)
    filled.run(cell, speed=70.0, series={"s": [[0.0, 1.0]]})
    filled.records().compact()
    shutil.move(filled.path / "yesterday", filled.path / SAMPLES)
    assert "s" in set(filled.records().samples()["series"])


def test_a_folder_with_nothing_but_the_table_of_records_is_read(filled, tmp_path):
    filled.records().compact()
    mailed = tmp_path / "mailed"
    mailed.mkdir()
    shutil.copy(filled.path / RECORDS, mailed)
    pd.testing.assert_frame_equal(read_sweep(mailed).frame(), filled.records().frame())
    assert read_sweep(mailed).samples().empty


def test_a_folder_without_ledger_or_specification_is_read(filled):
    filled.records().compact()
    whole = filled.records().frame()
    with_all = read_sweep(filled.path)
    pd.testing.assert_frame_equal(with_all.frame(), whole)
    assert with_all.about.title == "A trial"
    filled.ledger.close()
    (filled.path / "ledger.sqlite").unlink()
    pd.testing.assert_frame_equal(load_frame(filled.path), whole)
    for name in (RECORDS, SAMPLES):
        (filled.path / name).unlink()
    from_files = load_frame(filled.path)
    assert list(from_files["speed"]) == list(whole["speed"])
    assert list(read_sweep(filled.path).frame("all")["counts"]) == [True] * 5 + [False, True, True]


def test_parquet_alone_is_read_until_the_attempts_beside_it_know_more(filled):
    filled.records().compact()
    filled.ledger.close()
    for name in os.listdir(filled.path):
        if name.startswith("ledger"):
            (filled.path / name).unlink()
    shutil.copytree(run_folder(filled.path, "cell0", 1), run_folder(filled.path, "cell0", 2))
    path = run_folder(filled.path, "cell0", 2) / FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "cell": "other", "attempt": 2}))
    assert len(load_frame(filled.path)) == 7
    shutil.rmtree(filled.path / "runs")
    assert len(load_frame(filled.path)) == 6


def test_a_version_1_folder_with_its_ledger(results):
    """Attempts had no files then, and a notebook says what it was given; the ledger has the rest."""
    cell = results.cell(a=1)
    results.run(cell, speed=1.0)
    folder = run_folder(results.path, cell.id, 1)
    left = json.loads((folder / FILE).read_text())
    outcome = {
        "cell": cell.id,
        "elapsed_s": 1.5,
        "result": {"record": left["record"], "environment": left["environment"]},
    }
    (folder / "outcome.json").write_text(json.dumps(outcome))
    (folder / "notebook.ipynb").write_text(json.dumps({"metadata": {"papermill": {"parameters": {"a": 1}}}}))
    (folder / FILE).unlink()
    failed = results.cell(a=2)
    results.run(failed, status="failed", error="boom")
    (run_folder(results.path, failed.id, 1) / FILE).unlink()
    found = read_sweep(results.path).frame("all")
    assert list(found["status"]) == ["done", "failed"]
    assert list(found["error"].dropna()) == ["boom"]
    assert found["started_at"].notna().all()
    assert found["a"][0] == 1
    results.records().compact()
    assert (folder / FILE).exists()
    assert list(read_sweep(results.path).frame("all")["label"]) == ["a=1", "a=2"]


def test_nothing_to_read_is_said(tmp_path):
    with pytest.raises(SweepError, match="no records in"):
        read_sweep(tmp_path)
    with pytest.raises(SweepError, match="no records in"):
        load_frame(tmp_path / "absent")


def test_a_sweep_that_never_ran_has_an_empty_frame(tmp_path):
    frame = Records(tmp_path / "none", cells={}, about=None).frame()
    assert len(frame) == 0
    assert {"cell", "label", "order"} <= set(frame.columns)


def test_files_of_a_newer_workbench_name_the_remedy(filled):
    tables = filled.records()._tables()
    about = dataclasses.replace(tables.about, schema_version=SCHEMA_VERSION + 1)
    compaction.write(filled.path, dataclasses.replace(tables, about=about))
    with pytest.raises(SweepError, match="pip install --upgrade workbench"):
        load_frame(filled.path)


def test_another_parquet_file_is_no_table_of_records(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(SweepError, match="not a table of records"):
        load_frame(tmp_path / "x.parquet")


def test_exports_are_whole(filled, tmp_path):
    filled.records().write_parquet(tmp_path / "out.parquet")
    filled.records().write_csv(tmp_path / "out.csv")
    pd.testing.assert_frame_equal(load_frame(tmp_path / "out.parquet"), filled.records().frame())
    assert list(pd.read_csv(tmp_path / "out.csv")["speed"]) == list(filled.records().frame()["speed"])


def test_outliers_are_flagged_as_in_an_analysis(results):
    for block in range(7):
        results.run(results.cell(block=block, a=1), speed=100.0 + block if block < 6 else 1.0)
    assert list(results.records().frame()["outlier"]) == [False] * 6 + [True]
    results.records().compact()
    assert list(load_frame(results.path)["outlier"]) == [False] * 6 + [True]
