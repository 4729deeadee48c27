"""The local executor against the contract, with one slot and with three."""

import os
import time

import psutil
import pytest

from workbench.errors import UsageError
from workbench.interfaces import Job
from workbench.registry import executors
from workbench.sweep.execution.local import LocalExecutor
from workbench.testing import ExecutorContract
from workbench.testing.jobs import echo, fill_memory, leave_mark, linger

MEET = """
import os, time
from pathlib import Path

def meet(job):
    folder = Path(job.payload["folder"])
    (folder / job.id).write_text(str(os.getpid()))
    deadline = time.monotonic() + 240
    while len(list(folder.iterdir())) < 3:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody came")
        time.sleep(0.005)
    return {"pid": os.getpid()}
"""


class TestOneSlot(ExecutorContract):
    def make(self):
        return LocalExecutor(timeout_s=60)


class TestThreeSlots(ExecutorContract):
    def make(self):
        return LocalExecutor(timeout_s=60, slots=3)


@pytest.fixture
def three():
    with executors.create("local", timeout_s=60, slots=3) as executor:
        yield executor


def test_three_run_at_the_same_time(three, jobs_module, tmp_path):
    meet = jobs_module(MEET).meet
    ended = list(three.run([Job(id=str(n), payload={"folder": str(tmp_path)}) for n in range(3)], meet))
    assert [outcome.error for _, outcome in ended] == [None] * 3
    assert len({outcome.result["pid"] for _, outcome in ended}) == 3


def test_what_ends_first_comes_first(three):
    running = three.run([Job(id="late", payload={"seconds": 600}), Job(id="soon", payload={"seconds": 0})], linger)
    assert next(running)[0].id == "soon"
    running.close()


def test_no_more_are_taken_than_there_are_slots(three, tmp_path):
    taken = []

    def jobs():
        for number in range(5):
            taken.append(number)
            yield Job(id=str(number), payload={"number": number})

    for ended, _ in enumerate(three.run(jobs(), echo), start=1):
        assert len(taken) <= ended + 2


def test_a_job_over_its_memory_leaves_the_others_alone(three):
    greedy = Job(id="greedy", payload={"bytes": 2**29, "seconds": 600}, memory_bytes=2**28)
    others = [Job(id=f"other {n}", payload={"bytes": 2**20, "seconds": 1}) for n in range(2)]
    reasons = {job.id: outcome.reason for job, outcome in three.run([greedy, *others], fill_memory)}
    assert reasons == {"greedy": "out_of_memory", "other 0": None, "other 1": None}


def test_closing_the_iterator_ends_those_that_run_beside_it(three, tmp_path):
    jobs = [Job(id=str(n), payload={"folder": str(tmp_path), "seconds": 0 if n == 0 else 600}) for n in range(3)]
    running = three.run(jobs, leave_mark)
    assert next(running)[0].id == "0"
    deadline = time.monotonic() + 240
    while len(list(tmp_path.iterdir())) < 3:
        assert time.monotonic() < deadline, "all three started"
        time.sleep(0.01)
    supervisors = [psutil.Process(line.pid) for line in three._lines if line.busy]
    workers = [child for supervisor in supervisors for child in supervisor.children()]
    assert len(workers) == 2
    running.close()
    assert not psutil.wait_procs(workers, timeout=20)[1]
    assert [outcome.status for _, outcome in three.run([Job(id="next", payload={"a": 1})], echo)] == ["done"]


def test_a_supervisor_killed_while_idle_is_no_jobs_failure():
    with LocalExecutor() as executor:
        assert [outcome.status for _, outcome in executor.run([Job(id="a", payload={})], echo)] == ["done"]
        supervisor = psutil.Process(executor._lines[0].pid)
        supervisor.kill()
        while supervisor.status() != psutil.STATUS_ZOMBIE:
            os.sched_yield()
        assert [outcome.status for _, outcome in executor.run([Job(id="b", payload={})], echo)] == ["done"]


def test_no_slots_are_refused():
    with pytest.raises(UsageError, match="at least 1"):
        LocalExecutor(slots=0)
