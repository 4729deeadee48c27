"""Workloads: every configuration under each, compared within it."""

import pytest

from workbench.errors import SpecError
from workbench.sweep.design.planning import configurations, plan, reference, situations

TWO = {"chat": {"n_batch": 1}, "agents": {"n_batch": 8}}


def test_every_configuration_meets_every_workload(spec_of):
    arms = configurations(spec_of(workloads=TWO, fixed={"engine": "tuned"}))
    assert [arm.label for arm in arms] == [
        "a=1, workload=chat",
        "a=1, workload=agents",
        "a=2, workload=chat",
        "a=2, workload=agents",
    ]
    assert arms[1].parameters == {"engine": "tuned", "n_batch": 8, "a": 1}
    assert arms[1].varied == {"a": 1, "workload": "agents"}
    assert arms[1].value("workload") == "agents"


def test_a_notebook_that_asks_for_it_is_told_the_name(spec_of, notebook):
    notebook("a = 1\nn_batch = 1\nworkload = ''")
    assert configurations(spec_of(workloads=TWO))[1].parameters == {"n_batch": 8, "a": 1, "workload": "agents"}


def test_each_workload_has_a_baseline_of_its_own_and_the_twin_is_the_first_ones(spec_of):
    spec = spec_of(workloads=TWO, baseline={"engine": "baseline"}, twin=True)
    groups = situations(spec, configurations(spec))
    assert [(name, [arm.label for arm in arms]) for name, arms in groups] == [
        ("workload=chat", ["a=1, workload=chat", "a=2, workload=chat", "baseline, workload=chat", "twin"]),
        ("workload=agents", ["a=1, workload=agents", "a=2, workload=agents", "baseline, workload=agents"]),
    ]
    first, second = (reference(arms) for _, arms in groups)
    assert (first.parameters["n_batch"], second.parameters["n_batch"]) == (1, 8)
    assert groups[0][1][-1].parameters == first.parameters


def test_conditions_may_speak_of_workloads(spec_of):
    spec = spec_of(workloads=TWO, where=["workload == 'chat' or a == 1"], when={"a": "n_batch > 1"})
    assert [arm.label for arm in configurations(spec)] == ["workload=chat", "a=1, workload=agents"]


def test_workloads_that_run_the_same_are_refused(spec_of):
    with pytest.raises(SpecError, match=r"workloads\.two: 'a=1, workload=two' runs the same as 'a=1, workload=one'"):
        configurations(spec_of(workloads={"one": {"n_batch": 1}, "two": {"n_batch": 1}}))


def test_the_cells_of_a_sweep_do_not_depend_on_a_second_workload(spec_of):
    alone = plan(spec_of(workloads={"chat": TWO["chat"]}))
    assert {cell.id for cell in alone} < {cell.id for cell in plan(spec_of(workloads=TWO))}


def test_figures_compare_within_the_workload_and_know_its_parameters(spec_of, simulated):
    spec = spec_of(workloads=TWO, load="n_batch")
    analysis = simulated(spec, lambda p, arm, block, order: {"speed": p["a"] * p["n_batch"] + block / 10})
    assert [(one.label, one.reference) for one in analysis.comparisons] == [
        ("a=2, workload=chat", "a=1, workload=chat"),
        ("a=2, workload=agents", "a=1, workload=agents"),
    ]
    assert sorted(set(zip(analysis.frame["workload"], analysis.frame["n_batch"], strict=True))) == [
        ("agents", 8),
        ("chat", 1),
    ]
    assert len(analysis.recommendations) == 2
