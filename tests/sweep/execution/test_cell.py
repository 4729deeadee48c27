import json
import sys

import psutil
import pytest

from workbench.interfaces import Job
from workbench.sweep.execution.cell import run_cell
from workbench.sweep.execution.local import LocalExecutor
from workbench.testing.tiny_gguf import make_tiny_gguf


@pytest.fixture(scope="module")
def executor():
    with LocalExecutor(timeout_s=60) as opened:
        yield opened


@pytest.fixture
def run(executor, notebook, tmp_path):
    """Run a notebook's code as one cell; returns outcome and run folder."""

    def go(*code, parameters=None, folder="run {1}", name="notebook.ipynb", **limits):
        path, where = notebook(*code, name=name), tmp_path / folder
        payload = {
            "notebook": str(path),
            "working_folder": str(tmp_path),
            "parameters": parameters or {},
            "folder": str(where),
            "build_cache": str(tmp_path / "builds"),
        }
        ((_, outcome),) = executor.run([Job(id="cell", payload=payload, **limits)], run_cell)
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
    assert outcome.reason == "error"
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
    assert outcome.error.startswith("the kernel died in mid-cell: killed by SIGKILL")
    assert outcome.reason == "died"
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


def test_a_kernel_that_crashes_died_and_its_last_words_are_kept(run):
    code = "import ctypes, os\nos.write(2, b'the last words\\n')\nctypes.string_at(0)"
    outcome, folder = run("a = 1", code)
    assert outcome.reason == "died"
    assert "killed by SIGSEGV" in outcome.error
    assert "the last words" in outcome.error
    assert "the last words" in (folder / "log.txt").read_text()


def test_an_allocators_last_words_mean_out_of_memory(run):
    code = "import os\nos.write(2, b'CUDA error: out of memory\\n')\nos.abort()"
    outcome, _ = run("a = 1", code)
    assert outcome.reason == "out_of_memory"
    assert "SIGABRT" in outcome.error


@pytest.mark.parametrize(
    "code",
    ["held = bytearray(2 ** 60)", "import numpy\nnumpy.ones(2 ** 58)", "raise MemoryError"],
)
def test_an_allocation_that_python_refuses_is_out_of_memory(run, code):
    outcome, _ = run("a = 1", code)
    assert outcome.reason == "out_of_memory"
    assert "MemoryError" in outcome.error


def test_the_engines_own_refusal_is_out_of_memory(run, tmp_path):
    model = make_tiny_gguf(tmp_path / "tiny.gguf")
    code = f"import workbench as wb\nwb.load({str(model)!r}, n_ctx=2_000_000_000, on_oom='raise')"
    outcome, _ = run("a = 1", code)
    assert outcome.reason == "out_of_memory"
    assert outcome.error.startswith("OutOfMemory: ")


def test_a_kernel_over_the_memory_limit_is_killed_with_its_children(run, tmp_path):
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "held = b'x' * 2 ** 29\ntime.sleep(600)"
    )
    outcome, folder = run("a = 1", code, memory_bytes=2**29)
    assert outcome.reason == "out_of_memory"
    assert "its limit is 0.50 GiB" in outcome.error
    assert not (folder / "outcome.json").exists()
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split())


def test_a_kernel_over_its_deadline_is_killed(run):
    outcome, _ = run("a = 1", "import time\ntime.sleep(600)", timeout_s=4)
    assert outcome.reason == "timeout"
    assert outcome.error == "it took longer than timeout_s = 4 s and was killed"
