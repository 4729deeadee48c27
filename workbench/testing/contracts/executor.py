"""The contract of :class:`workbench.interfaces.Executor`."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import cast

import pytest

from workbench.interfaces import Executor, Job, Outcome
from workbench.testing.jobs import die, echo, fail_if_odd, fill_memory, leave_mark, linger


class ExecutorContract:
    """Inherit and override :meth:`make`.

    Attributes:
        isolates: jobs run in processes of their own, so that one that dies is an outcome too.
        limits_time: a job's ``timeout_s`` is kept.
        limits_memory: a job's ``memory_bytes`` is kept.
    """

    isolates = True
    limits_time = True
    limits_memory = True

    def make(self) -> Executor:
        """A new executor. Override."""
        raise NotImplementedError("Override make() so that it returns a new executor.")

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        """An executor, closed afterwards."""
        executor = self.make()
        yield executor
        executor.close()

    def test_it_is_an_executor(self, executor: Executor) -> None:
        assert isinstance(executor, Executor), "An executor has every member of workbench.interfaces.Executor."
        assert executor.slots >= 1, "An executor says how many jobs run at the same time."

    def test_every_job_ends_once(self, executor: Executor) -> None:
        jobs = _jobs(5)
        ended = list(executor.run(jobs, echo))
        assert sorted(job.id for job, _ in ended) == [job.id for job in jobs], "Every job is yielded once."
        for job, outcome in ended:
            assert outcome.status == "done", "A job whose function returns is done."
            assert outcome.result == {"id": job.id, "payload": job.payload}, "result is what the function returned."
            assert outcome.error is None, "A job that is done has no error."
            assert outcome.reason is None, "A job that is done has no reason for having failed."
            assert outcome.elapsed_s >= 0, "elapsed_s is a time."
            assert outcome.host, "host says where it ran."

    def test_one_slot_runs_in_order(self, executor: Executor) -> None:
        if executor.slots != 1:
            pytest.skip("the executor runs several jobs at once")
        ended = [job.id for job, _ in executor.run(_jobs(4), echo)]
        assert ended == [job.id for job in _jobs(4)], "Jobs are started in the given order."

    def test_no_jobs_no_outcomes(self, executor: Executor) -> None:
        assert list(executor.run([], echo)) == [], "Without jobs nothing is yielded."

    def test_a_failing_job_is_an_outcome(self, executor: Executor) -> None:
        outcomes = {job.payload["number"]: outcome for job, outcome in executor.run(_jobs(4), fail_if_odd)}
        assert [outcomes[number].status for number in range(4)] == ["done", "failed"] * 2, (
            "A failing job is an outcome, never an exception, and does not stop the others."
        )
        failed = outcomes[1]
        assert failed.result is None, "A failed job has no result."
        assert "job 1 was meant to fail" in (failed.error or ""), "error tells a person why."
        assert failed.reason == "error", "reason tells a program why: the function raised."

    def test_a_dying_job_is_an_outcome(self, executor: Executor) -> None:
        if not self.isolates:
            pytest.skip("the executor runs jobs in this process")
        [(_, outcome)] = executor.run(_jobs(1), die)
        assert outcome.status == "failed", "A job whose process dies has failed."
        assert outcome.error, "error tells a person why."
        assert outcome.reason in ("died", "lost"), "reason tells a program why: its process died, or is gone."
        [(_, after)] = executor.run(_jobs(1), echo)
        assert after.status == "done", "The executor serves on after a job died."

    def test_a_job_has_its_own_deadline(self, executor: Executor) -> None:
        if not self.limits_time:
            pytest.skip("the executor keeps no deadlines")
        late = Job(id="late", payload={"seconds": 600.0}, timeout_s=0.5)
        quick = Job(id="quick", payload={"seconds": 0.0}, timeout_s=300.0)
        ended = {job.id: outcome for job, outcome in executor.run([late, quick], linger)}
        assert ended["late"].status == "failed", "A job over its timeout_s is stopped, and that is an outcome."
        assert ended["late"].reason == "timeout", "reason tells a program why: the deadline."
        assert ended["quick"].status == "done", "A job within its timeout_s is left alone."

    def test_a_job_has_its_own_limit_of_memory(self, executor: Executor) -> None:
        if not self.limits_memory:
            pytest.skip("the executor keeps no limits of memory")
        greedy = Job(id="greedy", payload={"bytes": 2**29, "seconds": 600.0}, memory_bytes=2**28)
        modest = Job(id="modest", payload={"bytes": 1, "seconds": 0.0}, memory_bytes=2**34)
        ended = {job.id: outcome for job, outcome in executor.run([greedy, modest], fill_memory)}
        assert ended["greedy"].status == "failed", "A job over its memory_bytes is stopped, and that is an outcome."
        assert ended["greedy"].reason == "out_of_memory", "reason tells a program why: a child's memory counts as well."
        assert "GiB" in (ended["greedy"].error or ""), "error tells a person how much it held and may hold."
        assert ended["modest"].status == "done", "A job within its memory_bytes is left alone."

    def test_closing_the_iterator_stops_what_runs(self, executor: Executor, tmp_path: Path) -> None:
        jobs = [Job(id=f"job {n}", payload={"folder": str(tmp_path), "seconds": 0.05}) for n in range(30)]
        running = cast("Generator[tuple[Job, Outcome], None, None]", executor.run(jobs, leave_mark))
        next(running)
        running.close()
        executor.close()
        started = len(list(tmp_path.iterdir()))
        assert started < len(jobs), "Closing the iterator stops what runs: the rest is not started."

    def test_close_is_idempotent(self, executor: Executor) -> None:
        list(executor.run(_jobs(1), echo))
        executor.close()
        executor.close()


def _jobs(count: int) -> list[Job]:
    return [Job(id=f"job {number}", payload={"number": number, "text": "ä 🌍"}) for number in range(count)]
