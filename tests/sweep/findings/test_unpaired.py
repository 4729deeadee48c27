import itertools
import math

import numpy as np
import pytest
import scipy.stats

from workbench.sweep.findings.unpaired import _chances, _interval_rank, unpaired_effect


def sample(seed, size, factor=1.0, noise=0.05):
    return factor * np.exp(noise * np.random.default_rng(seed).standard_normal(size))


def test_the_ratio_is_the_middle_of_all_ratios():
    ours, theirs = sample(1, 7, 1.3), sample(2, 9)
    ratios = [math.log(x / y) for x, y in itertools.product(ours, theirs)]
    assert unpaired_effect(ours, theirs).ratio == pytest.approx(math.exp(np.median(ratios)))


@pytest.mark.parametrize(("ours", "theirs"), [(4, 4), (5, 8), (10, 10), (3, 12)])
def test_the_null_distribution_is_that_of_all_arrangements(ours, theirs):
    ranks = range(1, ours + theirs + 1)
    if math.comb(ours + theirs, ours) > 5000:
        shuffled = np.random.default_rng(3).permuted(np.tile(ranks, (20_000, 1)), axis=1)
        sums = shuffled[:, :ours].sum(axis=1) - ours * (ours + 1) // 2
        counted = np.bincount(sums, minlength=ours * theirs + 1) / 20_000
        assert _chances(ours, theirs) == pytest.approx(counted, abs=0.01)
    else:
        counted = np.bincount([sum(c) - ours * (ours + 1) // 2 for c in itertools.combinations(ranks, ours)])
        assert _chances(ours, theirs) == pytest.approx(counted / counted.sum())


@pytest.mark.parametrize(("ours", "theirs", "rank"), [(5, 8, 7), (10, 10, 24), (6, 6, 6), (4, 4, 1)])
def test_ranks_are_those_of_the_tables(ours, theirs, rank):
    """Two-sided 5 % critical values of U are one less (Mann & Whitney's tables: 6, 23, 5, 0)."""
    found, level = _interval_rank(ours, theirs, 0.95)
    assert found == rank
    assert 0.95 <= level < 1


def test_interval_and_p_agree():
    for seed in range(60):
        effect = unpaired_effect(sample(seed, 8, 1.04), sample(seed + 1000, 9))
        assert (effect.low > 1 or effect.high < 1) == (effect.p <= 0.05)
        assert effect.p == pytest.approx(
            scipy.stats.mannwhitneyu(sample(seed, 8, 1.04), sample(seed + 1000, 9), method="exact").pvalue
        )


@pytest.mark.parametrize(("ours", "theirs"), [(10, 10), (6, 12), (60, 60)])
def test_intervals_cover_the_truth(ours, theirs):
    effects = [unpaired_effect(sample([s, 1], ours, 1.05), sample([s, 2], theirs)) for s in range(400)]
    assert np.mean([effect.low <= 1.05 <= effect.high for effect in effects]) >= 0.93


def test_ties_few_runs_and_values_without_a_logarithm():
    same = unpaired_effect([12.0] * 6, [12.0] * 6)
    assert (same.ratio, same.low, same.high, same.p) == (1.0, 1.0, 1.0, 1.0)
    apart = unpaired_effect([12.5] * 6, [12.0] * 6)
    assert apart.low == apart.high == pytest.approx(12.5 / 12)
    assert apart.p < 0.01
    few = unpaired_effect([1.0, 1.1, 1.2], [2.0, 2.1, 2.2])
    assert (few.low, few.p, few.n) == (None, None, 3)
    assert unpaired_effect([], [1.0]).n == 0
    with pytest.raises(ValueError, match="negative"):
        unpaired_effect([-1.0], [1.0])


def test_a_zero_ranks_below_everything_and_two_zeros_are_equal():
    gone = unpaired_effect([0.0] * 7, sample(1, 7))
    assert (gone.ratio, gone.low, gone.high) == (0.0, 0.0, 0.0)
    assert gone.p < 0.01
    appeared = unpaired_effect(sample(1, 7), [0.0] * 7)
    assert (appeared.ratio, appeared.low) == (math.inf, math.inf)
    never = unpaired_effect([0.0] * 7, [0.0] * 7)
    assert (never.ratio, never.low, never.high, never.p) == (1.0, 1.0, 1.0, 1.0)
    some = unpaired_effect([0.0, *sample(1, 9)], sample(2, 10))
    assert 0 < some.low < some.ratio < some.high < math.inf
