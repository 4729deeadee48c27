"""Whole plots as jobs: which cells travel together, and what of a plot counts that did not get to its end."""

from collections import Counter

import pytest

from workbench.storage.ledger import Ledger
from workbench.sweep import Sweep
from workbench.sweep.execution.runner import LEDGER

SLOW = {"parameters": {"model": ["x", "y"], "a": [1, 2, 3]}, "slow": ["model"], "blocks": 2, "timeout_s": 10}


@pytest.fixture
def slow(sweep, notebook):
    notebook("a = 1\nmodel = 'x'")
    return lambda **changes: sweep(**{**SLOW, **changes})


def fate(words):
    """The first attempt at a cell (label, block) ends as told; everything else is done."""
    return lambda payload, attempt: words.get((payload["label"], payload["block"]), "done") if attempt == 1 else "done"


def statuses(sweep):
    with Ledger(sweep.folder / LEDGER, readonly=True) as ledger:
        return Counter(attempt.status for attempt in ledger.attempts())


def run(sweep, executor, **how):
    return sweep.run(progress=False, executor=executor, **how).audit


def in_order(sweep, model, block):
    """Labels of one whole plot in the order it runs."""
    return [c.configuration.label for c in sweep.plan() if c.block == block and c.configuration.value("model") == model]


def test_one_job_a_whole_plot_with_the_sum_of_deadlines(slow, scripted):
    one, executor = slow(twin=True), scripted(fate({}))
    assert run(one, executor).done == 14
    assert Counter(len(job.payload["cells"]) for job in executor.jobs) == {3: 4, 1: 2}
    assert {job.timeout_s / len(job.payload["cells"]) for job in executor.jobs} == {10}
    (twin, *_) = [job for job in executor.jobs if len(job.payload["cells"]) == 1]
    assert twin.payload["cells"][0]["label"] == "twin"
    assert executor.ran == [cell.configuration.label for cell in one.plan()]
    assert len({job.id for job in executor.jobs}) == 6


def test_an_error_in_a_plot_is_that_cells_alone(slow, scripted):
    one = slow()
    first = in_order(one, "x", 0)[0]
    audit = run(one, scripted(fate({(first, 0): "error"})))
    assert (audit.done, audit.failed) == (11, 1)
    assert audit.failures == ((f"{first} · block 1", "script says error"),)


def test_retried_in_a_plot_of_its_own(slow, scripted):
    one = slow(retries=1)
    executor = scripted(fate({(in_order(one, "x", 0)[1], 0): "error"}))
    assert run(one, executor).done == 12
    assert Counter(len(job.payload["cells"]) for job in executor.jobs) == {3: 4, 1: 1}


@pytest.mark.parametrize("word", ["died", "killed"])
def test_what_had_ended_counts_and_what_had_not_begun_is_asked_for_again(slow, scripted, word):
    """ "died": the kernel, and the plot ends with a result; "killed": the plot's own process, which leaves none."""
    one = slow()
    first, second, third = in_order(one, "y", 1)
    executor = scripted(fate({(second, 1): word}))
    audit = run(one, executor)
    assert (audit.done, audit.failed, audit.missing) == (11, 1, 0)
    assert audit.failures[0][0] == f"{second} · block 2"
    assert executor.ran.count(first) == 2, "once a block: not measured again"
    assert statuses(one) == {"done": 11, "failed": 1, "abandoned": 1}
    assert executor.jobs[-1].payload["cells"][0]["label"] == third or third in executor.ran


def test_out_of_memory_in_a_plot_is_the_cells_result(slow, scripted):
    one = slow()
    audit = run(one, scripted(lambda p, attempt: "out_of_memory" if p["label"] == "model=y, a=3" else "done"))
    assert str(audit) == "10/12 runs done, 2 out of memory, 0 failed, 0 missing"


def test_a_lost_plot_keeps_what_had_ended_and_asks_for_the_rest(slow, scripted):
    one = slow(blocks=1)
    second = in_order(one, "x", 0)[1]
    executor = scripted(fate({(second, 0): "lost"}), slots=2)
    assert run(one, executor).done == 6
    assert statuses(one) == {"done": 6, "abandoned": 2}


def test_a_plot_that_says_nothing_of_its_cells_did_not_do_its_work(slow, scripted):
    class Silent(scripted):
        def _end(self, job):
            from workbench.interfaces import Outcome

            return Outcome(status="done", result={"cells": {}}, error=None, elapsed_s=1.0, host="h")

    audit = run(slow(blocks=1), Silent(fate({})))
    assert (audit.failed, audit.failures[0][1]) == (6, "the plot left no result of any of its cells")


def test_a_budget_cuts_a_plot_short(slow, scripted):
    one, executor = slow(budget={"runs": 4}), scripted(fate({}))
    assert str(run(one, executor)) == "4/12 runs done, 8 left out, 0 failed, 0 missing"
    assert [len(job.payload["cells"]) for job in executor.jobs] == [3, 1]


def test_resumed_plots_hold_what_is_missing_only(slow, scripted):
    one = slow(budget={"runs": 4})
    run(one, scripted(fate({})))
    executor = scripted(fate({}))
    assert run(slow(), executor).done == 12
    assert [len(job.payload["cells"]) for job in executor.jobs] == [2, 3, 3]


def test_real_notebooks_in_whole_plots_and_whole_plots_side_by_side(specification):
    """One kernel a plot, which the notebook tells by its process; each run has its own record and executed notebook."""
    path = specification(
        """name: real
notebook: notebook.ipynb
parameters: {m: [x, y], a: [1, 2]}
slow: [m]
side_by_side: 2
twin: true
blocks: 1
timeout_s: 60
objectives: [{metric: recall, direction: maximize}]
""",
        "a = 1\nm = 'x'",
        "import os, workbench\nworkbench.record(recall=10.0 * a, pid=os.getpid(), info={'told': [m, a]})",
    )
    sweep = Sweep.from_file(path)
    analysis = sweep.run(progress=False)
    assert (analysis.audit.done, analysis.audit.failures) == (5, ())
    told = {run.cell.configuration.label: (run.record.info["told"], run.record.metrics["pid"]) for run in sweep.runs()}
    assert [told[label][0] for label in ("m=x, a=2", "m=y, a=1")] == [["x", 2], ["y", 1]]
    pids = {label: pid for label, (_, pid) in told.items()}
    assert pids["m=x, a=1"] == pids["m=x, a=2"] != pids["m=y, a=1"] == pids["m=y, a=2"]
    assert pids["twin"] not in {pid for label, pid in pids.items() if label != "twin"}
    assert len(list((sweep.folder / "runs").glob("*/notebook.ipynb"))) == 5
