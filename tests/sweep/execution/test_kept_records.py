"""What a sweep that ran leaves for others: files an attempt, Parquet, and answers without its specification."""

import json

import pandas as pd
import pytest

from workbench.sweep import Sweep, load_frame, read_sweep
from workbench.sweep.records import environment as environment_module
from workbench.sweep.records.attempt_file import FILE

STUB = """
def run(job):
    p = job.payload["parameters"]
    if p["a"] == 3:
        raise ValueError("three is too many")
    metrics = {"speed": float(p["a"]) + job.payload["block"] / 100}
    series = {"itl_ms": [(0.1, 5.0), (0.2, None)]}
    return {"record": {"metrics": metrics, "info": {}, "series": series}, "environment": {"stub": True}}
"""


@pytest.fixture
def sweep(spec_of, jobs_module):
    def make(**changes):
        return Sweep(
            spec_of(**{"blocks": 2, "parameters": {"a": [1, 2, 3]}, **changes}), function=jobs_module(STUB).run
        )

    return make


def files(sweep):
    return [json.loads(path.read_text()) for path in sorted(sweep.folder.glob(f"runs/*/{FILE}"))]


def test_every_attempt_leaves_a_file_and_all_of_them_parquet(sweep):
    ran = sweep()
    ran.run(progress=False)
    assert sorted((one["varied"]["a"], one["block"], one["status"]) for one in files(ran)) == [
        (level, block, "failed" if level == 3 else "done") for level in (1, 2, 3) for block in (0, 1)
    ]
    done, failed = (next(one for one in files(ran) if one["status"] == status) for status in ("done", "failed"))
    assert done["environment"]["stub"] is True
    assert {"git", "models", "seed"} <= set(done["environment"])
    assert {"git", "models", "seed"} <= set(failed["environment"])
    assert (failed["reason"], failed["error"]) == ("error", "ValueError: three is too many")
    assert (ran.folder / "records.parquet").exists()
    assert (ran.folder / "samples.parquet").exists()


def test_frame_query_and_a_folder_alone_agree(sweep):
    ran = sweep()
    analysis = ran.run(progress=False)
    frame = ran.frame()
    pd.testing.assert_frame_equal(frame, analysis.frame)
    pd.testing.assert_frame_equal(load_frame(ran.folder), frame)
    everything = ran.frame(attempts="all")
    assert len(everything) == 6
    assert set(everything["status"]) == {"done", "failed"}
    found = ran.query("SELECT a, max(speed) AS speed FROM runs GROUP BY a ORDER BY a")
    assert found.to_dict("list") == {"a": [1, 2], "speed": [1.01, 2.01]}
    assert read_sweep(ran.folder).query("SELECT count(*) AS n FROM samples")["n"][0] == 8


def test_more_blocks_are_in_the_next_answer(sweep):
    sweep(blocks=2).run(progress=False)
    more = sweep(blocks=3)
    assert len(more.frame()) == 4
    more.run(progress=False)
    assert len(more.frame()) == more.query("SELECT count(*) AS n FROM runs")["n"][0] == 6


def test_compacting_on_demand(sweep):
    ran = sweep()
    ran.run(progress=False)
    (ran.folder / "records.parquet").unlink()
    assert ran.compact() == ran.folder
    assert len(pd.read_parquet(ran.folder / "records.parquet")) == 6


def test_a_real_cell_says_what_the_machine_was_like(specification, monkeypatch):
    code = "a = 1", "import workbench\nworkbench.record(speed=1.0 * a)"
    monkeypatch.setattr(environment_module, "model_facts", lambda names: {})
    path = specification(
        "name: real\nnotebook: notebook.ipynb\nparameters: {a: [1]}\nblocks: 1\ntimeout_s: 60\n"
        "objectives: [{metric: speed, direction: maximize}]\n",
        *code,
    )
    ran = Sweep.from_file(path)
    ran.run(progress=False)
    (one,) = files(ran)
    facts = one["environment"]
    assert {"load_1min", "cpu_mhz", "cpu_temperature_c", "gpu_readings", "packages", "llama_cpp", "seed"} <= set(facts)
    assert facts["energy"]["seconds"] > 0
    assert one["record"]["metrics"] == {"speed": 1.0}
