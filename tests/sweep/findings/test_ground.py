import math

import numpy as np
import pytest

from workbench.sweep.design.planning import configurations, plan
from workbench.sweep.findings.ground import fresh_ground, ground


def runs_of(spec, finished, *, plot_noise=0.0, run_noise=0.01):
    plots, rng = {}, np.random.default_rng(1)

    def measure(cell, order):
        arm = cell.configuration
        key = (cell.block, arm.parameters["model"], arm.arm)
        shift = plots.setdefault(key, plot_noise * rng.standard_normal())
        return {"speed": math.exp(shift + run_noise * rng.standard_normal())}

    return finished(plan(spec), measure)


@pytest.fixture
def split(spec_of):
    return spec_of(parameters={"model": ["m1", "m2"], "a": [1, 2, 3]}, slow=["model"], twin=True)


def arm_of(spec, label):
    return next(arm for arm in configurations(spec) if arm.label == label)


def test_within_a_plot_the_band_is_that_plots_noise(split, finished):
    stand = ground(split, configurations(split), runs_of(split, finished, plot_noise=0.1))
    assert stand.band("speed") == stand.floors["speed"].width > 0.03
    assert 0.01 <= stand.band("speed", within_plot=True) < 0.02
    assert stand.within_plot(arm_of(split, "model=m1, a=1"), arm_of(split, "model=m1, a=3"))
    assert not stand.within_plot(arm_of(split, "model=m1, a=1"), arm_of(split, "model=m2, a=1"))
    assert not stand.within_plot(arm_of(split, "model=m1, a=1"), arm_of(split, "twin"))


def test_the_inner_band_is_what_twins_in_one_plot_would_show(split, finished):
    """Noise of 1 % a run, ten blocks: 2.26 standard errors of a ratio are 1 %; and effects are no noise."""
    widths = [
        ground(split, configurations(split), runs_of(split, finished, plot_noise=0.1, run_noise=size)).inner["speed"]
        for size in (0.01, 0.02)
    ]
    assert widths[0] == pytest.approx(0.011, rel=0.4)
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.1)


def test_the_inner_band_is_never_wider_than_the_twins(split, finished):
    stand = ground(split, configurations(split), runs_of(split, finished))
    assert stand.inner["speed"] <= stand.floors["speed"].width


def test_without_plots_everything_has_the_twins_band(spec_of, finished):
    spec = spec_of(parameters={"model": ["m1", "m2"], "a": [1, 2]}, twin=True)
    stand = ground(spec, configurations(spec), runs_of(spec, finished))
    one, other = configurations(spec)[:2]
    assert not stand.within_plot(one, other)
    assert stand.inner == {}
    assert stand.band("speed", within_plot=True) == stand.band("speed")


def test_fresh_blocks_are_held_against_the_noise_known_before(split, finished):
    before = ground(split, configurations(split), runs_of(split, finished, plot_noise=0.1))
    fresh = fresh_ground(before, [])
    assert fresh.band("speed") == before.band("speed")
    assert fresh.looks.level([("h", "confirm", 3)]) == pytest.approx(0.95)
    assert fresh.least == 6
