"""Whatever the ledger holds and however runs end: every planned cell is in exactly one state, and none is forgotten."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.storage import FolderLock
from workbench.storage.ledger import Attempt, Ledger
from workbench.sweep.design.planning import plan
from workbench.sweep.execution.driver import Driver
from workbench.sweep.execution.planners import Agenda, planned
from workbench.sweep.execution.spending import Spending
from workbench.sweep.execution.standing import Standing
from workbench.sweep.findings import ranking
from workbench.sweep.specification.parts import BudgetSpec

REASONS = ("error", "timeout", "out_of_memory", "died", "lost")
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def attempt(sequence, cell, status, reason=None, limit=None, number=1, started=0.0, took=1.0):
    payload = {"memory_limit_bytes": limit} if reason == "out_of_memory" else None
    return Attempt(
        sequence=sequence,
        cell=cell,
        attempt=number,
        status=status,
        started=started,
        finished=None if status == "running" else started + took,
        host="h",
        payload=payload,
        error=reason,
        reason=reason,
    )


ATTEMPTS = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from(["done", "failed", "failed", "failed", "abandoned", "running"]),
        st.sampled_from(REASONS),
        st.sampled_from([None, 2**29, 2**31]),
    ),
    max_size=40,
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "budget": st.fixed_dictionaries(
            {}, optional={"runs": st.integers(1, 15), "minutes": st.floats(0.01, 1, allow_nan=False)}
        ),
        "memory_limit_gib": st.sampled_from([0.5, 1.0, 2.0]),
    },
)


def adds_up(audit):
    return audit.planned == audit.done + audit.failed + audit.out_of_memory + audit.left_out + audit.missing


@settings(max_examples=80, **QUIET)
@given(ledger=ATTEMPTS, limits=LIMITS)
def test_an_audit_adds_up_whatever_the_ledger_holds(spec_of, ledger, limits):
    spec = spec_of(parameters={"a": [1, 2, 3]}, blocks=4, **limits)
    cells = plan(spec)
    noted = [
        attempt(number, cells[at].id, status, None if status == "done" else reason, limit, number)
        for number, (at, status, reason, limit) in enumerate(ledger, 1)
    ]
    standing = Standing(spec, cells, noted)
    audit = standing.audit()
    assert adds_up(audit)
    assert audit.planned == 12
    assert audit.done == len({one.cell for one in noted if one.status == "done"})
    assert audit.failed == len(audit.failures)
    assert sum(boundary.runs for boundary in standing.boundaries()) == audit.out_of_memory
    step_by_step = Standing(spec, cells, [])
    for one in noted:
        step_by_step.note(one)
    assert step_by_step.audit() == audit, "told one by one it comes to the same"


@settings(max_examples=15, **QUIET)
@given(
    words=st.lists(st.sampled_from(["done", "done", "killed", *REASONS]), min_size=1, max_size=30),
    slots=st.integers(1, 4),
    seed=st.integers(0, 99),
    slow=st.booleans(),
    retries=st.integers(0, 2),
    limits=LIMITS,
)
def test_no_run_is_silent_however_they_end(spec_of, scripted, monkeypatch, words, slots, seed, slow, retries, limits):
    monkeypatch.setattr("workbench.sweep.execution.books._facts", lambda spec: {})
    monkeypatch.setattr(ranking, "undecided", lambda spec, runs: frozenset(["a=1", "a=2"]))
    monkeypatch.setattr(ranking, "finalists", lambda spec, runs: ("a=1", "a=2") if runs else ())
    script = iter(words * 200)
    with tempfile.TemporaryDirectory() as folder:
        spec = spec_of(
            parameters={"a": [1, 2, 3]},
            blocks=3,
            results=folder,
            retries=retries,
            slow=["a"] if slow else [],
            more_blocks=1,
            confirm=1,
            **limits,
        )
        executor = scripted(lambda payload, number: next(script), slots=slots, seed=seed)
        with FolderLock(folder), Ledger(Path(folder) / "ledger.sqlite") as ledger:
            driver = Driver(spec, Path(folder), ledger)
            driver.run(executor, lambda job: {}, again=False, progress=False)
            attempts = ledger.attempts()
        standing = Standing(spec, planned(spec, Agenda(spec, Path(folder))), attempts)
        audit = standing.audit()
        assert adds_up(audit)
        assert audit.missing == 0, "every run ended, or was left out for a reason"
        assert "running" not in {one.status for one in attempts}
        done = Counter(one.cell for one in attempts if one.status == "done")
        assert set(done.values()) <= {1}
        assert audit.done == len(done)
        assert adds_up(standing.audit("grid"))
        assert standing.audit("grid").planned == 9
        if "runs" in limits.get("budget", {}):
            assert sum(one.status in ("done", "failed") for one in attempts) <= limits["budget"]["runs"]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [([], 0), ([(0, 5), (10, 5)], 10), ([(0, 10), (2, 3)], 10), ([(2, 3), (0, 4)], 5), ([(0, 1), (1, 1)], 2)],
)
def test_runs_side_by_side_cost_their_time_once(times, seconds):
    spending = Spending(BudgetSpec(minutes=10 / 60))
    for number, (started, took) in enumerate(times):
        spending.add(attempt(number, "c", "failed", "error", number=number, started=float(started), took=float(took)))
    spending.add(attempt(99, "c", "abandoned", "lost", number=99, took=1e9))
    assert spending.seconds == seconds
    assert spending.runs == len(times)
    assert spending.over == (seconds >= 10)
