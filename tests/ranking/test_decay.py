import math

import pytest

from workbench.errors import InvalidSettings
from workbench.ranking.decay import check_half_life, remaining


def test_half_is_left_after_a_half_life():
    assert remaining([0, 50, 100], 50) == pytest.approx([0.25, 0.5, 1])


def test_age_is_counted_from_the_newest():
    assert remaining([1e9, 1e9 + 60], 60) == pytest.approx(remaining([0, 60], 60))
    assert remaining([], 60).shape == (0,)


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_a_half_life_is_above_0(value):
    with pytest.raises(InvalidSettings, match="half_life_s"):
        check_half_life(value)
    check_half_life(None)
