import numpy as np
import pytest

from workbench.dashboard.figures import _samples
from workbench.sweep.results import Analysis


def true_share(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.sort(values), at, side="right") / len(values)


@pytest.mark.parametrize("count", [1, 7, 300, 40_000])
def test_the_drawn_steps_differ_from_the_true_ones_by_less_than_half_a_pixel_and_never_lie_above(count: int) -> None:
    values = np.random.default_rng(count).lognormal(2, 1, count).round(2)  # rounded: ties
    x, shares = _samples.steps(values, 400)
    assert len(x) <= 801
    assert (x[-1], shares[-1]) == (values.max(), 1.0)
    probes = np.sort(values)
    drawn = np.where(probes < x[0], 0.0, shares[np.searchsorted(x, probes, side="right") - 1])
    off = true_share(values, probes) - drawn
    assert off.min() >= 0
    assert off.max() < 1 / 800


def test_few_values_keep_every_step() -> None:
    x, shares = _samples.steps(np.array([3.0, 1.0, 2.0, 2.0]), 400)
    assert list(x) == [1, 2, 3]
    assert list(shares) == [0.25, 0.75, 1]


def test_no_pixel_of_an_axis_loses_its_mark() -> None:
    places = np.random.default_rng(1).normal(0, 1, 5000)
    kept = places[_samples.distinct(places, -5, 5, 100)]
    assert len(kept) <= 100
    assert set(np.floor((kept + 5) * 10)) == set(np.floor((places + 5) * 10))


def test_a_thinned_line_keeps_the_ends_the_extremes_and_the_gaps_of_every_pixel() -> None:
    at, values = np.linspace(0, 10, 50_000), np.random.default_rng(2).normal(0, 1, 50_000)
    values[31_234], values[20_000:20_400] = 40.0, np.nan
    x, y = _samples.thinned(at, values, 200)
    assert len(x) <= 5 * 200
    assert (x[0], x[-1], np.nanmax(y), np.nanmin(y)) == (0, 10, 40.0, np.nanmin(values))
    assert np.isnan(y).any()
    assert (np.diff(x) > 0).all()


def test_a_short_line_is_left_as_it_is() -> None:
    at, values = np.arange(5.0), np.array([1, np.nan, 3, 2, 2])
    assert _samples.thinned(at, values, 2)[0] is at


def test_samples_come_with_the_name_of_their_configuration(served: Analysis) -> None:
    waits = _samples.of_series(served, "ttft_ms")
    assert len(waits) == 16 * len(served.frame)
    assert set(waits["name"]) == set(served.frame["label"])
    assert _samples.of_series(served, "nothing").empty


def test_samples_of_a_run_that_does_not_count_are_left_out(served: Analysis) -> None:
    import dataclasses

    fewer = dataclasses.replace(served, frame=served.frame.iloc[:3])
    assert set(_samples.of_series(fewer, "itl_ms")["cell"]) == set(served.frame["cell"][:3])


def test_a_run_has_its_series_in_order_of_time_and_its_gaps(served: Analysis) -> None:
    series = _samples.of_cell(served, str(served.frame["cell"].iloc[0]))
    at, power = series["gpu0_power_w"]
    assert (np.diff(at) > 0).all()
    assert np.isnan(power).sum() == 3
