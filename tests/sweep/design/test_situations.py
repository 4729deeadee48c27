"""Within a situation configurations are compared with its own first; linked levels that repeat have no main effect."""

import pytest

BASE = {"short": 1.0, "long": 10.0}


def speed(parameters, arm, block, order):
    """Twice as fast with b; ten times slower in the long situation."""
    return {"speed": BASE[parameters["engine"]] * (2.0 if parameters["b"] else 1.0) * (1 + 0.001 * ((7 * order) % 5))}


@pytest.fixture
def analysis(spec_of, simulated):
    spec = spec_of(parameters={"engine": ["short", "long"], "b": [False, True]}, within=["engine"])
    return simulated(spec, speed)


def test_each_is_compared_with_the_first_of_its_own_situation(analysis):
    assert {(one.label, one.reference) for one in analysis.comparisons} == {
        ("engine=short, b=on", "engine=short, b=off"),
        ("engine=long, b=on", "engine=long, b=off"),
    }
    for one in analysis.comparisons:
        assert one.effect.ratio == pytest.approx(2, rel=0.02), "the situations are not compared with each other"
        assert one.verdict == "better"


def test_there_is_a_recommendation_for_each_situation(analysis):
    headlines = [one.headline for one in analysis.recommendations]
    assert headlines[0].startswith("engine=short: Use engine=short, b=on")
    assert headlines[1].startswith("engine=long: Use engine=long, b=on")


def test_without_situations_there_is_one_reference(spec_of, simulated):
    analysis = simulated(spec_of(parameters={"engine": ["short", "long"], "b": [False, True]}), speed)
    assert {one.reference for one in analysis.comparisons} == {"engine=short, b=off"}
    assert len(analysis.recommendations) == 1


def test_linked_levels_that_repeat_have_no_effect_of_their_own(spec_of, simulated):
    """b=on stands in two rows, with different engines: what it does by itself cannot be told."""
    linked = [{"b": [False, True, True], "engine": ["short", "short", "long"]}]
    analysis = simulated(spec_of(parameters={"a": [1]}, linked=linked), speed)
    assert analysis.main_effects == []
    assert [one.reference for one in analysis.comparisons] == ["a=1, b=off, engine=short"] * 2


def test_linked_levels_that_stand_once_have_one(spec_of, simulated):
    analysis = simulated(
        spec_of(parameters={"a": [1]}, linked=[{"b": [False, True], "engine": ["short", "long"]}]), speed
    )
    assert {one.parameter for one in analysis.main_effects} == {"b", "engine"}
    assert all(one.comparison.effect.ratio == pytest.approx(20, rel=0.02) for one in analysis.main_effects)


def test_the_best_levels_may_be_a_combination_that_is_not_run(spec_of, simulated):
    spec = spec_of(parameters={"b": [False, True], "n_batch": [1, 2]}, where=["not (b and n_batch == 2)"])

    def additive(parameters, arm, block, order):
        return {"speed": (3.0 if parameters["b"] else 1.0) * (2.0 if parameters["n_batch"] == 2 else 1.0)}

    [recommendation] = simulated(spec, additive).recommendations
    assert recommendation.configuration == {"b": True, "n_batch": 1}
