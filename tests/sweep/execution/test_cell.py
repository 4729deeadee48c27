import json
import sys

import pytest

from workbench.interfaces import Job
from workbench.sweep.execution.cell import run_cell
from workbench.sweep.execution.local import LocalExecutor


@pytest.fixture(scope="module")
def executor():
    with LocalExecutor(timeout_s=60) as opened:
        yield opened


@pytest.fixture
def run(executor, notebook, tmp_path):
    """Run a notebook's code as one cell; returns outcome and run folder."""

    def go(*code, parameters=None, folder="run {1}", name="notebook.ipynb"):
        path, where = notebook(*code, name=name), tmp_path / folder
        payload = {
            "notebook": str(path),
            "working_folder": str(tmp_path),
            "parameters": parameters or {},
            "folder": str(where),
            "build_cache": str(tmp_path / "builds"),
        }
        ((_, outcome),) = executor.run([Job(id="cell", payload=payload)], run_cell)
        return outcome, where

    return go


def test_parameters_go_in_and_the_record_comes_out(run, tmp_path):
    info = "info={'exe': sys.executable, 'cwd': os.getcwd(), 'b': b}"
    code = f"import os, sys, workbench as wb\nwb.record(twice=2 * a, {info})"
    outcome, folder = run("a = 1\nb = None", code, parameters={"a": 21, "b": "x {y} 'z'"})
    assert outcome.error is None
    record = outcome.result["record"]
    assert record["metrics"] == {"twice": 42}
    assert record["info"] == {"exe": sys.executable, "cwd": str(tmp_path), "b": "x {y} 'z'"}
    assert outcome.result["environment"]["packages"]["papermill"]
    executed = json.loads((folder / "notebook.ipynb").read_text())
    assert any("injected-parameters" in cell["metadata"].get("tags", []) for cell in executed["cells"])
    assert json.loads((folder / "record.json").read_text()) == record
    left = json.loads((folder / "outcome.json").read_text())
    assert (left["cell"], left["result"]) == ("cell", outcome.result)
    assert sorted(path.name for path in folder.iterdir()) == [
        "log.txt",
        "notebook.ipynb",
        "outcome.json",
        "record.json",
    ]


def test_the_kernel_is_this_interpreter_whatever_is_installed(run, tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    outcome, _ = run("import sys, workbench as wb", "wb.record(x=1, info={'exe': sys.executable})")
    assert outcome.result["record"]["info"]["exe"] == sys.executable


def test_an_error_fails_the_cell_though_it_recorded_before(run):
    outcome, folder = run("import workbench as wb", "wb.record(x=1)", "raise RuntimeError('no more')")
    assert outcome.status == "failed"
    assert outcome.error == "RuntimeError: no more (in cell [3] of the notebook)"
    assert "no more" in (folder / "notebook.ipynb").read_text()
    assert not (folder / "outcome.json").exists()


def test_a_notebook_that_records_nothing_failed(run):
    outcome, _ = run("a = 1", "print(a)")
    assert outcome.status == "failed"
    assert outcome.error.startswith("the notebook recorded nothing")


def test_a_killed_kernel_failed_whatever_the_notebook_says(run):
    code = "import os, signal, workbench as wb\nwb.record(x=1)\nos.kill(os.getpid(), signal.SIGKILL)"
    outcome, folder = run("a = 1", code, "never = 1")
    assert outcome.status == "failed"
    assert outcome.error.startswith("the kernel died in mid-cell")
    assert not (folder / "outcome.json").exists()
    executed = json.loads((folder / "notebook.ipynb").read_text())
    # the trap this guards against: the file itself claims success
    assert {cell["metadata"]["papermill"]["exception"] for cell in executed["cells"]} <= {None, False}


def test_the_build_of_llama_cpp_is_asked_once(run, tmp_path):
    run("import workbench", "workbench.record(x=1)")
    (kept,) = (tmp_path / "builds").iterdir()
    kept.write_text('{"system_info": "kept"}')
    outcome, _ = run("import workbench", "workbench.record(x=1)", folder="again")
    assert outcome.result["environment"]["llama_cpp"] == {"system_info": "kept"}


def test_no_profile_on_disk_changes_what_a_run_measures(run):
    outcome, _ = run("import os, workbench as wb\nwb.record(done=1, info={'profile': os.environ['WORKBENCH_PROFILE']})")
    assert outcome.result["record"]["info"] == {"profile": "off"}
