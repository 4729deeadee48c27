import numpy as np
import pytest

from workbench.ranking.dense import DenseIndex


def _unit(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_scores_are_cosines_in_order():
    vectors, index = _unit(200), DenseIndex(8)
    for part in np.array_split(vectors, 7):
        index.extend(part)
    assert len(index) == 200
    assert index.scores(vectors[3]) == pytest.approx(vectors @ vectors[3])
    assert np.array_equal(index.vectors, vectors)


def test_it_grows_by_doubling():
    index, rooms = DenseIndex(8), set()
    for vector in _unit(1000):
        index.extend(vector[None])
        rooms.add(id(index._room))
    assert len(rooms) <= 11, "Room is made a few times, not for every vector."


def test_none_is_no_error():
    index = DenseIndex(8)
    index.extend(np.zeros((0, 8), np.float32))
    assert index.scores(_unit(1)[0]).shape == (0,)
