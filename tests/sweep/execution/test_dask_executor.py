"""Dask workers as an executor: the contract, lost workers, one job a host, blocks that stay together, SLURM."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import workbench.sweep
from workbench.errors import MissingExtra, SweepError, UsageError
from workbench.interfaces import Job
from workbench.registry import executors
from workbench.sweep.execution import dask_executor
from workbench.sweep.execution.dask_executor import DaskExecutor, _Lines
from workbench.testing.contracts import ExecutorContract
from workbench.testing.jobs import echo, leave_mark, linger


@pytest.fixture(scope="module")
def shared() -> Iterator[DaskExecutor]:
    with DaskExecutor(workers=2, share_hosts=True) as executor:
        yield executor


class TestDaskContract(ExecutorContract):
    """Every test on two workers of one cluster; closing it is tried below."""

    @pytest.fixture
    def executor(self, shared: DaskExecutor) -> Iterator[DaskExecutor]:
        borrowed = DaskExecutor(cluster=shared._owned, share_hosts=True)
        yield borrowed
        borrowed.close()


def test_it_comes_by_name() -> None:
    assert executors.get("dask") is DaskExecutor
    assert workbench.sweep.DaskExecutor is DaskExecutor


def test_one_job_at_a_time_on_a_host_unless_told_otherwise(shared: DaskExecutor) -> None:
    assert shared.slots == 2
    alone = DaskExecutor(cluster=shared._owned)
    assert alone.slots == 1
    alone.close()


def test_jobs_of_a_group_stay_together_and_in_order() -> None:
    lines = _Lines(
        iter([Job(id=f"{block}{number}", payload={}, group=block) for block in "abc" for number in range(3)])
    )
    taken: dict[str, list[str]] = {"one": [], "two": []}
    while not lines.empty:
        for worker in taken:
            job = lines.next_for(worker)
            taken[worker] += [job.id] if job else []
    assert sorted(taken["one"] + taken["two"]) == [f"{block}{number}" for block in "abc" for number in range(3)]
    for ids in taken.values():
        assert ids == sorted(ids)
    assert {one[0] for one in taken["one"]} & {one[0] for one in taken["two"]} == set()


def test_what_a_gone_worker_had_to_do_is_free_for_others() -> None:
    lines = _Lines(iter([Job(id=name, payload={}, group="a") for name in "xyz"]))
    assert lines.next_for("gone").id == "x"
    assert lines.next_for("other") is None
    lines.forget_all_but(["other"])
    assert [lines.next_for("other").id, lines.next_for("other").id] == ["y", "z"]
    assert lines.empty


def test_a_worker_killed_in_mid_job_is_an_outcome_and_the_rest_goes_on(tmp_path: Path) -> None:
    with DaskExecutor(workers=2, share_hosts=True) as executor:
        pids = executor._client.run(os.getpid)
        jobs = [Job(id="long", payload={"folder": str(tmp_path), "seconds": 600.0})]

        def kill() -> None:
            while not (tmp_path / "long").exists():
                time.sleep(0.01)
            for pid in pids.values():
                os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        [(job, outcome)] = executor.run(jobs, leave_mark)
        killer.join()
        assert (job.id, outcome.status, outcome.reason) == ("long", "failed", "lost")
        assert "was lost in mid-run" in (outcome.error or "")
        [(_, after)] = executor.run([Job(id="after", payload={})], echo)  # the nanny has started a new one
        assert after.status == "done"


def test_ctrl_c_in_mid_job_ends_its_process(tmp_path: Path) -> None:
    def jobs() -> Iterator[Job]:
        yield Job(id="marked", payload={"folder": str(tmp_path), "seconds": 600.0})
        while not (tmp_path / "marked").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    with DaskExecutor(workers=2, share_hosts=True) as executor:
        with pytest.raises(KeyboardInterrupt):
            list(executor.run(jobs(), leave_mark))
        left = executor._client.run(lambda: len(psutil.Process().children(recursive=True)))
        assert set(left.values()) == {0}
    with pytest.raises(UsageError, match="closed"):
        list(executor.run([Job(id="late", payload={})], echo))


def test_a_deadline_of_the_executor_holds_for_jobs_without_one(shared: DaskExecutor) -> None:
    hasty = DaskExecutor(cluster=shared._owned, timeout_s=0.3)
    [(_, outcome)] = hasty.run([Job(id="late", payload={"seconds": 600.0})], linger)
    assert outcome.reason == "timeout"
    hasty.close()


def test_an_address_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SweepError, match="No Dask worker within"):
        DaskExecutor(address="tcp://127.0.0.1:9", join_s=0.5)
    with pytest.raises(UsageError, match="not both"):
        DaskExecutor(address="tcp://127.0.0.1:9", cluster=object())


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"workbench\[dask\]"):
        DaskExecutor()


def test_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    class _Gpu:
        def __init__(self, index: int) -> None:
            self.index = index

    monkeypatch.setattr("workbench.hardware.gpus", lambda: (_Gpu(0), _Gpu(1)))
    with pytest.raises(UsageError, match="2 GPUs"):
        dask_executor._here(3)
    with DaskExecutor() as executor:
        assert executor.slots == 2
        seen = executor._client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
        assert sorted(seen.values()) == ["0", "1"]


def fake_slurm(folder: Path) -> None:
    """``sbatch`` that runs the script at once, and ``scancel`` that ends what it started."""
    programs = {
        "sbatch": f'#!/bin/sh\ncp "$1" "{folder}/script.sh"\n'
        f'setsid bash "{folder}/script.sh" >/dev/null 2>&1 &\necho $! > "{folder}/pid"\n'
        'echo "Submitted batch job 17"\n',
        "scancel": f'#!/bin/sh\nkill -TERM -- "-$(cat "{folder}/pid")"\n',
    }
    for name, text in programs.items():
        path = folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_workers_as_slurm_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_slurm(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    options: dict[str, Any] = {"queue": "gpu", "cores": 1, "memory": "1GB", "walltime": "00:10:00"}
    options |= {"scheduler_options": {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}, "death_timeout": 60}
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    with DaskExecutor.slurm(jobs=1, gpus_per_job=1, log_directory=str(tmp_path), **options) as executor:
        [(_, outcome)] = executor.run([Job(id="one", payload={"text": "ä"})], echo)
        assert outcome.result == {"id": "one", "payload": {"text": "ä"}}
    assert signal.getsignal(signal.SIGINT) is on_ctrl_c, "dask_jobqueue has one of its own"
    script = (tmp_path / "script.sh").read_text()
    for line in ("#SBATCH -p gpu", "#SBATCH --gres=gpu:1", "--resources GPU=1", "--nthreads 1"):
        assert line in script


def test_workers_of_its_own_that_do_not_come_back_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "_REJOIN_S", 0.2)
    with DaskExecutor() as executor:
        executor._owned.sync(executor._owned.scale, 0)
        executor._owned.sync(executor._owned._correct_state)
        while executor._alive():
            time.sleep(0.01)
        [(_, outcome)] = executor.run([Job(id="one", payload={})], echo)
        assert outcome.status == "done"
