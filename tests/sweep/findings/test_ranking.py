import math
import random
from statistics import NormalDist

import pytest

from workbench.sweep.design.planning import cells_of_block, plan
from workbench.sweep.findings.ranking import finalists, undecided


def noisy(speeds, size=0.02, blocks=10):
    """Speeds by the parameter a. Noise is normal by its quantiles, so that an estimate from all blocks is the truth."""
    quantiles = [NormalDist().inv_cdf((k + 0.5) / blocks) for k in range(blocks)]
    mixed = {a: random.Random(a).sample(quantiles, blocks) for a in speeds}

    def measure(cell, order):
        a = cell.configuration.parameters["a"]
        return {"speed": speeds[a] * math.exp(size * mixed[a][cell.block % blocks])}

    return measure


def test_only_what_may_be_best_gets_further_blocks(spec_of, driven):
    spec = spec_of(parameters={"a": [1, 2, 3, 4]}, more_blocks=10)
    _, _, asked = driven(spec, noisy({1: 1.0, 2: 1.5, 3: 1.53, 4: 0.7}, size=0.03))
    assert asked[0] == {"a=1", "a=2", "a=3"}  # the reference is among them; the slow one is not
    assert all(labels == {"a=1", "a=2", "a=3"} for labels in asked)


def test_a_clear_winner_needs_none(spec_of, driven):
    spec = spec_of(parameters={"a": [1, 2, 3]}, more_blocks=10)
    assert driven(spec, noisy({1: 1.0, 2: 1.5, 3: 1.2}))[2] == []


def test_a_tie_that_does_not_matter_is_decided(spec_of, driven):
    spec = spec_of(parameters={"a": [1, 2, 3]}, more_blocks=10)
    assert driven(spec, noisy({1: 1.0, 2: 1.5, 3: 1.5}, size=0.001))[2] == []


def test_blocks_stop_as_soon_as_it_is_decided(spec_of, driven):
    spec = spec_of(parameters={"a": [1, 2]}, more_blocks=40)
    _, _, asked = driven(spec, noisy({1: 1.0, 2: 1.06}, size=0.06))
    assert len(asked) in (8, 20)  # at a look, 18 or 30 blocks in all, not just anywhere


def test_between_looks_the_answer_stays_and_runs_in_any_order_give_it(spec_of, finished):
    spec = spec_of(parameters={"a": [1, 2, 3]}, more_blocks=10)
    measure = noisy({1: 1.0, 2: 1.5, 3: 1.51})
    runs = finished(plan(spec), measure)
    first = undecided(spec, runs)
    for block in range(4):
        more = finished(cells_of_block(spec, first, "more", block), measure, first=len(runs) + 1)
        runs = [*runs, *more]
        assert undecided(spec, runs) == undecided(spec, runs[::-1]) == first


def test_when_no_decision_is_possible_nothing_is_asked_for(spec_of, finished):
    measure = noisy({1: 1.0, 2: 1.5, 3: 1.51})
    few = spec_of(parameters={"a": [1, 2, 3]}, blocks=3, more_blocks=4)  # ten blocks decide, and seven never will
    assert undecided(few, finished(plan(few), measure)) == set()
    early = spec_of(parameters={"a": [1, 2, 3]}, blocks=3, more_blocks=12)
    assert undecided(early, finished(plan(early), measure)) == {"a=1", "a=2", "a=3"}
    none = spec_of(parameters={"a": [1, 2, 3]})
    assert undecided(none, finished(plan(none), measure)) == set()
    assert undecided(early, []) == set()


def test_an_interval_far_too_wide_for_what_is_left_is_given_up(spec_of, finished):
    spec = spec_of(parameters={"a": [1, 2]}, blocks=100, more_blocks=2)
    # a difference of exactly the band: neither beyond it nor within it, and two blocks will not change that
    edge = noisy({1: 1.0, 2: 1.01}, size=0.005, blocks=100)
    assert undecided(spec, finished(plan(spec), edge)) == set()


def test_what_cannot_be_compared_gets_no_further_blocks(spec_of, finished):
    spec = spec_of(
        parameters={"a": [1, 2]}, more_blocks=10, objectives=[{"metric": "decode_tps", "direction": "maximize"}]
    )
    noise = noisy({1: 1.0, 2: 1.01}, size=0.05)

    def measure(cell, order):
        shorter = cell.configuration.parameters["a"] == 2
        return {"decode_tps": noise(cell, order)["speed"], "output_tokens": 16 if shorter else 32}

    assert undecided(spec, finished(plan(spec), measure)) == set()


def test_who_breaks_the_quality_limit_is_no_candidate(spec_of, finished):
    quality = [{"metric": "perplexity", "direction": "minimize"}]
    spec = spec_of(parameters={"a": [1, 2, 3]}, more_blocks=10, quality=quality)
    noise = noisy({1: 1.0, 2: 1.5, 3: 1.51})

    def measure(cell, order):
        return {**noise(cell, order), "perplexity": 13.0 if cell.configuration.parameters["a"] == 3 else 12.0}

    assert undecided(spec, finished(plan(spec), measure)) == set()


def test_baseline_and_twin_come_along(spec_of, finished):
    spec = spec_of(parameters={"a": [1, 2]}, baseline={"engine": "baseline"}, twin=True, more_blocks=10)
    measure = noisy({1: 1.5, 2: 1.53})
    found = undecided(spec, finished(plan(spec), measure))
    assert found == {"a=1", "a=2", "baseline", "twin"}


def test_each_situation_has_its_own_ranking(spec_of, finished):
    spec = spec_of(parameters={"a": [1, 2, 3], "load": [1, 8]}, within=["load"], blocks=14, more_blocks=14)
    noise = noisy({1: 1.0, 2: 1.5, 3: 1.53}, size=0.03, blocks=14)

    def measure(cell, order):
        alone = cell.configuration.parameters["load"] == 1
        return {"speed": noise(cell, order)["speed"] * (2 if alone and cell.configuration.parameters["a"] == 3 else 1)}

    assert undecided(spec, finished(plan(spec), measure)) == {"a=1, load=8", "a=2, load=8", "a=3, load=8"}


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [({1: 1.0, 2: 1.5, 3: 1.2}, ("a=2", "a=1")), ({1: 1.5, 2: 1.0, 3: 0.9}, ())],
)
def test_finalists_are_the_recommended_and_their_reference(spec_of, finished, speeds, expected):
    spec = spec_of(parameters={"a": [1, 2, 3]}, confirm=6)
    assert finalists(spec, finished(plan(spec), noisy(speeds))) == expected


def test_finalists_of_several_objectives_are_listed_once(spec_of, finished):
    objectives = [{"metric": "speed", "direction": "maximize"}, {"metric": "bytes", "direction": "minimize"}]
    spec = spec_of(parameters={"a": [1, 2, 3]}, objectives=objectives)
    noise = noisy({1: 1.0, 2: 1.5, 3: 1.2})

    def measure(cell, order):
        return {**noise(cell, order), "bytes": {1: 100.0, 2: 90.0, 3: 50.0}[cell.configuration.parameters["a"]]}

    assert finalists(spec, finished(plan(spec), measure)) == ("a=2", "a=1", "a=3")
    assert finalists(spec, []) == ()
