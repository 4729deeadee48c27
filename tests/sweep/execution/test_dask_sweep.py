"""A sweep on Dask workers: the same records as here, and nothing lost or doubled when a worker dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from workbench.storage.ledger import Ledger
from workbench.sweep import Sweep
from workbench.sweep.execution.dask_executor import DaskExecutor
from workbench.sweep.execution.trial import leave_outcome


def found(sweep: Sweep) -> set[tuple[str, str, float]]:
    return {(run.cell.id, run.cell.configuration.label, run.record.metrics["speed"]) for run in sweep.runs()}


def test_two_workers_give_the_same_set_of_records_as_this_process(spec_of, tmp_path: Path) -> None:
    here = Sweep(spec_of(results=str(tmp_path / "here"), blocks=2))
    here.run(progress=False)
    there = Sweep(spec_of(results=str(tmp_path / "there"), blocks=2))
    with DaskExecutor(workers=2, share_hosts=True) as executor:
        audit = there.run(progress=False, executor=executor).audit
    assert (audit.done, audit.failed, audit.missing) == (4, 0, 0)
    assert found(there) == found(here)
    for run in there.runs():
        assert run.record.metrics == {"speed": float(run.cell.configuration.parameters["a"])}


def test_by_name(spec_of) -> None:
    audit = Sweep(spec_of(blocks=1, side_by_side=2), function=leave_outcome).run(progress=False, executor="dask").audit
    assert (audit.planned, audit.done) == (2, 2)


def test_workers_killed_in_mid_cell_lose_and_double_nothing(spec_of) -> None:
    sweep = Sweep(spec_of(parameters={"a": list(range(8))}, blocks=12), function=leave_outcome)
    with DaskExecutor(workers=2, share_hosts=True) as executor:
        over = threading.Event()

        def ended() -> int:
            return len(list((sweep.folder / "runs").glob("*/attempt.json")))

        def kill() -> None:
            for _ in range(2):
                before = ended()
                while ended() < before + 5 and not over.is_set():
                    time.sleep(0.05)
                time.sleep(0.3)  # one killed in its first moments is given up by its nanny: that takes long
                for pid in executor._client.run(os.getpid).values():
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        audit = sweep.run(progress=False, executor=executor).audit
        over.set()
        killer.join()
    assert list(audit.failures) == []
    assert (audit.done, audit.missing) == (96, 0)
    with Ledger(sweep.folder / "ledger.sqlite", readonly=True) as ledger:
        attempts = ledger.attempts()
    assert sorted(one.cell for one in attempts if one.status == "done") == sorted(cell.id for cell in sweep.plan())
    assert any(one.status != "done" for one in attempts), "no kill hit a cell: the test shows nothing"
