"""Jobs on Dask workers: several GPUs, several machines, a cluster behind SLURM (extra ``dask``).

What a measurement needs stands above what a scheduler is good at: one job at a time on a host (or a GPU), the jobs of
one block on one worker, because only runs on the same host are compared; Dask neither repeats a job nor moves one.
Folders in a job's payload must mean the same on every machine (a shared file system, as clusters have).
"""

from __future__ import annotations

import dataclasses
import json
import queue
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from workbench.errors import MissingExtra, SweepError, UsageError
from workbench.interfaces import Job, Outcome
from workbench.interfaces.work import Reason
from workbench.sweep.execution.dask_worker import stop, work
from workbench.sweep.execution.local import importable

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_S = 1.0
_JOIN_S = 60.0
_REJOIN_S = 20.0


class DaskExecutor:
    """Runs jobs on the workers of a Dask cluster. Not for several threads at once.

    >>> executor = DaskExecutor()                                   # workers on this machine: one a GPU, else one
    >>> executor = DaskExecutor(address="tcp://scheduler:8786")     # a cluster somebody started
    >>> executor = DaskExecutor.slurm(jobs=4, queue="gpu", cores=8, memory="32GB", gpus_per_job=1)
    >>> sweep.run(executor=executor)

    Each worker runs a job as :class:`~workbench.sweep.execution.local.LocalExecutor` does: a process of its own, with
    its deadline and its limit of memory. A worker that goes away in mid-job makes the outcome "lost": the driver asks
    again, in a new attempt.

    Args:
        timeout_s: longest time of a job that does not say.
        address: of a running scheduler.
        cluster: or a cluster object of Dask's (``dask_jobqueue``, ``dask_kubernetes``), which stays open.
        workers: with neither: how many to start on this machine; default: one a GPU, else one.
        share_hosts: several workers of one host may compute at once even without a GPU each. Only where no time is
            measured.
        slots: more than one: as ``share_hosts``, and so many workers here if nobody says how many or where.
        join_s: how long to wait for the first worker.

    Raises:
        MissingExtra: Dask is not installed.
        SweepError: no worker came.
    """

    def __init__(
        self,
        *,
        timeout_s: float | None = None,
        address: str | None = None,
        cluster: Any = None,
        workers: int | None = None,
        share_hosts: bool = False,
        slots: int = 1,
        join_s: float = _JOIN_S,
    ) -> None:
        if address is not None and cluster is not None:
            raise UsageError("Give an address or a cluster, not both.")
        self.timeout_s, self._function = timeout_s, ("", "")
        self._share_hosts = share_hosts or slots > 1
        self._workers = workers or (slots if slots > 1 else None)
        self._mine = address is None and cluster is None
        self._over: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._begin(address or cluster, join_s)

    def _begin(self, cluster: Any, join_s: float) -> None:
        """Connect to a cluster or an address, or to workers of our own."""
        distributed = _distributed()
        self._owned = _here(self._workers) if self._mine else None
        self._client: Client | None = None
        try:
            self._client = distributed.Client(cluster or self._owned, set_as_default=False, timeout=join_s)
            self._client.wait_for_workers(1, timeout=join_s)
        except (OSError, TimeoutError) as error:
            self.close()
            where = cluster or "this machine"
            raise SweepError(f"No Dask worker within {join_s:g} s at {where}.") from error

    @classmethod
    def slurm(cls, *, jobs: int, gpus_per_job: int = 0, timeout_s: float | None = None, **options: Any) -> Self:
        """Workers as SLURM jobs, one worker each.

        Args:
            jobs: how many to ask SLURM for.
            gpus_per_job: GPUs of each.
            timeout_s: longest time of a run that does not say.
            options: of ``dask_jobqueue.SLURMCluster``: ``queue``, ``cores``, ``memory``, ``walltime``, ``account``, …

        Raises:
            MissingExtra: dask-jobqueue is not installed.
        """
        _distributed()
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError as error:
            raise MissingExtra("dask_jobqueue", "dask") from error
        finally:  # its import has Ctrl-C leave the process with status 0, as if all were done
            signal.signal(signal.SIGINT, on_ctrl_c)
        extra = list(options.pop("job_extra_directives", []))
        if gpus_per_job:
            extra.append(f"--gres=gpu:{gpus_per_job}")
            resources = ["--resources", f"GPU={gpus_per_job}"]
            options["worker_extra_args"] = [*options.get("worker_extra_args", []), *resources]
        cluster = SLURMCluster(n_workers=jobs, processes=1, job_extra_directives=extra, **options)
        made = cls(timeout_s=timeout_s, cluster=cluster, join_s=options.get("death_timeout", 3600.0))
        made._owned = cluster
        return made

    @property
    def slots(self) -> int:
        """Workers that may compute at the same time, as of now."""
        return max(1, len(self._usable()))

    def run(self, jobs: Iterable[Job], function: Callable[[Job], Mapping[str, Any]]) -> Iterator[tuple[Job, Outcome]]:
        """Run every job; jobs of one ``group`` on one worker, in their order. Workers may come and go meanwhile.

        Raises:
            UsageError: the function cannot be found by name from another process.
            SweepError: the last worker is gone and none came back.
        """
        self._function = importable(function)
        lines = _Lines(iter(jobs))
        running: dict[Future, tuple[Job, str]] = {}
        try:
            while True:
                busy = {worker for _, worker in running.values()}
                for worker in self._usable():
                    if worker not in busy and (job := lines.next_for(worker)) is not None:
                        running[self._submit(job, worker)] = (job, worker)
                if not running and lines.empty:
                    return
                for future in self._ended(running):
                    job, worker = running.pop(future)
                    yield job, self._outcome(future, worker)
                lines.forget_all_but(self._usable())
        finally:
            self._stop(running)

    def close(self) -> None:
        """Stop what runs; end the workers this executor started. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        owned, self._owned = self._owned, None
        if owned is not None:
            owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> Client:
        if self._client is None:
            raise UsageError("This executor is closed. Make a new one.")
        return self._client

    def _alive(self) -> dict[str, dict[str, Any]]:
        """Address → facts of every worker there is now."""
        found: dict[str, dict[str, Any]] = self._connected().scheduler_info(n_workers=-1)["workers"]
        return found

    def _usable(self) -> list[str]:
        """Addresses that may compute at the same time: one a host, unless each has a GPU or hosts may be shared."""
        chosen: dict[str, str] = {}
        for address, facts in sorted(self._alive().items()):
            alone = self._share_hosts or facts.get("resources", {}).get("GPU")
            chosen.setdefault(address if alone else str(facts["host"]), address)
        return list(chosen.values())

    def _submit(self, job: Job, worker: str) -> Future:
        module, name = self._function
        limited = dataclasses.replace(job, timeout_s=self.timeout_s if job.timeout_s is None else job.timeout_s)
        fields = {field.name: getattr(limited, field.name) for field in dataclasses.fields(limited)}
        request = json.dumps({"job": fields, "module": module, "function": name}, allow_nan=False)
        future = self._connected().submit(
            work, request, workers=[worker], allow_other_workers=False, pure=False, retries=0
        )
        future.add_done_callback(self._over.put)
        return future

    def _ended(self, running: Mapping[Future, tuple[Job, str]]) -> list[Future]:
        """Those that are over, be it because their worker is gone; after a look's time perhaps none."""
        if not running:  # jobs without a worker: one may join
            self._wait_for_one()
            return []
        try:
            over = self._over.get(timeout=_LOOK_S)
            return [over] if over in running else []  # else it was given up before
        except queue.Empty:
            alive = self._alive()
            return [future for future, (_, worker) in running.items() if worker not in alive]

    def _wait_for_one(self) -> None:
        try:
            self._connected().wait_for_workers(1, timeout=_REJOIN_S if self._mine else _JOIN_S)
        except TimeoutError as error:
            if not self._mine:
                raise SweepError("The last Dask worker is gone and none came back. Run again to go on.") from error
            # Dask gives a worker up that was killed while it started: a cluster of our own is then made anew
            self.close()
            self._begin(None, _JOIN_S)

    def _outcome(self, future: Future, worker: str) -> Outcome:
        from distributed import CancelledError, KilledWorker

        reason: Reason = "lost"
        try:
            return Outcome(**json.loads(self._fetched(future, worker)))
        except (KilledWorker, CancelledError, TimeoutError) as problem:
            error = f"the Dask worker {worker} was lost in mid-run: {problem or 'it went away'}"
        except Exception as problem:  # whatever goes wrong on a worker comes back here, and is an outcome
            error, reason = f"the Dask worker {worker} could not run it: {problem!r}", "error"
        future.cancel()
        return Outcome(status="failed", result=None, error=error, elapsed_s=0.0, host=worker, reason=reason)

    def _fetched(self, future: Future, worker: str) -> str:
        """The result, which lies on the worker: a future that is finished becomes open again when that one dies."""
        while True:
            try:
                return str(future.result(timeout=_LOOK_S))
            except TimeoutError:
                if worker not in self._alive():
                    raise

    def _stop(self, running: Mapping[Future, tuple[Job, str]]) -> None:
        """Nothing may go on running unattended."""
        if self._client is None or not running:
            return
        for future in running:
            future.cancel()
        busy = {worker for _, worker in running.values()} & set(self._alive())
        if busy:
            self._client.run(stop, workers=sorted(busy))


class _Lines:
    """Which job a free worker takes: the rest of its own group first, then the next group nobody works at."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._owner: dict[str, str] = {}
        self._waiting: dict[str, deque[Job]] = {}
        self._exhausted = False

    @property
    def empty(self) -> bool:
        """Whether no job is left that has not been handed out."""
        return self._exhausted and not any(self._waiting.values())

    def next_for(self, worker: str) -> Job | None:
        """The next job for this worker; ``None``: nothing for it now."""
        for group, waiting in self._waiting.items():
            if waiting and self._owner.get(group, worker) == worker:
                self._owner[group] = worker
                return waiting.popleft()
        while (job := next(self._jobs, None)) is not None:
            group = job.id if job.group is None else job.group
            owner = self._owner.setdefault(group, worker)
            if owner == worker:
                return job
            self._waiting.setdefault(group, deque()).append(job)
        self._exhausted = True
        return None

    def forget_all_but(self, workers: Sequence[str]) -> None:
        """What belonged to workers that are gone is free for the others."""
        self._owner = {group: worker for group, worker in self._owner.items() if worker in workers}


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtra("distributed", "dask") from error
    return distributed


def _here(workers: int | None) -> Any:
    """Workers on this machine: one a GPU, each seeing its own only; without GPUs as many as asked for, or one."""
    import dask
    from distributed import Nanny, Scheduler
    from distributed.deploy.spec import SpecCluster

    from workbench.hardware import gpus

    found = gpus()
    places: list[dict[str, Any]] = [
        {"resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": str(gpu.index)}} for gpu in found
    ] or [{}]
    wanted = len(places) if workers is None else workers
    if found and wanted > len(found):
        raise UsageError(f"This machine has {len(found)} GPUs, so at most that many workers. Leave `workers` out.")
    common = {"nthreads": 1, "memory_limit": 0, "silence_logs": 30}
    options = [{**common, **(places[index] if found else {})} for index in range(wanted)]
    # a job must never be run again behind the driver's back: its ledger counts attempts
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        near = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "port": 0}
        return SpecCluster(
            scheduler={"cls": Scheduler, "options": near},
            workers={index: {"cls": Nanny, "options": chosen} for index, chosen in enumerate(options)},
            silence_logs=40,
        )
