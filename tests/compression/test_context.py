"""A piece is worth something by itself and something by what surrounds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.compression.context import REACH, in_context, smoothed


def spike(count, place):
    scores = np.zeros(count, np.float32)
    scores[place] = 5
    return scores


def test_a_short_piece_is_judged_by_its_surroundings():
    own = spike(60, 30)
    short, long = (in_context(own, np.full(60, words, np.float32)) for words in (1, 100))
    assert long[30] > short[30], "what says much speaks for itself"
    assert short[29] > long[29], "what says little takes after what stands beside it"
    assert short[29] > short[20] > short[0]


def test_an_answer_stays_with_its_question():
    own, words = spike(60, 30), np.full(60, 50, np.float32)
    alone, together = in_context(own, words), in_context(own, words, beside=0.5)
    assert together[31] - together[33] > alone[31] - alone[33]
    assert together[30] > together[31], "the match itself comes first"


def test_the_mean_of_equal_scores_is_the_score():
    assert smoothed(np.ones(50, np.float32)) == pytest.approx(1), "also at the ends"
    assert smoothed(np.full(1, 3.0, np.float32)) == pytest.approx(3)


def test_the_bell_reaches_so_far():
    around = smoothed(spike(101, 50))
    assert around[50] == around.max()
    assert around[50 + int(REACH)] / around[50] == pytest.approx(np.exp(-0.5), rel=1e-3)
    assert around[0] == 0


@given(st.lists(st.floats(-5, 5, width=32), max_size=60))
def test_any_scores_give_as_many_finite_ones(values):
    own = np.array(values, np.float32)
    found = in_context(own, np.ones(len(own), np.float32), beside=0.25)
    assert found.shape == own.shape
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
