"""Measures of a ranking, against values worked out by hand and against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.errors import InvalidSettings
from workbench.evaluation.retrieval import (
    clustered_mean,
    exact_share,
    hit_at_k,
    ndcg_at_k,
    recall_at_k,
    reciprocal_rank,
    spearman,
)

RANKED = ["a", "b", "c", "d"]


def test_recall_counts_what_is_among_the_first_k() -> None:
    assert recall_at_k(RANKED, {"b", "d", "x"}, 2) == 1 / 3
    assert recall_at_k(RANKED, ["b", "d", "x"], 4) == 2 / 3
    assert recall_at_k([], {"a"}, 4) == 0
    assert hit_at_k(RANKED, {"d"}, 3) == 0
    assert hit_at_k(RANKED, {"d", "x"}, 4) == 1
    assert reciprocal_rank(RANKED, {"c", "d"}) == 1 / 3
    assert reciprocal_rank(RANKED, {"x"}) == 0


def test_ndcg_by_hand() -> None:
    assert ndcg_at_k(["b", "x", "a"], {"a": 3, "b": 1}, 3) == pytest.approx(
        (1 + 3 / math.log2(4)) / (3 + 1 / math.log2(3))
    )
    assert ndcg_at_k(["a", "b"], {"a": 3, "b": 1, "c": -1, "d": 0}, 10) == 1
    assert ndcg_at_k(["x", "a"], {"a": 1}, 1) == 0


@pytest.mark.parametrize("measure", [recall_at_k, hit_at_k])
def test_nothing_to_find_is_no_measure(measure: object) -> None:
    for relevant, k in ((set(), 3), ({"a"}, 0)):
        with pytest.raises(InvalidSettings):
            measure(RANKED, relevant, k)  # type: ignore[operator]
    with pytest.raises(InvalidSettings, match="Nothing is relevant"):
        ndcg_at_k(RANKED, {"a": 0}, 3)


def test_spearman_has_an_interval_that_covers() -> None:
    draw, covered = np.random.default_rng(1), 0
    truth = 6 / math.pi * math.asin(0.6 / 2)  # of a bivariate normal with correlation 0.6
    for _ in range(200):
        both = draw.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=80)
        found = spearman(list(both[:, 0]), list(both[:, 1]))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 180 <= covered <= 200
    assert spearman([1, 2, 2, 9], [10, 20, 20, 30]).value == pytest.approx(1)
    for first, second in (([1, 2], [1]), ([1], [1]), ([1, 1], [1, 2])):
        with pytest.raises(InvalidSettings):
            spearman(first, second)


def test_a_mean_of_independent_values_has_the_t_interval() -> None:
    found = clustered_mean([0.2, 0.4, 0.9])
    spread = np.std([0.2, 0.4, 0.9], ddof=1) / math.sqrt(3)
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(max(0, 0.5 - 4.302653 * spread), abs=1e-5)
    assert (found.n, found.clusters) == (3, 3)


def test_clusters_make_the_interval_as_wide_as_it_has_to_be() -> None:
    draw, naive, clustered = np.random.default_rng(2), 0, 0
    for _ in range(200):
        levels = draw.normal(0.5, 0.1, size=6)
        groups = [group for group in range(6) for _ in range(40)]
        values = [float(levels[group] + draw.normal(0, 0.2)) for group in groups]
        for known in (False, True):
            found = clustered_mean(values, groups if known else None, bounds=None)
            assert found.low is not None
            assert found.high is not None
            inside = found.low <= 0.5 <= found.high
            clustered, naive = (clustered + inside, naive) if known else (clustered, naive + inside)
    assert clustered >= 180
    assert naive < 160


def test_one_cluster_says_nothing_about_another() -> None:
    found = clustered_mean([0.1, 0.9], ["a", "a"])
    assert (found.value, found.low, found.high, found.clusters) == (0.5, None, None, 1)
    assert str(found) == "0.500 (n=2)"
    for values, groups in (([], None), ([1.0], ["a", "b"])):
        with pytest.raises(InvalidSettings):
            clustered_mean(values, groups)


def test_an_interval_stays_within_its_bounds() -> None:
    found = clustered_mean([1.0, 1.0, 0.9], ["a", "b", "c"])
    assert found.high == 1
    assert "[0." in str(found)


def test_a_share_is_exact() -> None:
    assert exact_share(0, 20).low == 0
    assert exact_share(0, 20).high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert exact_share(20, 20).high == 1
    with pytest.raises(InvalidSettings):
        exact_share(3, 2)
