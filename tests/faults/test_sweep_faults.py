"""FAULTS rows 10, 11 and 25: kernels and drivers that are killed, specifications that are wrong."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import nbformat
import psutil
import pytest

from workbench.errors import SpecError
from workbench.storage.ledger import Ledger
from workbench.sweep import Sweep

SPEC = """name: faults
notebook: notebook.ipynb
parameters: {a: [1, 2, 3]}
twin: true
blocks: 3
timeout_s: 60
objectives: [{metric: speed, direction: maximize}]
"""

STUB = """
import os, time
from pathlib import Path
from workbench.storage import write_json

def run(job):
    folder = Path(job.payload["folder"])
    (folder.parent.parent / "started.txt").open("a").write(f"{os.getpid()} {job.id}\\n")
    time.sleep(0.03)
    result = {"record": {"metrics": {"speed": 1.0}, "info": {}, "series": {}}, "environment": {}}
    write_json(folder / "outcome.json", {"cell": job.id, "elapsed_s": 0.03, "result": result})
    return result
"""

STAGED = """name: faults
notebook: notebook.ipynb
parameters: {a: [1, 2], b: [1, 2]}
slow: [a]
blocks: 8
more_blocks: 3
confirm: 2
timeout_s: 60
objectives: [{metric: speed, direction: maximize}]
"""

PLOTS = """
import time, zlib
from pathlib import Path
from workbench.storage import write_json

def run(job):
    ended = {}
    for cell in job.payload["cells"]:
        time.sleep(0.01)
        speed = 10.0 * cell["parameters"]["a"] + zlib.crc32(cell["id"].encode()) / 2**32
        record = {"metrics": {"speed": speed}, "info": {}, "series": {}}
        ended[cell["id"]] = {"record": record, "environment": {}, "elapsed_s": 0.01}
        folder = Path(cell["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        result = {"record": record, "environment": {}}
        write_json(folder / "outcome.json", {"cell": cell["id"], "elapsed_s": 0.01, "result": result})
    return {"cells": ended}
"""

DRIVER = """
import sys
from workbench.sweep import Sweep, SweepSpec
sys.path.insert(0, {folder!r})
import stub_cells, stub_plots
sweep = Sweep(SweepSpec.from_file({spec!r}), function={function})
print("ready", flush=True)
sweep.run(progress=False)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SPEC)
    (tmp_path / "stub_cells.py").write_text(STUB)
    (tmp_path / "stub_plots.py").write_text(PLOTS)
    write_notebook(tmp_path, "import workbench\nworkbench.record(speed=a)")
    return tmp_path


def write_notebook(folder, code, parameters="a = 1"):
    cells = [nbformat.v4.new_code_cell(parameters), nbformat.v4.new_code_cell(code)]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebook.ipynb")


@contextlib.contextmanager
def driver(folder, function="stub_cells.run"):
    program = DRIVER.format(folder=str(folder), spec=str(folder / "sweep.yaml"), function=function)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        process.stdout.close()


def wait_until(condition, what, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def alive(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def kill_and_resume(folder, delays, function="stub_cells.run"):
    """Kill a driver after each delay, then let one finish; what the ledger says must hold every time."""
    sweep, done = Sweep.from_file(folder / "sweep.yaml"), {}
    for delay in delays:
        with driver(folder, function) as process:
            time.sleep(delay)
            process.kill()
            process.wait()
        path = sweep.folder / "ledger.sqlite"
        if not path.exists():
            continue
        with Ledger(path) as ledger:
            ended = ledger.ended()
            counts = Counter(a.cell for a in ledger.attempts() if a.status == "done")
        assert set(counts.values()) <= {1}
        # nothing that was done is ever lost or replaced
        assert all(ended[cell] == attempt for cell, attempt in done.items())
        done = {cell: attempt for cell, attempt in ended.items() if attempt.status == "done"}
        assert sweep.status().failed == 0
    with driver(folder, function) as process:
        assert process.wait(240) == 0
    return sweep


def check_finished(sweep, planned=12):
    audit = sweep.status()
    assert (audit.planned, audit.done, audit.failed, audit.missing) == (planned, planned, 0, 0)
    frame = sweep.frame()
    assert sorted(frame["cell"]) == sorted(cell.id for cell in sweep.plan())
    with Ledger(sweep.folder / "ledger.sqlite") as ledger:
        attempts = ledger.attempts()
    assert Counter(a.cell for a in attempts if a.status == "done") == Counter(cell.id for cell in sweep.plan())
    assert {a.status for a in attempts} <= {"done", "abandoned"}
    # only attempts that were cut off were made again
    assert len(attempts) == planned + sum(a.status == "abandoned" for a in attempts)
    # every run that reached its end counts: none was measured twice
    finished = Counter(json.loads(path.read_text())["cell"] for path in (sweep.folder / "runs").glob("*/outcome.json"))
    assert finished == Counter(cell.id for cell in sweep.plan())


def test_a_driver_killed_at_random_times_loses_and_doubles_nothing(folder):
    chance = random.Random(11)
    check_finished(kill_and_resume(folder, [chance.uniform(0, 0.9) for _ in range(5)]))


def check_stages(sweep):
    """Grid, further blocks and confirmation: each decided upon once, whoever was killed in between."""
    grid, more, confirm = (sweep.status(phase).planned for phase in ("grid", "more", "confirm"))
    assert grid == 8 * 4
    assert more
    assert confirm in (2 * 2, 2 * 3)
    check_finished(sweep, grid + more + confirm)


def test_a_driver_of_whole_plots_and_stages_killed_at_random_times_loses_and_doubles_nothing(folder):
    write_notebook(folder, "import workbench\nworkbench.record(speed=a)", "a = b = 1")
    (folder / "sweep.yaml").write_text(STAGED)
    chance = random.Random(13)
    check_stages(kill_and_resume(folder, [chance.uniform(0, 1.5) for _ in range(4)], "stub_plots.run"))


@pytest.mark.soak
def test_a_driver_of_stages_killed_at_forty_random_times_loses_and_doubles_nothing(folder):
    write_notebook(folder, "import workbench\nworkbench.record(speed=a)", "a = b = 1")
    (folder / "sweep.yaml").write_text(STAGED)
    chance = random.Random(14)
    check_stages(kill_and_resume(folder, [chance.uniform(0, 1.2) for _ in range(40)], "stub_plots.run"))


@pytest.mark.soak
def test_a_driver_killed_at_forty_random_times_loses_and_doubles_nothing(folder):
    chance = random.Random(12)
    (folder / "sweep.yaml").write_text(SPEC)
    check_finished(kill_and_resume(folder, [chance.uniform(0, 0.6) for _ in range(40)]))


def test_a_killed_driver_takes_run_and_kernel_along(folder):
    pids = folder / "pids"
    write_notebook(
        folder, f"import os, time\nopen({str(pids)!r}, 'w').write(f'{{os.getppid()}} {{os.getpid()}}')\ntime.sleep(600)"
    )
    with driver(folder, function="None") as process:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the kernel runs")
        run, kernel = map(int, pids.read_text().split())
        (supervisor,) = psutil.Process(process.pid).children()
        assert psutil.Process(run).ppid() == supervisor.pid
        process.kill()
        process.wait()
        wait_until(lambda: not any(map(alive, (supervisor.pid, run, kernel))), "nobody is left")
    sweep = Sweep.from_file(folder / "sweep.yaml")
    assert sweep.status().missing == 12


def test_a_killed_run_process_takes_its_kernel_along(folder):
    pids = folder / "pids"
    write_notebook(
        folder, f"import os, time\nopen({str(pids)!r}, 'w').write(f'{{os.getppid()}} {{os.getpid()}}')\ntime.sleep(600)"
    )
    with driver(folder, function="None"):
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the kernel runs")
        run, kernel = map(int, pids.read_text().split())
        os.kill(run, signal.SIGKILL)
        wait_until(lambda: not alive(kernel), "the kernel is gone")
        sweep = Sweep.from_file(folder / "sweep.yaml")
        wait_until(lambda: sweep.status().failed == 1, "the run is noted as failed")
    assert "SIGKILL" in sweep.status().failures[0][1]


def test_a_killed_kernel_fails_its_cell_and_resume_runs_only_what_is_missing(folder):
    count = folder / "count"
    # every kernel counts itself; the second one is killed in the middle of a cell, after it has recorded
    write_notebook(
        folder,
        "import os, signal, workbench\n"
        f"open({str(count)!r}, 'a').write('x')\n"
        "workbench.record(speed=a)\n"
        f"if os.path.getsize({str(count)!r}) == 2: os.kill(os.getpid(), signal.SIGKILL)",
    )
    (folder / "sweep.yaml").write_text(SPEC.replace("blocks: 3", "blocks: 1"))
    sweep = Sweep.from_file(folder / "sweep.yaml")
    analysis = sweep.run(progress=False)
    audit = analysis.audit
    assert (audit.done, audit.failed, audit.missing) == (3, 1, 0)
    assert audit.failures[0][1].startswith("the kernel died in mid-cell")
    assert len(analysis.frame) == 3
    again = sweep.run(progress=False, retry_failed=True)
    assert (again.audit.done, again.audit.failed) == (4, 0)
    assert count.read_text() == "x" * 5


def test_ctrl_c_stops_the_run_and_leaves_a_sweep_that_goes_on(folder):
    with driver(folder) as process:
        wait_until((folder / "results" / "faults" / "started.txt").exists, "a cell runs")
        process.send_signal(signal.SIGINT)
        assert process.wait(240) != 0
        started = {int(line.split()[0]) for line in (folder / "results/faults/started.txt").read_text().splitlines()}
        assert not any(map(alive, started))
    sweep = Sweep.from_file(folder / "sweep.yaml")
    assert sweep.status().failed == 0
    with Ledger(sweep.folder / "ledger.sqlite", readonly=True) as ledger:
        assert ledger.running() == []
    with driver(folder) as process:
        assert process.wait(240) == 0
    check_finished(sweep)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("blocks: 3", "blokcs: 3", 5, "blokcs: Unknown key 'blokcs'. Did you mean 'blocks'? Known: baseline, blocks,"),
        ("{a: [1, 2, 3]}", "{aa: [1]}", 3, "Unknown parameter of notebook.ipynb 'aa'. Did you mean 'a'? Known: a."),
        ("twin: true", "fixed: {engine: tuned}", 4, "Unknown parameter of notebook.ipynb 'engine'"),
    ],
)
def test_a_bad_specification_is_refused_before_anything_runs(folder, old, new, line, says):
    path = folder / "sweep.yaml"
    path.write_text(SPEC.replace(old, new))
    with pytest.raises(SpecError) as caught:
        Sweep.from_file(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)
    assert not (folder / "results").exists()


def test_an_unknown_component_is_refused_with_the_known_ones(folder):
    cells = [nbformat.v4.new_code_cell("engine = 'tuned'")]
    cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebook.ipynb")
    path = folder / "sweep.yaml"
    path.write_text(SPEC.replace("{a: [1, 2, 3]}", "{engine: [tuned, tunde]}"))
    with pytest.raises(
        SpecError, match=r":3: parameters\.engine\[1\]: Unknown engine 'tunde'.*Known: .*baseline.*tuned"
    ):
        Sweep.from_file(path)
