import numpy as np
import pytest

from workbench.ranking.fusion import logistic, reciprocal_ranks, standardised, weighted_sum


def test_standardised_has_mean_0_and_deviation_1():
    scores = standardised(np.array([[1, 2, 9], [5, 5, 5]], np.float32))
    assert scores[0].mean() == pytest.approx(0, abs=1e-6)
    assert scores[0].std() == pytest.approx(1)
    assert not scores[1].any(), "Where all are equal nothing is said, and nothing is divided by 0."


def test_a_weighted_sum_does_not_depend_on_scale():
    one, other = np.array([3, 1, 2], np.float32), np.array([0.1, 0.3, 0.2], np.float32)
    assert weighted_sum([one, other], [1, 0.5]) == pytest.approx(
        weighted_sum([one * 100 + 7, other], [1, 0.5]), abs=1e-5
    )
    assert weighted_sum([one, other], [1, 0.5]).argmax() == 0
    assert weighted_sum([one, other], [0.5, 1]).argmax() == 1


def test_reciprocal_ranks_as_published():
    found = reciprocal_ranks([np.array([3, 1, 2], np.float32), np.array([1, 2, 3], np.float32)], [1, 1])
    assert found == pytest.approx([1 / 61 + 1 / 63, 1 / 63 + 1 / 62, 1 / 62 + 1 / 61])


def test_equal_scores_share_their_places():
    found = reciprocal_ranks([np.array([0, 5, 0, 0], np.float32)], [1])
    assert found == pytest.approx([1 / 63, 1 / 61, 1 / 63, 1 / 63])


def test_logistic_does_not_overflow():
    assert logistic(np.array([-1e4, 0, 1e4], np.float32)) == pytest.approx([0, 0.5, 1])
