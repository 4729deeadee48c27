"""A forecast counts what is planned, and tells time and disk from what has been run."""

import time

import pytest

from workbench.sweep import Sweep
from workbench.sweep.forecast import forecast

CELL = """
import time
from pathlib import Path

def run(job):
    folder = Path(job.payload["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "left.txt").write_text("x" * 2**20)
    time.sleep(0.05)
    return {"record": {"metrics": {"speed": 1.0}, "info": {}, "series": {}}, "environment": {}}
"""


@pytest.fixture
def make(spec_of, jobs_module):
    function = jobs_module(CELL).run
    return lambda **changes: Sweep(spec_of(**changes), function=function)


@pytest.fixture
def sweep(make):
    return make(blocks=3)


def test_before_the_first_run_there_is_only_the_limit(sweep):
    found = forecast(sweep)
    assert (len(found.arms), len(found.cells), found.missing) == (2, 6, 6)
    assert found.seconds is None
    assert found.most_seconds == 6 * sweep.spec.timeout_s * (1 + sweep.spec.retries)
    text = str(found)
    assert "2 configurations × 3 blocks = 6 runs, 6 to be run" in text
    assert "known after the first runs" in text
    assert "order of block 1" in text


def test_ten_thousand_cells_are_planned_at_once(spec_of):
    levels = list(range(10))
    spec = spec_of(parameters={"a": levels, "b": levels, "n_batch": [2**n for n in range(1, 11)]}, blocks=10)
    started = time.perf_counter()
    found = forecast(Sweep(spec))
    assert len(found.cells) == 10_000
    assert "… and 976 more" in str(found)
    assert time.perf_counter() - started < 20


def test_after_some_runs_time_and_disk_are_told_from_them(make):
    make(blocks=2).run(progress=False)
    found = forecast(make(blocks=6))
    assert (found.based_on, found.missing) == (4, 8)
    assert 8 * 0.05 < found.seconds < found.most_seconds
    assert 8 * 2**20 <= found.bytes < 9 * 2**20
    assert "by 4 finished runs" in str(found)
    done = forecast(make(blocks=2))
    assert (done.missing, done.seconds, done.bytes) == (0, 0, 0)
