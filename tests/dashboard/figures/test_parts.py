import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.dashboard.figures._parts import Rows, effect_text, ratio_axis
from workbench.sweep.results import Effect


def effect(ratio: float, low: float | None = None, high: float | None = None) -> Effect:
    return Effect(ratio=ratio, low=low, high=high, level=None, p=None, n=10)


@given(st.lists(st.floats(1e-4, 1e4), max_size=5))
def test_the_ratio_axis_shows_every_ratio_and_one_with_few_ticks(ratios: list[float]) -> None:
    axis = ratio_axis(ratios, "x")
    low, high = (10**bound for bound in axis["range"])
    assert all(low <= ratio <= high for ratio in [*ratios, 1.0])
    assert 1.0 in [pytest.approx(tick) for tick in axis["tickvals"]]
    assert 1 <= len(axis["tickvals"]) <= 9
    assert all(low <= tick <= high for tick in axis["tickvals"])
    assert len(axis["ticktext"]) == len(set(axis["ticktext"]))


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([0.93, 1.12], ["0.95×", "1×", "1.05×", "1.1×"]), ([0.5, 4.0], ["0.5×", "1×", "2×", "4×"])],
)
def test_ticks_are_the_numbers_people_expect(ratios: list[float], expected: list[str]) -> None:
    assert set(expected) <= set(ratio_axis(ratios, "x")["ticktext"])


def test_what_is_no_ratio_does_not_stretch_the_axis() -> None:
    assert ratio_axis([None, math.nan, math.inf, 0.0, -1.0], "x")["range"] == ratio_axis([], "x")["range"]


def test_effects_read_as_in_a_paper() -> None:
    assert effect_text(effect(1.12, 1.08, 1.16)) == "1.12× [1.08, 1.16], n=10"
    assert effect_text(effect(1.004, 0.998, 1.009)) == "1.004× [0.998, 1.009], n=10"
    assert effect_text(effect(1.3)) == "1.30× [no interval], n=10"


def test_long_labels_and_notes_need_a_wider_page() -> None:
    short, long = Rows(["a"], ["1 ms"]), Rows(["a" * 40], ["1.12× [1.08, 1.16], n=10"])
    assert short.wide_enough() < 390 < 680 < long.wide_enough()


def test_rows_grow_with_their_longest_label() -> None:
    short, long = Rows(["a", "b"]), Rows(["a", "word " * 40])
    assert long.height() > short.height()
    assert "".join(long.axis()["ticktext"][1].split("<br>")).replace(" ", "") == "word" * 40
