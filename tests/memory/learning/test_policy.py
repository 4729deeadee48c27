"""The policy: scores, sure places, and inclusion probabilities that are what they say."""

import numpy as np
import pytest

from workbench.memory.learning.policy import Rules, Weights, choose, inclusion, ranked, standardised, sure_places

SCORES = np.array([0.0, 5.0, 1.0, 4.0, 3.0, 2.0])


def test_standardised():
    assert standardised(np.array([1.0, 2.0, 3.0])) == pytest.approx([-1.2247, 0, 1.2247], abs=1e-4)
    assert standardised(np.array([2.0, 2.0])).tolist() == [0, 0]


def test_scores_are_linear():
    features = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    assert ranked(np.ones(3), features, Weights(own=1, asked=2, near=-3)).tolist() == [2, 3, -2]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, [1, 3, 4]), (0.34, [0, 1, 3]), (0.5, [0, 1, 3]), (0.67, [0, 1, 3]), (1.0, [0, 1, 2])]
)
def test_the_first_choices_of_the_base_are_sure(share, expected):
    assert sure_places(SCORES, 3, Rules(share, 0.0)).tolist() == expected


def test_equal_scores_keep_the_order_of_the_base():
    assert sure_places(np.zeros(5), 3, Rules(0.0, 0.0)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("rules", [Rules(0.0, 0.0), Rules(0.5, 0.4), Rules(1.0, 0.4)])
@pytest.mark.parametrize("k", [1, 4, 6, 9])
def test_inclusion_is_how_often_each_is_chosen(rules, k):
    expected = inclusion(SCORES, k, rules)
    assert expected.sum() == pytest.approx(min(k, 6))
    draws, times = np.random.default_rng(3), 4000
    counts = np.zeros(6)
    for _ in range(times):
        chosen = choose(SCORES, k, rules, draws)
        assert len(set(chosen.tolist())) == min(k, 6)
        counts[chosen] += 1
    # five standard deviations of a binomial share
    assert np.all(np.abs(counts / times - expected) <= 5 * np.sqrt(expected * (1 - expected) / times) + 1e-9)


def test_without_a_generator_there_is_no_draw():
    assert choose(SCORES, 2, Rules(0.0, 0.9), None).tolist() == [1, 3]
