"""A forecast counts what is planned, and tells time and disk from what has been run."""

import json
from collections import Counter

import pytest

from workbench.settings import EngineSettings
from workbench.sweep import Sweep
from workbench.sweep.design import configurations as configurations_module
from workbench.sweep.forecast import forecast
from workbench.sweep.specification import notebooks

OBJECTIVE = {"metric": "speed", "direction": "maximize"}

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


def test_ten_thousand_cells_are_planned_without_doing_anything_ten_thousand_times(specification, monkeypatch):
    """What is dear (reading the notebook, checking engine settings) is done as often as there is something new."""
    levels = list(range(10))
    text = {"name": "many", "notebook": "notebook.ipynb", "blocks": 10, "objectives": [OBJECTIVE]}
    text["parameters"] = {"a": levels, "b": levels, "n_batch": [2**n for n in range(1, 11)]}
    path = specification(json.dumps(text))
    count = Counter()

    def counted(module, name):
        whole = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: count.update([name]) or whole(*given))

    counted(notebooks, "_code")
    counted(EngineSettings, "from_mapping")
    counted(configurations_module, "_grid")
    found = forecast(Sweep.from_file(path))
    assert len(found.cells) == len({cell.id for cell in found.cells}) == 10_000
    assert "… and 976 more" in str(found)
    assert count["from_mapping"] == 10
    assert count["_grid"] == 1
    assert count["_code"] <= 4


def test_whole_plots_are_shown_in_their_order(make, notebook):
    notebook("a = 1\nmodel = 'x'")
    found = forecast(make(parameters={"model": ["x", "y"], "a": [1, 2, 3]}, slow=["model"], twin=True, blocks=2))
    parts = ("[model=x: 3 runs]", "[model=y: 3 runs]", "[model=x (twin): 1 run]")
    (line,) = [line for line in str(found).splitlines() if line.startswith("order of block 1: ")]
    assert sorted(line.removeprefix("order of block 1: ").split(" → ")) == sorted(parts)
    lines = list(found.order())
    assert [line for line in lines if line.startswith("  ")] == [f"  {cell.label}" for cell in found.cells]
    assert sum(line.startswith("whole plot: ") for line in lines) == 6
    assert lines[0].removeprefix("whole plot: ") in line
    assert len(found.plots()) == 6


def test_what_may_follow_and_what_may_be_left_out_is_said(make):
    text = str(forecast(make(more_blocks=4, confirm=3, budget={"minutes": 30, "runs": 100})))
    assert "then up to 4 further blocks of those whose ranking is undecided" in text
    assert "then 3 fresh blocks of what was chosen" in text
    assert "budget: 30 min of runs or 100 runs" in text
    assert "budget" not in str(forecast(make()))


def test_before_the_first_run_the_same_notebook_elsewhere_is_asked(make, tmp_path):
    make(blocks=2).run(progress=False)
    found = forecast(make(name="new", results=str(tmp_path / "new"), parameters={"a": [7, 8, 9]}, blocks=2))
    assert (found.based_on, found.missing, found.elsewhere) == (4, 6, tmp_path / "results")
    assert found.seconds > 6 * 0.05
    assert f"4 runs of the same notebook in {tmp_path / 'results'}" in str(found)
    other = make(name="other", results=str(tmp_path / "new"))
    other.spec.notebook_path.write_text(other.spec.notebook_path.read_text().replace("speed", "fast"))
    assert forecast(other).seconds is None


def test_side_by_side_takes_less_time(make):
    alone, two = forecast(make()), forecast(make(side_by_side=2))
    assert two.most_seconds == alone.most_seconds / 2


def test_after_some_runs_time_and_disk_are_told_from_them(make):
    make(blocks=2).run(progress=False)
    found = forecast(make(blocks=6))
    assert (found.based_on, found.missing) == (4, 8)
    assert 8 * 0.05 < found.seconds < found.most_seconds
    assert 8 * 2**20 <= found.bytes < 9 * 2**20
    assert "by 4 finished runs" in str(found)
    done = forecast(make(blocks=2))
    assert (done.missing, done.seconds, done.bytes) == (0, 0, 0)


def test_the_most_it_may_take_has_what_may_follow_and_ends_with_the_budget(make):
    alone = make(blocks=3)
    limit = alone.spec.timeout_s * (1 + alone.spec.retries)
    assert forecast(make(blocks=3, more_blocks=4)).most_seconds == (6 + 4 * 2) * limit
    assert forecast(make(blocks=3, confirm=5)).most_seconds == (6 + 5 * 2) * limit
    assert forecast(make(blocks=3, more_blocks=4, budget={"runs": 2})).most_seconds == 2 * alone.spec.timeout_s
    minutes = forecast(make(blocks=3, budget={"minutes": 0.5}, timeout_s=20.0, retries=0)).most_seconds
    assert minutes == 30 + 20, "the run in progress is let finish"


def test_time_and_disk_are_those_of_the_runs_that_the_budget_pays_for(make):
    make(blocks=3).run(progress=False)
    all_of_it = forecast(make(blocks=6))
    part = forecast(make(blocks=6, budget={"runs": 9}))
    assert (all_of_it.missing, part.missing) == (6, 6)
    assert part.bytes == all_of_it.bytes / 2
    assert part.seconds == pytest.approx(all_of_it.seconds / 2)


def test_what_was_decided_upon_since_is_not_multiplied_with_the_grid(make):
    from workbench.sweep.execution.planners import Agenda

    sweep = make(blocks=10, confirm=1)
    assert "too few blocks" not in str(forecast(sweep))
    Agenda(sweep.spec, sweep.folder).decide("confirm", ["a=1"])
    text = str(forecast(sweep))
    assert "2 configurations × 10 blocks = 20 runs + 1 decided upon since, 21 to be run" in text


def test_too_few_blocks_to_decide_are_said_before_they_run(make):
    assert "too few blocks to decide anything: 5 in all, 10 are needed" in str(forecast(make(blocks=3, more_blocks=2)))
