"""Linked and written-out configurations, and conditions: which arms a specification has."""

import pytest

from workbench.errors import SpecError
from workbench.sweep.design.planning import configurations
from workbench.sweep.specification.spec import SweepSpec

GOOD = """name: trial
notebook: notebook.ipynb
parameters:
  a: [1, 2]
objectives: [{metric: speed, direction: maximize}]
"""


def labels(spec):
    return [arm.label for arm in configurations(spec)]


def test_linked_parameters_change_together(spec_of):
    spec = spec_of(parameters={"a": [1, 2]}, linked=[{"b": [True, False], "n_batch": [64, 512]}])
    assert labels(spec) == [
        "a=1, b=on, n_batch=64",
        "a=1, b=off, n_batch=512",
        "a=2, b=on, n_batch=64",
        "a=2, b=off, n_batch=512",
    ]
    assert spec.levels == {"a": (1, 2), "b": (True, False), "n_batch": (64, 512)}


def test_configurations_alone_need_no_grid(spec_of):
    spec = spec_of(parameters={}, configurations=[{"a": 1}, {"a": 2, "b": True}])
    assert labels(spec) == ["a=1", "a=2, b=on"]
    assert spec.levels == {"a": (1, 2), "b": (True,)}


def test_configurations_are_added_to_a_grid(spec_of):
    assert labels(spec_of(configurations=[{"a": 9, "b": False}])) == ["a=1", "a=2", "a=9, b=off"]


def test_a_parameter_that_plays_no_part_is_left_out_and_equals_are_one(spec_of):
    spec = spec_of(parameters={"memory": ["none", "hybrid"], "k": [5, 10]}, when={"k": "memory != 'none'"})
    assert labels(spec) == ["memory=none", "memory=hybrid, k=5", "memory=hybrid, k=10"]
    assert "k" not in configurations(spec)[0].parameters


def test_where_leaves_out_what_cannot_be(spec_of):
    spec = spec_of(parameters={"n_ubatch": [64, 512]}, fixed={"n_batch": 128}, where=["n_ubatch <= n_batch"])
    assert labels(spec) == ["n_ubatch=64"]


def test_what_plays_no_part_may_still_be_spoken_of(spec_of):
    spec = spec_of(parameters={"m": ["none", "hybrid"], "k": [5, 10]}, when={"k": "m != 'none'"}, where=["k > 5"])
    assert labels(spec) == ["m=none", "m=hybrid, k=10"]


def test_a_condition_on_what_a_configuration_leaves_open_is_refused(spec_of):
    with pytest.raises(SpecError, match="'b', which a configuration does not set"):
        configurations(spec_of(parameters={}, configurations=[{"a": 1, "b": 2}, {"a": 2}], where=["b != 3"]))


def test_a_baseline_starts_from_the_first_row(spec_of):
    spec = spec_of(parameters={"a": [1, 2]}, linked=[{"b": [True, False]}], baseline={"engine": "baseline"})
    assert configurations(spec)[-1].parameters == {"a": 1, "b": True, "engine": "baseline"}


def test_conditions_that_leave_nothing_are_refused(spec_of):
    with pytest.raises(SpecError, match="leave none of 2"):
        configurations(spec_of(where=["a > 9"]))


@pytest.mark.parametrize(
    ("added", "line", "key", "says"),
    [
        ("linked: [{b: [true], n_batch: [1, 2]}]", 6, "linked[0]", "equally many levels.*b: 1, n_batch: 2"),
        ("linked: [{b: [], n_batch: []}]", 6, "linked[0].b", "empty"),
        ("linked: [{a: [1, 2]}]", 6, "linked[0].a", "in `parameters` already"),
        ("linked: [{bb: [1, 2]}]", 6, "linked[0].bb", "Unknown parameter"),
        ("configurations: [{bb: 1}]", 6, "configurations[0].bb", "Unknown parameter"),
        ("configurations: [{a: 1}]", 3, "parameters", "twice"),
        ("where: ['a <']", 6, "where[0]", "no condition"),
        ("where: ['aa > 1']", 6, "where[0]", "Unknown parameter 'aa'.*Did you mean 'a'"),
        ("where: ['a > ''x''']", 6, "where[0]", "cannot be told for a=1"),
        ("when: {b: a > 1}", 6, "when.b", "Unknown varied parameter 'b'"),
        ("when: {a: f(a)}", 6, "when.a", "more than a condition"),
        ("configurations: [{n_batch: 0}]", 6, "configurations[0].n_batch", "at least 1"),
        ("within: [b]", 6, "within[0]", "Unknown varied parameter 'b'"),
        ("within: [a]\nbaseline: {engine: baseline}", 7, "baseline", "belongs to no situation"),
        ("where: a > 1", 6, "where", "list is wanted"),
    ],
)
def test_what_cannot_run_is_refused_with_line_and_remedy(specification, added, line, key, says):
    with pytest.raises(SpecError, match=says) as caught:
        SweepSpec.from_file(specification(f"{GOOD}{added}\n"))
    assert (caught.value.key, caught.value.line) == (key, line)
