"""Several cells in one kernel: each as if it were alone, but for the weights."""

import json
import os

import psutil
import pytest

from workbench.interfaces import Job
from workbench.sweep.execution.local import LocalExecutor
from workbench.sweep.execution.plot import run_plot


@pytest.fixture(scope="module")
def executor():
    with LocalExecutor(timeout_s=120) as opened:
        yield opened


@pytest.fixture
def plot(executor, notebook, tmp_path):
    """Run a notebook once for each dict of parameters, in one kernel; returns outcome, cells' results and folders."""

    def go(*code, parameters, **limits):
        path = notebook(*code)
        cells = [
            {
                "id": f"cell {number}",
                "notebook": str(path),
                "working_folder": str(tmp_path),
                "parameters": values,
                "folder": str(tmp_path / f"run {number}"),
                "build_cache": str(tmp_path / "builds"),
            }
            for number, values in enumerate(parameters)
        ]
        ((_, outcome),) = executor.run([Job(id="plot", payload={"cells": cells}, **limits)], run_plot)
        assert outcome.status == "done", outcome.error
        return outcome.result["cells"], [tmp_path / f"run {number}" for number in range(len(cells))]

    return go


def test_each_cell_has_its_own_record_notebook_and_outcome(plot):
    code = "import os, workbench as wb\nwb.record(x=a, info={'pid': os.getpid()})"
    cells, folders = plot("a = 0", code, parameters=[{"a": 1}, {"a": 2}, {"a": 3}])
    assert list(cells) == ["cell 0", "cell 1", "cell 2"]
    assert len({cell["record"]["info"]["pid"] for cell in cells.values()}) == 1
    for number, (cell, folder) in enumerate(zip(cells.values(), folders, strict=True)):
        assert cell["record"]["metrics"] == {"x": number + 1}
        assert cell["environment"]["packages"]["papermill"]
        assert 0 < cell["elapsed_s"] < 120
        left = json.loads((folder / "outcome.json").read_text())
        assert (left["cell"], left["result"]["record"]) == (f"cell {number}", cell["record"])
        executed = json.loads((folder / "notebook.ipynb").read_text())
        counts = [c["execution_count"] for c in executed["cells"] if c["cell_type"] == "code"]
        assert counts == [1, 2, 3]
        assert sorted(path.name for path in folder.iterdir()) == [
            "log.txt",
            "notebook.ipynb",
            "outcome.json",
            "record.json",
        ]


def test_nothing_of_a_cell_is_left_for_the_next(plot, tmp_path):
    change = """
import gc, os, sys, warnings, weakref, workbench as wb
found = {
    "names": [name for name in ("left", "_left", "Out_left") if name in globals()],
    "folder": os.getcwd(),
    "variable": os.environ.get("LEFT"),
    "path": "/left" in sys.path,
    "error": hasattr(sys, "last_value"),
    "filters": any(one[0] == "error" and one[2] is RuntimeWarning for one in warnings.filters),
    "alive": sum(type(one).__name__ == "Left" for one in gc.get_objects()),
    "results": len(Out),
}
wb.record(x=a, info=found)
class Left: pass
left = Left()
os.environ["LEFT"] = "1"
os.chdir("/")
sys.path.append("/left")
warnings.simplefilter("error", RuntimeWarning)
"""
    cells, _ = plot("a = 0", change, "left", "def fail(held): raise KeyError\nfail(left)", parameters=[{"a": 1}] * 2)
    assert [cell["reason"] for cell in cells.values()] == ["error", "error"]
    for folder in ("run 0", "run 1"):
        found = json.loads((tmp_path / folder / "record.json").read_text())["info"]
        assert found == {
            "names": [],
            "folder": str(tmp_path),
            "variable": None,
            "path": False,
            "error": False,
            "filters": False,
            "alive": 0,
            "results": 0,
        }


def test_an_error_in_one_does_not_stop_the_others(plot):
    code = "import workbench as wb\nwb.record(x=1 / a)"
    cells, folders = plot("a = 0", code, parameters=[{"a": 1}, {"a": 0}, {"a": 2}])
    assert cells["cell 1"]["error"] == "ZeroDivisionError: division by zero (in cell [3] of the notebook)"
    assert cells["cell 1"]["reason"] == "error"
    left = json.loads((folders[1] / "outcome.json").read_text())
    assert left == {"cell": "cell 1", **cells["cell 1"]}
    assert "ZeroDivisionError" in (folders[1] / "notebook.ipynb").read_text()
    assert cells["cell 2"]["record"]["metrics"] == {"x": 0.5}


def test_a_dead_kernel_ends_the_plot_and_what_was_finished_is_kept(plot):
    code = "import os, workbench as wb\nwb.record(x=a)\nif a == 1: os.write(2, b'last words'); os.kill(os.getpid(), 9)"
    cells, folders = plot("a = 0", code, parameters=[{"a": 0}, {"a": 1}, {"a": 2}])
    assert list(cells) == ["cell 0", "cell 1"]
    assert cells["cell 0"]["record"]["metrics"] == {"x": 0}
    assert cells["cell 1"]["reason"] == "died"
    assert "killed by SIGKILL" in cells["cell 1"]["error"]
    assert "last words" in (folders[1] / "log.txt").read_text()
    assert "last words" not in (folders[0] / "log.txt").read_text()
    assert not folders[2].exists()


def test_a_cell_over_its_deadline_is_interrupted_and_the_next_one_runs(plot):
    code = "import time, workbench as wb\nif a: time.sleep(600)\nwb.record(x=a)"
    cells, _ = plot("a = 0", code, parameters=[{"a": 1}, {"a": 0}], timeout_s=10)
    assert cells["cell 0"]["error"] == "it took longer than timeout_s = 5 s"
    assert cells["cell 0"]["reason"] == "timeout"
    assert cells["cell 1"]["record"]["metrics"] == {"x": 0}


def test_weights_are_loaded_once_and_answers_are_those_of_separate_processes(plot, tiny, tmp_path, executor):
    code = (
        "import os, workbench as wb\n"
        "engine = wb.load(model, n_ctx=n_ctx, n_threads=1)\n"
        "answer = engine.complete('Once upon a time', max_tokens=16, temperature=0.0)\n"
        "maps = open('/proc/self/maps').read().count(model) if os.path.exists('/proc/self/maps') else 1\n"
        "info = {'text': answer.text, 'cached': answer.timings.cached_tokens, 'maps': maps}\n"
        "wb.record(load_ms=engine.stats.load_ms, info=info)\n"
        "if n_ctx == 256: raise RuntimeError('the engine is held by this traceback')"
    )
    parameters = [{"model": str(tiny), "n_ctx": n_ctx} for n_ctx in (512, 256, 1024)]
    plot("model = None\nn_ctx = 512", code, parameters=parameters)
    together = [json.loads((tmp_path / f"run {number}" / "record.json").read_text()) for number in range(3)]
    assert together[0]["metrics"]["load_ms"] > 0
    assert [record["metrics"]["load_ms"] for record in together[1:]] == [None, None]
    assert {record["info"]["maps"] for record in together} == {1}
    assert {record["info"]["cached"] for record in together} == {0}
    for number, values in enumerate(parameters):
        plot("model = None\nn_ctx = 512", code, parameters=[values])
        alone = json.loads((tmp_path / "run 0" / "record.json").read_text())
        assert alone["metrics"]["load_ms"] > 0
        assert alone["info"]["text"] == together[number]["info"]["text"]


def test_nobody_is_left_when_the_plot_is_over(plot):
    code = "import os, workbench as wb\nwb.record(x=1, info={'pid': os.getpid(), 'parent': os.getppid()})"
    cells, _ = plot("a = 0", code, parameters=[{}, {}])
    pids = {cell["record"]["info"][name] for cell in cells.values() for name in ("pid", "parent")}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
