import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import SpecError, StoreInUse, UnknownName, UsageError
from workbench.registry import executors
from workbench.storage import FolderLock
from workbench.storage.ledger import Ledger
from workbench.sweep import LocalExecutor, Sweep
from workbench.sweep.design.planning import plan
from workbench.sweep.records import environment as environment_module

STUB = """
import json, os
from pathlib import Path

def run(job):
    p = job.payload["parameters"]
    log = Path(job.payload["folder"]).parent.parent / "ran.txt"
    with log.open("a") as file:
        file.write(job.payload["label"] + "\\n")
    attempt = int(job.payload["folder"].rpartition("-")[2])
    if p.get("fail_below", 0) >= attempt and p["a"] == 2:
        raise ValueError(f"attempt {attempt}")
    metrics = {"speed": float(p["a"]) + job.payload["block"] / 100}
    return {"record": {"metrics": metrics, "info": {}, "series": {}}, "environment": {"stub": True}}
"""


@pytest.fixture
def stub(jobs_module):
    return jobs_module(STUB).run


@pytest.fixture
def sweep(spec_of, stub):
    return lambda **changes: Sweep(spec_of(**{"blocks": 2, "twin": True, **changes}), function=stub)


def ran(sweep):
    path = sweep.folder / "ran.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_it_is_exported():
    assert wb.Sweep is Sweep


def test_a_sweep_of_real_notebooks_from_file_to_analysis(specification, capfd):
    code = "a = 1\nengine = 'tuned'", "import workbench\nworkbench.record(speed=10.0 * a + (engine == 'baseline'))"
    path = specification(
        """name: real
notebook: notebook.ipynb
parameters: {a: [1, 2]}
baseline: {engine: baseline}
blocks: 1
timeout_s: 60
objectives: [{metric: speed, direction: maximize}]
targets: [{name: gain, metric: speed, of: {a: 2}, against: {engine: baseline}, at_least: 1.5}]
""",
        *code,
    )
    sweep = wb.Sweep.from_file(path)
    assert sweep.status().missing == 3
    analysis = sweep.run()
    assert analysis.audit.done == 3
    assert dict(zip(analysis.frame["label"], analysis.frame["speed"], strict=True)) == {
        "a=1": 10.0,
        "a=2": 20.0,
        "baseline": 11.0,
    }
    assert analysis.targets[0].measured.startswith("1.82 ×")
    assert analysis.environment["packages"]["papermill"]
    assert "models" in analysis.environment
    assert "3/3" in capfd.readouterr().err
    assert len(list((path.parent / "results" / "real" / "runs").glob("*/notebook.ipynb"))) == 3


def test_the_order_is_the_plans_and_running_again_runs_nothing(sweep):
    one = sweep()
    first = one.run(progress=False)
    assert ran(one) == [cell.configuration.label for cell in one.plan()]
    assert first.frame["order"].tolist() == [1, 2, 3, 4, 5, 6]
    assert first.frame["cell"].tolist() == [cell.id for cell in one.plan()]
    again = sweep().run(progress=False)
    assert len(ran(one)) == 6
    assert again.frame.equals(first.frame)


def test_more_blocks_run_only_what_is_new(sweep):
    sweep().run(progress=False)
    more = sweep(blocks=3)
    assert more.status().missing == 3
    assert more.run(progress=False).audit.done == 9
    assert len(ran(more)) == 9


def test_failures_are_counted_not_repeated_and_can_be_retried(sweep):
    one = sweep(fixed={"fail_below": 1})
    audit = one.run(progress=False).audit
    assert (audit.planned, audit.done, audit.failed, audit.missing) == (6, 4, 2, 0)
    assert audit.failures[0] == ("a=2 · block 1", "ValueError: attempt 1")
    assert one.run(progress=False).audit.failed == 2
    assert len(ran(one)) == 6
    assert one.run(progress=False, retry_failed=True).audit.done == 6
    assert len(ran(one)) == 8


def test_retries_come_at_once(sweep):
    one = sweep(fixed={"fail_below": 1}, retries=1, blocks=1, twin=False)
    assert one.run(progress=False).audit.done == 2
    labels = ran(one)
    assert labels.count("a=2") == 2
    first = labels.index("a=2")
    assert labels[first : first + 2] == ["a=2", "a=2"]
    with Ledger(one.folder / "ledger.sqlite", readonly=True) as ledger:
        assert [a.status for a in ledger.attempts() if a.error] == ["failed"]


def test_failures_are_reported_on_standard_error(sweep, capfd):
    sweep(fixed={"fail_below": 1}, blocks=1).run(progress=False)
    assert "failed: a=2 · block 1: ValueError: attempt 1" in capfd.readouterr().err


def test_a_second_driver_is_refused(sweep):
    one = sweep()
    with FolderLock(one.folder), pytest.raises(StoreInUse):
        one.run(progress=False)
    assert ran(one) == []


def test_a_metric_nobody_records_stops_the_sweep_at_the_first_run(sweep):
    wrong = sweep(objectives=[{"metric": "sped", "direction": "maximize"}])
    with pytest.raises(SpecError, match=r"Unknown metric 'sped'. Did you mean 'speed'"):
        wrong.run(progress=False)
    assert len(ran(wrong)) == 1
    # the run was good: with the name put right it counts
    assert sweep().status().done == 1


def test_an_interrupted_driver_leaves_missing_cells_not_failed_ones(sweep):
    class Interrupted:
        slots = 1

        def run(self, jobs, function):
            next(iter(jobs))
            raise KeyboardInterrupt
            yield

    one = sweep()
    with pytest.raises(KeyboardInterrupt):
        one.run(progress=False, executor=Interrupted())
    audit = one.status()
    assert (audit.done, audit.failed, audit.missing) == (0, 0, 6)
    assert one.run(progress=False).audit.done == 6


def test_a_run_that_was_over_when_its_driver_was_interrupted_counts(sweep):
    class InterruptedAfterwards:
        slots = 1

        def run(self, jobs, function):
            job = next(iter(jobs))
            folder = Path(job.payload["folder"])
            folder.mkdir(parents=True)
            (folder / "outcome.json").write_text(
                json.dumps({"cell": job.id, "elapsed_s": 1.5, "result": dict(function(job))})
            )
            raise KeyboardInterrupt
            yield

    one = sweep()
    with pytest.raises(KeyboardInterrupt):
        one.run(progress=False, executor=InterruptedAfterwards())
    audit = one.status()
    assert (audit.done, audit.missing) == (1, 5)
    assert one.run(progress=False).audit.done == 6
    assert len(ran(one)) == 6


def test_a_run_that_was_over_when_its_driver_died_is_taken_over(sweep):
    one = sweep()
    cells = plan(one.spec)
    with Ledger(one.folder / "ledger.sqlite") as ledger:
        for cell in cells[:2]:
            ledger.begin(cell.id, host="h")
    result = {"record": {"metrics": {"speed": 77.0}, "info": {}, "series": {}}, "environment": {}}
    for cell, named in zip(cells[:2], (cells[0].id, "another"), strict=True):
        folder = one.folder / "runs" / f"{cell.id}-1"
        folder.mkdir(parents=True)
        (folder / "outcome.json").write_text(json.dumps({"cell": named, "elapsed_s": 1.5, "result": result}))
    frame = one.run(progress=False).frame.set_index("cell")
    assert frame.loc[cells[0].id, "speed"] == 77.0
    assert frame.loc[cells[0].id, "elapsed_s"] == 1.5
    assert frame.loc[cells[1].id, "speed"] != 77.0
    assert len(ran(one)) == 5


def test_an_edit_of_the_notebook_does_not_reach_a_running_sweep(sweep, notebook):
    one = sweep()
    one.run(progress=False)
    frozen = (one.folder / "source.ipynb").read_bytes()
    assert frozen == one.spec.notebook_path.read_bytes()
    notebook("a = 1", "other = 1")
    assert one.status().missing == 6


def test_any_executor_will_do(sweep):
    class AllAtOnce:
        """Takes every job before it runs the first, as a cluster does."""

        slots = 4

        def run(self, jobs, function):
            from workbench.interfaces import Outcome

            for job in reversed(list(jobs)):
                result = dict(function(job))
                yield job, Outcome(status="done", result=result, error=None, elapsed_s=1.0, host=f"host-{len(job.id)}")

    analysis = sweep().run(progress=False, executor=AllAtOnce())
    assert analysis.audit.done == 6
    assert set(analysis.frame["host"]) == {"host-20"}


def test_facts_of_the_sweep_are_in_the_environment(sweep, monkeypatch):
    monkeypatch.setattr(environment_module, "git_state", lambda folder: {"commit": "c", "dirty": False})
    environment = sweep().run(progress=False).environment
    assert environment["git"] == {"commit": "c", "dirty": False}
    assert environment["stub"] is True


def test_it_shows_itself(sweep):
    assert repr(sweep()) == "Sweep('trial': 0 of 6 runs done, 0 failed)"


def test_an_executor_is_made_for_its_sweep(spec_of, monkeypatch):
    def far(*, timeout_s, slots=1, address=None):
        return timeout_s, slots, address

    monkeypatch.setitem(executors._factories, "far", far)
    one = Sweep(spec_of(timeout_s=7.0, side_by_side=3))
    assert one.executor("far") == (7.0, 3, None)
    assert one.executor("far", address="tcp://there:8786") == (7.0, 3, "tcp://there:8786")
    with pytest.raises(UsageError, match="'local' takes no address"):
        one.executor(address="tcp://there:8786")
    with pytest.raises(UnknownName, match="Did you mean 'local'"):
        one.executor("locla")


def test_a_pause_that_is_asked_for_while_an_executor_gets_ready_is_granted(spec_of, jobs_module, monkeypatch):
    sweep = Sweep(spec_of(), function=jobs_module(STUB).run)

    def slow_to_start(*, timeout_s):
        assert sweep.pause()
        return LocalExecutor(timeout_s=timeout_s)

    monkeypatch.setitem(executors._factories, "slow", slow_to_start)
    assert sweep.run(progress=False, executor="slow").audit.done == 0
    assert sweep.paused
    assert sweep.run(progress=False).audit.missing == 0
    assert not sweep.paused
