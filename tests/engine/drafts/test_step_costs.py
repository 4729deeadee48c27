"""What a decode costs, learnt from noisy readings."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.drafts.step_costs import StepCosts, size_class


def fed(t: Callable[[int], float], sizes: list[int], *, noise: float = 0.0, outliers: float = 0.0) -> StepCosts:
    rng, costs = random.Random(1), StepCosts()
    for size in sizes:
        slow = 10.0 if rng.random() < outliers else 1.0
        costs.observe(size, t(size) * rng.uniform(1 - noise, 1 + noise) * slow)
    return costs


def test_nothing_read_is_no_time() -> None:
    costs = StepCosts()
    assert costs.seconds(1) is None
    assert costs.largest == 0
    for nonsense in (0.0, -1.0, float("nan"), float("inf")):
        costs.observe(1, nonsense)
    costs.observe(0, 1.0)
    assert costs.seconds(1) is None


def test_one_size_tells_the_most_that_others_can_take() -> None:
    costs = fed(lambda n: 0.01, [1])
    assert costs.seconds(1) == pytest.approx(0.01)
    assert costs.seconds(4) == pytest.approx(0.04)


def test_between_and_beyond_the_sizes_read() -> None:
    costs = fed(lambda n: 0.007 + 0.003 * (n - 1), [1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9])
    for size in (1, 2, 3, 5, 9, 12):
        assert costs.seconds(size) == pytest.approx(0.007 + 0.003 * (size - 1), rel=1e-6)


@pytest.mark.parametrize("t", [lambda n: 0.007, lambda n: 0.007 + 0.003 * (n - 1), lambda n: 0.007 * n])
def test_noise_and_outliers_hardly_matter(t: Callable[[int], float]) -> None:
    costs = fed(t, [1, 2, 3, 5, 9] * 31, noise=0.15, outliers=0.03)
    for size in (1, 2, 3, 4, 5, 7, 9):
        assert costs.seconds(size) == pytest.approx(t(size), rel=0.12)


def test_a_first_reading_that_was_unlucky_is_not_believed() -> None:
    costs = fed(lambda n: 0.007 + 0.001 * (n - 1), [1, 3, 1, 3, 1, 3])
    costs.observe(9, 1.0)
    assert costs.seconds(9) == pytest.approx(0.015, rel=0.05)
    costs.observe(9, 1.0)
    costs.observe(9, 1.0)
    assert costs.seconds(9) > 0.025, "three times is no accident"


def test_a_deepening_context_moves_the_sizes_that_are_not_read() -> None:
    costs = StepCosts()
    for i in range(3000):
        depth = 1 + i / 3000
        costs.observe(1 if i > 200 else 1 + i % 9, depth * (0.007 + 0.003 * (0 if i > 200 else i % 9)))
    assert costs.seconds(1) == pytest.approx(0.014, rel=0.03)
    assert costs.seconds(5) == pytest.approx(2 * 0.019, rel=0.2)


def test_what_is_known_and_what_is_supposed() -> None:
    costs = fed(lambda n: 0.01, [1] * 10)
    assert not costs.settled_above(1)
    for _ in range(3):
        assert not costs.settled_above(1)
        costs.observe(2, 0.012)
    assert costs.settled_above(1)
    assert not costs.settled_above(2)


readings = st.lists(st.tuples(st.integers(1, 600), st.floats(1e-5, 10.0)), min_size=1, max_size=60)


@given(readings)
def test_the_curve_is_positive_and_never_falls(seen: list[tuple[int, float]]) -> None:
    costs = StepCosts()
    for size, seconds in seen:
        costs.observe(size, seconds)
    curve = [costs.seconds(n) for n in (*range(1, 40), *range(40, 700, 17))]
    assert all(time is not None and time > 0 for time in curve)
    assert all(b >= a * (1 - 1e-9) for a, b in itertools.pairwise(curve))


@given(st.integers(1, 10_000))
def test_a_size_stands_for_sizes_near_it(tokens: int) -> None:
    size = size_class(tokens)
    assert size == size_class(size)
    assert abs(size - tokens) <= max(0, tokens / 15)
    assert size_class(tokens + 1) >= size
