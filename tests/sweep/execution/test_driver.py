"""The driver, with an executor that does what a script says."""

import itertools
from collections import Counter
from types import SimpleNamespace

import pytest

from workbench.errors import SpecError
from workbench.storage.ledger import Ledger
from workbench.sweep.execution.runner import LEDGER


def audit_of(sweep, executor, **how):
    return sweep.run(progress=False, executor=executor, **how).audit


def attempts(sweep):
    with Ledger(sweep.folder / LEDGER, readonly=True) as ledger:
        return ledger.attempts()


@pytest.fixture
def clock(monkeypatch):
    """A clock of the ledger's own: every look at it is ten seconds later."""
    looks = itertools.count(1_000_000.0, 10.0)
    for module in ("workbench.storage.ledger", "workbench.sweep.records.attempt_file"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=lambda: next(looks)))


def word_for(cells):
    """Cells (label, block) end as told, others are done."""
    return lambda payload, attempt: cells.get((payload["label"], payload["block"]), "done")


def test_jobs_carry_the_deadline_and_the_limit_of_memory(sweep, scripted, tmp_path):
    executor = scripted(word_for({}))
    sweep(timeout_s=7.5, memory_limit_gib=0.5).run(progress=False, executor=executor)
    assert {(job.timeout_s, job.memory_bytes) for job in executor.jobs} == {(7.5, 2**29)}
    free = scripted(word_for({}))
    sweep(results=str(tmp_path / "free")).run(progress=False, executor=free)
    assert {job.memory_bytes for job in free.jobs} == {None}


def test_several_slots_out_of_order_run_everything_once(sweep, scripted):
    executor = scripted(word_for({}), slots=5, seed=4)
    one = sweep(twin=True)
    audit = audit_of(one, executor)
    assert (audit.done, executor.most) == (16, 5)
    assert Counter(attempt.cell for attempt in attempts(one)) == Counter(cell.id for cell in one.plan())


@pytest.mark.parametrize("slots", [1, 4])
def test_a_failed_run_comes_back_as_often_as_allowed(sweep, scripted, slots):
    executor = scripted(lambda payload, attempt: "died" if attempt < 3 else "done", slots=slots)
    assert audit_of(sweep(retries=2, blocks=2), executor).done == 6
    assert Counter(executor.ran).most_common(1)[0][1] == 6


def test_what_is_lost_is_asked_for_again_and_is_no_failure(sweep, scripted):
    one = sweep(blocks=1)
    audit = audit_of(one, scripted(lambda payload, attempt: "lost" if attempt < 4 else "done", slots=2))
    assert (audit.done, audit.failed) == (3, 0)
    assert Counter(attempt.status for attempt in attempts(one)) == {"abandoned": 9, "done": 3}


def test_a_cell_over_which_every_worker_is_lost_fails_in_the_end(sweep, scripted):
    one = sweep(blocks=1)
    audit = audit_of(one, scripted(lambda payload, attempt: "lost" if payload["label"] == "a=2" else "done"))
    assert (audit.done, audit.failed, audit.missing) == (2, 1, 0)
    assert audit.failures == (("a=2 · block 1", "script says lost"),)
    assert len(attempts(one)) == 2 + 5


def test_out_of_memory_is_a_result_and_later_blocks_are_left_out(sweep, scripted, capfd):
    one, executor = sweep(retries=3), scripted(lambda p, attempt: "out_of_memory" if p["label"] == "a=3" else "done")
    analysis = one.run(progress=False, executor=executor)
    assert str(analysis.audit) == "8/12 runs done, 2 out of memory, 2 left out, 0 failed, 0 missing"
    assert executor.ran.count("a=3") == 2, "not retried, and not tried in blocks 3 and 4"
    (boundary,) = analysis.boundaries
    assert (boundary.label, boundary.runs, boundary.said) == ("a=3", 2, "script says out_of_memory")
    assert boundary.configuration == {"a": 3}
    assert "out of memory: a=3 · block 1" in capfd.readouterr().err
    again = scripted(word_for({}))
    assert audit_of(one, again).out_of_memory == 2
    assert again.ran == [], "a result stays one"


def test_once_out_of_memory_may_be_an_accident(sweep, scripted):
    audit = audit_of(sweep(), scripted(word_for({("a=3", 1): "out_of_memory"})))
    assert str(audit) == "11/12 runs done, 1 out of memory, 0 failed, 0 missing"


def test_more_memory_is_a_new_chance(sweep, scripted):
    word = word_for({("a=3", block): "out_of_memory" for block in range(4)})
    assert audit_of(sweep(memory_limit_gib=1.0), scripted(word)).left_out == 2
    assert sweep(memory_limit_gib=0.5).status().out_of_memory == 2
    assert str(sweep(memory_limit_gib=2.0).status()) == "8/12 runs done, 0 failed, 4 missing"
    assert audit_of(sweep(memory_limit_gib=2.0), scripted(word_for({}))).done == 12


def test_asked_to_retry_it_also_tries_what_was_out_of_memory(sweep, scripted):
    word = word_for({("a=3", block): "out_of_memory" for block in range(4)} | {("a=1", 0): "error"})
    assert audit_of(sweep(), scripted(word)).failed == 1
    assert audit_of(sweep(), scripted(word_for({})), retry_failed=True).done == 12


def test_a_budget_of_runs_leaves_out_the_rest_and_counts_failed_ones(sweep, scripted):
    one, executor = sweep(budget={"runs": 5}, retries=1), scripted(lambda payload, attempt: "error", slots=3)
    assert str(audit_of(one, executor)) == "0/12 runs done, 9 left out, 3 failed, 0 missing"
    assert len(executor.ran) == 5
    assert audit_of(one, executor).left_out == 9
    assert len(executor.ran) == 5, "over all calls"
    assert audit_of(sweep(budget={"runs": 7}), scripted(word_for({}))).done == 2
    assert audit_of(sweep(), scripted(word_for({})), retry_failed=True).done == 12


@pytest.mark.usefixtures("clock")
def test_a_budget_of_minutes_is_wall_time_over_all_calls(sweep, scripted):
    one = sweep(budget={"minutes": 0.1})
    assert str(audit_of(one, scripted(word_for({})))) == "6/12 runs done, 6 left out, 0 failed, 0 missing"
    assert one.standing().spending.seconds == 6
    assert audit_of(one, scripted(word_for({}))).done == 6
    assert audit_of(sweep(budget={"minutes": 0.15}), scripted(word_for({}))).done == 9


def test_a_pause_ends_the_call_after_what_is_under_way_and_the_next_goes_on(sweep, scripted):
    one = sweep()

    def word(payload, attempt):
        if len(executor.ran) == 3:
            (one.folder / "pause").touch()  # as another process does
        return "done"

    executor = scripted(word, slots=2)
    audit = audit_of(one, executor)
    assert one.paused
    assert (audit.done, audit.missing) == (4, 8)
    assert not (one.folder / "pause").exists()
    assert audit_of(one, executor).done == 12
    assert not one.paused


def test_nobody_is_there_to_be_paused(sweep, scripted):
    one = sweep()
    assert one.pause() is False
    one.run(progress=False, executor=scripted(word_for({})))
    assert one.pause() is False
    assert not (one.folder / "pause").exists()


def test_side_by_side_asks_for_as_many_slots(sweep, monkeypatch, scripted):
    made = {}

    def create(name, **how):
        made.update(how, name=name)
        executor = scripted(word_for({}), slots=how.get("slots", 1))
        executor.close = lambda: None
        return executor

    monkeypatch.setattr("workbench.sweep.execution.runner.executors.create", create)
    sweep(side_by_side=3).run(progress=False)
    assert (made["name"], made["slots"]) == ("local", 3)
    made.clear()
    sweep(side_by_side=1).run(progress=False)
    assert "slots" not in made


@pytest.mark.usefixtures("clock")
def test_what_stood_in_a_queue_began_when_it_began(sweep, scripted):
    """A run handed out long before it started (a plot, a cluster) started when it ended less what it took."""
    one = sweep(blocks=1)
    one.run(progress=False, executor=scripted(word_for({}), slots=3))
    for run, attempt in zip(sorted(one.runs(), key=lambda run: run.order), attempts(one), strict=True):
        assert run.started == attempt.finished - 1.0 > attempt.started


def test_nothing_runs_on_when_a_driver_gives_up(sweep, scripted):
    """What is found running afterwards counts as lost, so it must have ended; the executor itself stays open."""
    ends = []

    class Watched(scripted):
        def run(self, jobs, function):
            try:
                yield from super().run(jobs, function)
            finally:
                ends.append(one.status().done)

    one = sweep(objectives=[{"metric": "misspelt", "direction": "maximize"}])
    with pytest.raises(SpecError, match="misspelt") as caught:
        one.run(progress=False, executor=Watched(word_for({}), slots=2))
    assert ends == [1], f"closed while {caught.value} is on its way"
    assert {attempt.status for attempt in attempts(one)} == {"done", "abandoned"}
