import itertools
import math
import statistics as stdlib

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.sweep.findings.statistics import (
    blocks_needed,
    bootstrap_ratio_of_medians,
    effect_of_logs,
    floor_of,
    holm,
    judge,
    outliers,
    paired_effect,
    signed_rank_p,
    walsh_averages,
)
from workbench.sweep.results import Effect


def brute_force_p(values):
    """Two-sided p by going through every assignment of signs."""
    values = np.array([value for value in values if value != 0])
    ranks = scipy.stats.rankdata(np.abs(values))
    sums = np.array([ranks[list(signs)].sum() for signs in itertools.product([False, True], repeat=len(values))])
    observed = min(ranks[values > 0].sum(), ranks[values < 0].sum())
    return min(1.0, 2 * np.mean(sums <= observed))


@pytest.mark.parametrize("n", [6, 7, 10, 13, 20])
def test_p_agrees_with_scipys_exact_one(n):
    for seed in range(20):
        values = np.random.default_rng(seed).normal(0.3, 1, n)
        expected = scipy.stats.wilcoxon(values, method="exact").pvalue
        assert signed_rank_p(values) == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9).filter(any))
@settings(max_examples=150, deadline=None)
def test_p_is_exact_with_ties_and_zeros_too(values):
    assert signed_rank_p(values) == pytest.approx(brute_force_p(values), abs=1e-12)


def test_p_without_a_difference_is_one():
    assert signed_rank_p([0.0] * 10) == 1.0


def test_walsh_averages_and_their_median():
    values = np.array([1.0, 4.0, 2.0])
    assert walsh_averages(values).tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 4.0]
    expected = np.median([(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)])
    assert effect_of_logs(values).ratio == pytest.approx(math.exp(expected))


@pytest.mark.parametrize(
    ("n", "rank", "level"), [(6, 1, 0.96875), (7, 3, 0.953125), (10, 9, 0.951171875), (20, 53, 0.9516)]
)
def test_the_intervals_rank_and_level_are_those_of_the_tables(n, rank, level):
    # Hollander, Wolfe & Chicken, table A.4: C_alpha = rank
    values = np.random.default_rng(n).normal(size=n)
    effect = effect_of_logs(values)
    walsh = walsh_averages(values)
    assert math.log(effect.low) == pytest.approx(walsh[rank - 1])
    assert math.log(effect.high) == pytest.approx(walsh[-rank])
    assert effect.level == pytest.approx(level, abs=5e-5)


def test_the_interval_and_the_test_agree():
    """The interval holds every shift the test does not reject."""
    for seed in range(30):
        values = np.random.default_rng(seed).normal(0.4, 1, 11)
        effect = effect_of_logs(values)
        for shift in np.linspace(-1, 2, 61):
            inside = math.log(effect.low) < shift < math.log(effect.high)
            assert inside == (signed_rank_p(values - shift) > 1 - effect.level)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_below_six_blocks_there_is_no_interval(n):
    effect = paired_effect([2.0] * n, [1.0] * n)
    assert (effect.ratio, effect.low, effect.high, effect.level, effect.p, effect.n) == (2.0, None, None, None, None, n)


def test_of_nothing_comes_nothing():
    effect = effect_of_logs([])
    assert math.isnan(effect.ratio)
    assert effect.n == 0


def test_ratios_turn_round_with_their_sides():
    rng = np.random.default_rng(3)
    one, other = rng.lognormal(size=9), rng.lognormal(size=9)
    there, back = paired_effect(one, other), paired_effect(other, one)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high)
    assert there.p == pytest.approx(back.p)


def test_values_without_a_logarithm_are_refused_unless_equal():
    with pytest.raises(ValueError, match="zero or negative"):
        paired_effect([1.0, 0.0], [1.0, 2.0])
    assert paired_effect([0.0] * 6, [0.0] * 6).ratio == 1.0


def drifting(rng, order, noise=0.03, drift=0.10):
    """Noise of one run at each place of the running order, with `drift` in all from first to last."""
    steps = len(order)
    return np.exp(drift * np.arange(steps) / steps + noise * rng.standard_normal(steps))


def randomised(rng, blocks):
    return np.concatenate([rng.permutation(2) for _ in range(blocks)])


def simulate(effect, order_of, seeds, blocks=10):
    """Effects of many simulated sweeps of two arms, arm 1 being `effect` times as fast."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        order = order_of(rng, blocks)
        values = drifting(rng, order) * np.where(order == 1, effect, 1.0)
        yield paired_effect(values[order == 1], values[order == 0])


def test_intervals_cover_the_truth_under_drift_when_blocks_are_randomised():
    truth = 1.05
    effects = list(simulate(truth, randomised, range(1500)))
    coverage = np.mean([effect.low <= truth <= effect.high for effect in effects])
    assert coverage >= 0.93


def test_without_blocks_the_same_drift_ruins_them():
    """What the randomised blocks are for: all of one arm first, then all of the other."""
    truth = 1.05
    effects = list(simulate(truth, lambda rng, blocks: np.repeat([0, 1], blocks), range(200)))
    coverage = np.mean([effect.low <= truth <= effect.high for effect in effects])
    assert coverage < 0.3


def test_equal_arms_are_rarely_called_different():
    effects = list(simulate(1.0, randomised, range(1500)))
    rejected = np.mean([effect.p <= 0.05 for effect in effects])
    verdicts = [judge(effect, effect.p, 0.01, "maximize")[0] for effect in effects]
    # 5 % nominal plus three standard errors of 1,500 draws
    assert rejected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)
    assert np.mean([verdict in ("better", "worse") for verdict in verdicts]) <= 0.05


def test_real_differences_are_found():
    verdicts = [judge(effect, effect.p, 0.02, "maximize")[0] for effect in simulate(1.15, randomised, range(100))]
    assert verdicts.count("better") >= 95


def test_holm():
    # Holm (1979) by hand: 3 * 0.01, 2 * 0.02, 1 * 0.04
    assert holm([0.04, 0.01, None, 0.02]) == pytest.approx([0.04, 0.03, None, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps):
    adjusted = holm(ps)
    assert all(new >= old for new, old in zip(adjusted, ps, strict=True))
    assert all(new <= 1 for new in adjusted)
    pairs = sorted(zip(ps, adjusted, strict=True))
    assert [new for _, new in pairs] == sorted(adjusted)


def effect(low, high, n=10, ratio=None):
    return Effect(ratio=ratio or math.sqrt(low * high), low=low, high=high, level=0.95, p=0.002, n=n)


@pytest.mark.parametrize(
    ("low", "high", "direction", "verdict", "says"),
    [
        (1.05, 1.10, "maximize", "better", "beyond ±2.0%"),
        (1.05, 1.10, "minimize", "worse", "beyond"),
        (0.90, 0.95, "minimize", "better", "beyond"),
        (0.90, 0.95, "maximize", "worse", "beyond"),
        (0.99, 1.015, "maximize", "equivalent", "within ±2.0%"),
        (1.01, 1.05, "maximize", "inconclusive", "it differs, but not surely by more"),
        (0.97, 1.05, "maximize", "inconclusive", "reaches across"),
    ],
)
def test_verdicts(low, high, direction, verdict, says):
    found, reason = judge(effect(low, high), 0.002, 0.02, direction)
    assert found == verdict
    assert says in reason


def test_too_few_blocks_decide_nothing():
    assert judge(effect(1.5, 1.6, n=9), 0.004, 0.01, "maximize") == (
        "inconclusive",
        "only 9 complete blocks; 10 are needed to decide",
    )


def test_a_large_family_needs_more_blocks_and_says_so():
    assert blocks_needed(1) == blocks_needed(25) == 10
    assert blocks_needed(26) == 11
    verdict, reason = judge(effect(1.5, 1.6), 0.06, 0.01, "maximize", family=32)
    assert verdict == "inconclusive"
    assert reason == "with 32 comparisons at least 11 blocks are needed, there are 10"
    verdict, reason = judge(effect(1.5, 1.6, n=12), 0.06, 0.01, "maximize", family=3)
    assert "Holm's correction for 3 comparisons p is 0.060" in reason


def test_the_floor_is_the_farthest_the_twins_may_be_apart():
    assert floor_of("m", effect(0.95, 1.02)).width == pytest.approx(1 / 0.95 - 1)
    assert floor_of("m", effect(0.99, 1.04)).width == pytest.approx(0.04)
    few = Effect(ratio=0.98, low=None, high=None, level=None, p=None, n=3)
    assert floor_of("m", few).width == pytest.approx(1 / 0.98 - 1)


def test_bootstrap_ratio_of_medians():
    rng = np.random.default_rng(0)
    reference = rng.lognormal(0, 0.02, 15)
    values = reference * 1.3
    ratio, low, high = bootstrap_ratio_of_medians(values, reference)
    assert ratio == pytest.approx(stdlib.median(values) / stdlib.median(reference))
    assert low == pytest.approx(1.3)
    assert high == pytest.approx(1.3)
    noisy = bootstrap_ratio_of_medians(rng.lognormal(0, 0.1, 15), reference)
    assert noisy[1] < noisy[0] < noisy[2]
    again = bootstrap_ratio_of_medians(values, reference), bootstrap_ratio_of_medians(values, reference)
    assert again[0] == again[1]


def test_outliers_are_flagged_and_gaps_are_none():
    assert outliers([10, 10.1, 9.9, 10.05, 15, None, math.nan]) == [False, False, False, False, True, False, False]
    assert outliers([10.0, 10.0, 10.0, 10.05]) == [False] * 4
    assert outliers([10.0, 10.0, 10.0, 10.2]) == [False, False, False, True]
    assert outliers([1, 100]) == [False, False]
