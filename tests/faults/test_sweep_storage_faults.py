"""FAULTS rows 13 and 23 in a sweep: a disk that fills up, and keys that must not get onto it."""

import json
import os
import subprocess
import sys

import nbformat
import pytest

from workbench.dashboard import write_report
from workbench.sweep import Sweep

KEY = "q7-this-is-the-sentinel"
LOOSE = "sk-Sentinel0123456789abcdefgh"

STUB = """
import resource
from pathlib import Path
from workbench.storage import write_json

def run(job):
    ran = Path(job.payload["folder"]).parent.parent / "ran.txt"
    with ran.open("a") as file:
        file.write(job.id + "\\n")
    record = {"metrics": {"speed": 1.0}, "info": {"text": "x" * 20_000}, "series": {}}
    return {"record": record, "environment": {}}
"""

DRIVER = """
import resource, sys
from workbench.errors import StorageFull
from workbench.sweep import Sweep, SweepSpec
sys.path.insert(0, {folder!r})
import full_cells
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    Sweep(SweepSpec.from_file({spec!r}), function=full_cells.run).run(progress=False)
except StorageFull as error:
    sys.exit(f"StorageFull: {{error}}")
"""


@pytest.fixture
def specify(tmp_path):
    def write(*code, **more):
        cells = [nbformat.v4.new_code_cell(source) for source in ("a = 1", *code)]
        cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebook.ipynb")
        parts = {
            "name": "faults",
            "notebook": "notebook.ipynb",
            "parameters": {"a": [1, 2, 3, 4]},
            "blocks": 3,
            "timeout_s": 60,
            "objectives": [{"metric": "speed", "direction": "maximize"}],
            **more,
        }
        (tmp_path / "sweep.yaml").write_text(json.dumps(parts))
        return tmp_path / "sweep.yaml"

    return write


def test_a_disk_that_fills_up_stops_the_sweep_and_keeps_what_was_finished(specify, tmp_path, jobs_in):
    spec = specify()
    (tmp_path / "full_cells.py").write_text(STUB)
    program = DRIVER.format(folder=str(tmp_path), spec=str(spec), limit=150_000)
    stopped = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert stopped.returncode == 1
    assert "StorageFull: No room to write" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    sweep = Sweep.from_file(spec)
    before = sweep.status()
    assert 0 < before.done < 12
    assert before.failed == 0
    ran = (sweep.folder / "ran.txt").read_text().split()
    done = {run.cell.id for run in sweep.runs()}

    finished = Sweep(sweep.spec, function=jobs_in(tmp_path).run).run(progress=False)
    assert (finished.audit.done, finished.audit.failed) == (12, 0)
    again = (sweep.folder / "ran.txt").read_text().split()[len(ran) :]
    assert not done & set(again), "what was finished is not measured again"


@pytest.fixture
def jobs_in(monkeypatch):
    def load(folder):
        monkeypatch.syspath_prepend(str(folder))
        return __import__("full_cells")

    yield load
    sys.modules.pop("full_cells", None)


def test_no_room_for_an_executed_notebook_fails_its_cell_clearly(specify, tmp_path):
    fill = (
        "import resource, os\n"
        "resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY)) if a == 2 else None\n"
        "import workbench\nworkbench.record(speed=a)\nprint('x' * 100_000)"
    )
    sweep = Sweep.from_file(specify(fill, parameters={"a": [1, 2]}, blocks=1))
    audit = sweep.run(progress=False).audit
    assert (audit.done, audit.failed) == (1, 1)
    assert "StorageFull" in audit.failures[0][1]
    assert "notebook.ipynb" in audit.failures[0][1]
    for path in (sweep.folder / "runs").glob("*/*.ipynb"):
        json.loads(path.read_text())  # old or whole, never half


def test_no_key_gets_onto_the_disk(specify, tmp_path, monkeypatch):
    monkeypatch.setenv("SENTINEL_API_KEY", KEY)
    code = (
        "import os, sys, workbench as wb\n"
        "key = os.environ['SENTINEL_API_KEY']\n"
        f"loose = 'sk-' + {LOOSE[3:]!r}\n"
        "print('said', key, loose)\n"
        "os.write(2, f'library: {key} {loose}'.encode())\n"
        "wb.record(speed=a, info={'answer': key, 'environment': dict(os.environ), key: loose})\n"
        "key",
        "if a == 2: raise ValueError(f'401: {key} {loose}')\n"
        "if a == 3: os.write(2, b'x' * 5000 + key.encode()); os._exit(3)",
    )
    sweep = Sweep.from_file(specify(*code, parameters={"a": [1, 2, 3]}, blocks=1))
    analysis = sweep.run(progress=False)
    assert (analysis.audit.done, analysis.audit.failed) == (1, 2)
    errors = " ".join(error for _, error in analysis.audit.failures)
    assert "ValueError: 401: [hidden] [hidden]" in errors
    write_report(analysis, sweep.folder / "dashboard.html")
    found = [path for path in sweep.folder.rglob("*") if path.is_file()]
    assert {path.name for path in found} >= {"ledger.sqlite", "record.json", "notebook.ipynb", "log.txt"}
    for secret in (KEY, LOOSE):
        leaking = [str(path.relative_to(sweep.folder)) for path in found if secret.encode() in path.read_bytes()]
        assert leaking == []
    logs = [path.read_text() for path in sweep.folder.rglob("log.txt")]
    assert any("library: [hidden] [hidden]" in log for log in logs)
    assert os.environ["SENTINEL_API_KEY"] == KEY
