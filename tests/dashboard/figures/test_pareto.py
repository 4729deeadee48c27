"""The front, the bars, and labels that find room."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.dashboard import data, figures, pareto_figure
from workbench.dashboard.figures._front import front, median_of
from workbench.dashboard.figures._placing import _LETTER, _LINE, Box, placed, scale_of
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"name": ["a", "b", "c", "d"], "cost_ms": [1, 2, 3, 2], "recall": [0.2, 0.8, 0.7, 0.8], **columns}
    )


def drawn(table: pd.DataFrame, **options: Any) -> dict[str, Any]:
    figure = pareto_figure(table, **{"cost": "cost_ms", "quality": "recall", "label": "name", **options})
    return {trace.name: trace for trace in figure.data if trace.name} | {"figure": figure}


def names(trace: Any) -> list[str]:
    return [text.split("<b>")[1].split("</b>")[0] for text in trace.text]


def test_dominated_points_are_apart_and_equals_both_stay() -> None:
    found = drawn(frame())
    assert sorted(names(found["on the front"])) == ["a", "b", "d"]
    assert names(found["dominated"]) == ["c"]
    assert found["dominated"].marker.color == "#8a8f98"


@pytest.mark.parametrize(
    ("cost", "quality", "kept"),
    [
        ("minimize", "maximize", "ab"),
        ("maximize", "maximize", "d"),
        ("minimize", "minimize", "ac"),
        ("maximize", "minimize", "c"),
    ],
)
def test_which_way_is_good_is_heeded(cost: Any, quality: Any, kept: str) -> None:
    found = front([1.0, 2.0, 5.0, 5.0], [0.5, 0.8, 0.1, 0.8], cost, quality)
    assert "".join(name for name, on in zip("abcd", found, strict=True) if on) == kept


def test_the_front_is_what_a_search_through_all_pairs_finds() -> None:
    draw = np.random.default_rng(3)
    x, y = draw.integers(0, 8, 60), draw.integers(0, 8, 60)
    beaten = [
        any((x[j] <= x[i] and y[j] >= y[i]) and (x[j] < x[i] or y[j] > y[i]) for j in range(60)) for i in range(60)
    ]
    assert front(list(x), list(y), "minimize", "maximize") == [not one for one in beaten]


def test_runs_of_one_configuration_are_one_point_with_a_bar() -> None:
    runs = pd.DataFrame({"name": ["a"] * 8 + ["b"], "cost_ms": [*range(1, 9), 2.0], "recall": [0.5] * 8 + [0.1]})
    found = drawn(runs)
    assert dict(zip(names(found["on the front"]), found["on the front"].x, strict=True)) == {"a": 4.5, "b": 2}
    assert found["on the front"].error_x.array[1] == 3.5
    value = median_of([float(one) for one in range(1, 9)])
    assert (value.middle, value.low, value.high) == (4.5, 1, 8), "Of eight runs only the extremes cover 95 %."
    assert median_of([1.0] * 5).low is None
    assert median_of([2.0] * 9).low is None, "Runs that agree measure no spread."


def test_the_interval_of_a_median_covers_it() -> None:
    draw = np.random.default_rng(4)
    for n in (6, 9, 20):
        values = [median_of(list(draw.exponential(size=n))) for _ in range(400)]
        covered = sum(value.low <= math.log(2) <= value.high for value in values)  # type: ignore[operator]
        assert covered >= 370


def test_an_interval_the_runs_brought_is_shown() -> None:
    table = frame(recall_low=[0.1, 0.7, 0.6, np.nan], recall_high=[0.3, 0.9, 0.8, np.nan])
    found = drawn(table)["on the front"]
    where = names(found).index("a")
    assert found.error_y.array[where] == pytest.approx(0.1)
    assert found.error_y.arrayminus[where] == pytest.approx(0.1)
    assert found.error_y.array[names(found).index("d")] is None
    assert "[0.1, 0.3]" in found.text[where]


def test_axes_have_units_and_zero_a_place_on_a_logarithmic_one() -> None:
    found = drawn(frame(cost_ms=[0.0, 2.0, 90.0, 300.0]))["figure"]
    axis = found.layout.xaxis
    assert axis.type == "log"
    assert "(ms)" in axis.title.text
    assert axis.ticktext[0] == "0"
    assert list(axis.tickvals) == sorted(axis.tickvals)
    assert axis.range[0] < math.log10(axis.tickvals[0])
    assert min(x for trace in found.data for x in trace.x) == axis.tickvals[0] > 0
    assert drawn(frame())["figure"].layout.xaxis.type is None


def test_labels_cover_neither_points_nor_each_other() -> None:
    draw = np.random.default_rng(5)
    points = [(float(x), float(y)) for x, y in draw.uniform(20, 580, (40, 2))]
    labels = [f"strategy {number}" for number in range(40)]
    found = placed(points, labels, Box(0, 0, 600, 600), far=10)
    boxes = []
    for (x, y), label, place in zip(points, labels, found, strict=True):
        if place is not None:
            width = _LETTER * len(label)
            left = x + place.xshift - {"left": 0, "center": width / 2, "right": width}[place.xanchor]
            boxes.append(Box(left, y + place.yshift - _LINE / 2, left + width, y + place.yshift + _LINE / 2))
    assert len(boxes) > 25
    assert not any(one.meets(other) for one, other in itertools.combinations(boxes, 2))
    assert not any(box.left < x < box.right and box.bottom < y < box.top for box in boxes for x, y in points)
    assert placed([(5.0, 5.0)], ["a label without any room"], Box(0, 0, 20, 20)) == [None]


def test_a_label_keeps_clear_of_lines_where_it_can() -> None:
    right = Box(300, 299, 600, 301)
    (place,) = placed([(300.0, 300.0)], ["label"], Box(0, 0, 600, 600), [right])
    assert place is not None
    assert place.xanchor != "left" or abs(place.yshift) > 7


def test_scales() -> None:
    assert not scale_of([1, 19], may_be_log=True).log
    assert scale_of([1, 21], may_be_log=True).log
    assert not scale_of([-1, 21], may_be_log=True).log
    constant = scale_of([3, 3], may_be_log=False)
    assert constant.low < 3 < constant.high


def test_what_cannot_be_drawn_says_why() -> None:
    with pytest.raises(UnknownName, match="cost_ms"):
        drawn(frame(), cost="costs")
    with pytest.raises(UsageError, match="No run has both"):
        drawn(frame(recall=[None] * 4))


def test_a_sweep_has_one_for_each_cost_beside_its_quality(normal: Analysis) -> None:
    costs = [one.metric for one in normal.objectives if one.role == "objective"]
    assert costs
    for metric in data.metrics(normal):
        assert ("pareto" in figures.available(normal, metric)) == (metric in costs)
    figure = figures.draw("pareto", normal, costs[0])
    shown = sum(len(trace.x) for trace in figure.data if trace.name)
    assert shown == len(set(normal.frame[normal.frame["arm"] != "twin"]["label"]))


def test_any_two_measures_can_be_set_against_each_other(bounded: Analysis) -> None:
    figure = figures.draw("pareto", bounded, "decode_tps", x="peak_rss_bytes", y="joules_per_token")
    assert figure.layout.xaxis.title.text == "Peak resident memory (MiB)"
    assert figure.layout.yaxis.title.text == "Joules per token (J/token)"
    assert "better is further left and further down" in figure.layout.meta["description"]
    with pytest.raises(UnknownName, match="peak_rss_bytes"):
        figures.draw("pareto", bounded, "decode_tps", x="rss")


def test_a_report_has_at_most_three_fronts_of_measures_that_differ(bounded: Analysis, normal: Analysis) -> None:
    found = [(m, o) for m in data.metrics(bounded) for name, o in figures.drawings(bounded, m) if name == "pareto"]
    assert found == [
        ("decode_tps", {"x": "decode_tps", "y": "perplexity"}),
        ("decode_tps", {"x": "peak_rss_bytes", "y": "perplexity"}),
        ("decode_tps", {"x": "peak_rss_bytes", "y": "decode_tps"}),
    ]
    same = [o for m in data.metrics(normal) for name, o in figures.drawings(normal, m) if name == "pareto"]
    assert same == [], "A quality that is the same everywhere makes no front."


def test_what_is_beaten_within_the_uncertainty_only_may_be_on_the_front() -> None:
    def runs(name: str, cost: float, recall: float, spread: float) -> pd.DataFrame:
        steps = np.linspace(-spread, spread, 8)
        return pd.DataFrame({"name": name, "cost_ms": cost + steps, "recall": recall + steps / 100})

    found = drawn(pd.concat([runs("best", 10, 0.9, 1), runs("near", 11, 0.895, 1), runs("far", 30, 0.5, 1)]))
    assert names(found["on the front"]) == ["best"]
    assert names(found["perhaps on the front"]) == ["near"]
    assert names(found["dominated"]) == ["far"]
    assert found["perhaps on the front"].marker.symbol != found["on the front"].marker.symbol


def test_among_many_only_those_that_matter_have_names_and_long_ones_keep_the_difference(bounded: Analysis) -> None:
    figure = figures.draw("pareto", bounded, "decode_tps", x="peak_rss_bytes", y="decode_tps")
    written = [note.text for note in figure.layout.annotations]
    assert written
    assert all("instruct" not in text for text in written)
    assert any("…q4_k_m" in text for text in written)


def test_of_a_crowd_only_the_front_has_names() -> None:
    count = 40
    crowd = pd.DataFrame({"name": [f"no {at}" for at in range(count)], "cost_ms": range(1, count + 1), "recall": 0.5})
    crowd.loc[0, "recall"] = 0.9
    assert [note.text for note in drawn(crowd)["figure"].layout.annotations] == ["no 0"]


def test_a_name_that_would_be_struck_through_is_left_out_unless_it_is_on_the_front() -> None:
    everywhere = [Box(0, y, 600, y + 2) for y in range(0, 600, 5)]
    room = Box(0, 0, 600, 600)
    assert placed([(300.0, 300.0)], ["label"], room, everywhere) == [None]
    assert placed([(300.0, 300.0)], ["label"], room, everywhere, far=1) != [None]


def test_the_caption_says_what_the_names_are_made_of(normal: Analysis) -> None:
    told = figures.draw("pareto", normal, "decode_tps").layout.meta["description"]
    assert "Names are the levels of n_batch · n_ctx · flash_attn;" in told
    assert "better is further right and further down" in told, "More tokens a second, less perplexity."
    assert "Names are" not in drawn(frame())["figure"].layout.meta["description"]
