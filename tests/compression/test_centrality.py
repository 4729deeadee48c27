"""The walk on the graph of what is alike stays where most is alike, and starts where it is told to."""

import numpy as np
import pytest

from workbench.compression import centrality as module
from workbench.compression.centrality import centrality


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_middle_of_a_cluster_is_central_and_an_outsider_is_not():
    vectors = unit([[1, 0, 0], [1, 0.3, 0], [1, -0.3, 0], [1, 0, 0.1], [0, 0, -1]])
    ranks = centrality(vectors)
    assert ranks.argmin() == 4
    assert ranks[0] > 0


def test_ranks_add_up_to_one():
    vectors = unit(np.random.default_rng(0).normal(size=(80, 16)))
    assert np.exp(centrality(vectors)).mean() == pytest.approx(1, abs=1e-3)


def test_the_walk_starts_again_where_it_is_told_to():
    near, far = unit([[1, 0.1 * n] for n in range(5)]), unit([[-1, 0.1 * n] for n in range(5)])
    vectors = np.concatenate([near, far])
    restart = np.array([0] * 9 + [1], np.float32)
    ranks = centrality(vectors, restart)
    assert ranks[5:].min() > ranks[:5].max()


def test_what_is_like_nothing_passes_nothing_on():
    ranks = centrality(np.eye(4, dtype=np.float32))
    assert ranks == pytest.approx(np.zeros(4), abs=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count):
    assert np.array_equal(centrality(np.ones((count, 2), np.float32)), np.zeros(count))


def test_rows_taken_together_do_not_matter(monkeypatch):
    vectors = unit(np.random.default_rng(1).normal(size=(50, 8)))
    whole = centrality(vectors)
    monkeypatch.setattr(module, "_ROWS", 7)
    assert centrality(vectors) == pytest.approx(whole, abs=1e-4)


def test_it_agrees_with_the_walk_done_step_by_step():
    vectors = unit(np.random.default_rng(2).normal(size=(12, 5)))  # fewer than the neighbours that are kept
    alike = np.maximum(0, vectors @ vectors.T)
    np.fill_diagonal(alike, 0)
    passing = alike / alike.sum(axis=1, keepdims=True)
    ranks = np.full(12, 1 / 12)
    for _ in range(200):
        ranks = 0.15 / 12 + 0.85 * ranks @ passing
    assert np.exp(centrality(vectors)) / 12 == pytest.approx(ranks, abs=1e-4)
