import math

import numpy as np
import pytest


def shares(analysis, metric="speed"):
    return {one.parameter: one for one in analysis.importances if one.metric == metric}


def effects(a, b, both=0.0, size=0.0):
    """Logarithms: steps of a, of b, and what both together add, as sums that are known."""

    def measure(parameters, arm, block, order):
        x, y = parameters["a"], parameters["b"]
        noise = size * np.random.default_rng([block, order]).standard_normal()
        return {"speed": math.exp(a * x + b * y + both * x * y + noise)}

    return measure


def test_shares_are_those_worked_out_by_hand(spec_of, simulated):
    spec = spec_of(parameters={"a": [-1, 1], "b": [-1, 1]})
    found = shares(simulated(spec, effects(0.3, 0.4, 0.1)))
    total = 0.3**2 + 0.4**2 + 0.1**2
    assert {name: one.share for name, one in found.items()} == pytest.approx(
        {"a": 0.09 / total, "b": 0.16 / total, "a × b": 0.01 / total}
    )
    assert list(found) == ["b", "a", "a × b"]  # the most important first
    assert found["a"].low == pytest.approx(found["a"].share)


def test_intervals_hold_the_truth_and_need_six_blocks(spec_of, simulated):
    spec = spec_of(parameters={"a": [-1, 1], "b": [-1, 1]})
    found = shares(simulated(spec, effects(0.3, 0.4, size=0.1)))["a"]
    assert found.low < 0.36 < found.high
    assert found.high - found.low < 0.3
    few = shares(simulated(spec_of(parameters={"a": [-1, 1], "b": [-1, 1]}, blocks=5), effects(0.3, 0.4)))["a"]
    assert (few.low, few.high) == (None, None)
    assert few.share == pytest.approx(0.36)


def test_unbalanced_grids_give_a_term_only_what_nobody_else_explains(spec_of, simulated):
    spec = spec_of(parameters={"a": [-1, 0, 1], "b": [-1, 0, 1]}, where=["not (a == 1 and b == 1)"])
    found = shares(simulated(spec, effects(0.3, 0.0)))
    assert found["a"].share > 0.9
    assert found["b"].share == pytest.approx(0.0, abs=1e-12)


def test_a_parameter_that_plays_no_part_has_a_level_of_its_own(spec_of, simulated):
    spec = spec_of(parameters={"a": [0, 1], "b": [1, 2]}, when={"b": "a == 1"})

    def measure(parameters, arm, block, order):
        return {"speed": 1.0 + parameters["a"] * parameters.get("b", 0)}

    found = shares(simulated(spec, measure))
    assert 0 < found["b"].share < 1  # between b=1 and b=2; that a is on says "b" by itself


def test_linked_parameters_are_one(spec_of, simulated):
    linked = [{"a": [1, 2], "n_batch": [64, 512]}]
    spec = spec_of(parameters={"b": [1, 2]}, linked=linked)
    found = shares(simulated(spec, lambda parameters, *_: {"speed": float(parameters["a"])}))
    assert found["a, n_batch"].share == pytest.approx(1.0)


def test_what_situations_do_is_taken_out(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2], "b": [1, 2]}, within=["b"])
    measure = effects(0.1, 5.0)
    found = shares(simulated(spec, measure))
    assert set(found) == {"a", "a × b"}
    assert found["a"].share == pytest.approx(1.0)


def test_blocks_and_configurations_with_gaps_are_left_out(spec_of, simulated):
    spec = spec_of(parameters={"a": [1, 2, 3], "b": [1, 2]})
    inner = effects(0.3, 0.0)

    def measure(parameters, arm, block, order):
        lost = parameters["a"] == 3 or (block == 0 and parameters["a"] == 2)
        return None if lost else inner(parameters, arm, block, order)

    found = shares(simulated(spec, measure))
    assert found["a"].share == pytest.approx(1.0)


def test_nothing_that_differs_means_nothing_that_matters(spec_of, simulated):
    assert simulated(spec_of(), lambda *_: {"speed": 2.0}).importances == []
    assert simulated(spec_of(), lambda *_: {"speed": 0.0}).importances == []
    assert simulated(spec_of(), lambda *_: None).importances == []
