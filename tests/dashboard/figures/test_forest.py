import dataclasses
import math

import pytest

from workbench.dashboard.figures.forest import forest, ranked
from workbench.errors import UsageError
from workbench.sweep.results import Analysis, Effect


def points(figure: object) -> dict[float, tuple[float, str]]:
    """y -> (ratio, marker symbol)."""
    return {
        y: (x, trace.marker.symbol)
        for trace in figure.data  # type: ignore[attr-defined]
        for x, y in zip(trace.x, trace.y, strict=True)
    }


@pytest.mark.parametrize("metric", ["decode_tps", "ttft_ms"])
def test_rows_are_sorted_best_first_by_the_objectives_direction(normal: Analysis, metric: str) -> None:
    ratios = [comparison.effect.ratio for comparison in ranked(normal, metric)]
    assert ratios == sorted(ratios, reverse=metric == "decode_tps")


def test_every_comparison_is_a_point_with_its_label_and_its_n(normal: Analysis) -> None:
    figure, rows = forest(normal, "decode_tps"), ranked(normal, "decode_tps")
    found = points(figure)
    assert [found[row][0] for row in range(len(rows))] == [item.effect.ratio for item in rows]
    assert list(figure.layout.yaxis.ticktext) == [item.label for item in rows]
    assert [note.text.rsplit("n=")[-1] for note in figure.layout.annotations] == [str(row.effect.n) for row in rows]
    assert all("n=" in text for trace in figure.data for text in trace.text)


def test_intervals_end_where_the_effects_say(normal: Analysis) -> None:
    rows = {item.effect.ratio: item.effect for item in ranked(normal, "prefill_tps")}
    for trace in forest(normal, "prefill_tps").data:
        for x, up, down in zip(trace.x, trace.error_x.array, trace.error_x.arrayminus, strict=True):
            assert (x + up, x - down) == pytest.approx((rows[x].high, rows[x].low))


def test_verdicts_differ_in_colour_and_in_shape(normal: Analysis) -> None:
    traces = forest(normal, "decode_tps").data
    assert len(traces) >= 2
    assert (
        len({trace.marker.color for trace in traces}) == len({trace.marker.symbol for trace in traces}) == len(traces)
    )


def test_the_band_is_the_zone_the_verdicts_were_made_with(normal: Analysis) -> None:
    band = ranked(normal, "ttft_ms")[0].band
    zone = next(shape for shape in forest(normal, "ttft_ms").layout.shapes if shape.type == "rect")
    assert (zone.x0, zone.x1) == pytest.approx((1 / (1 + band), 1 + band))


def test_without_intervals_there_are_points_without_bars(tiny: Analysis) -> None:
    figure = forest(tiny, "decode_tps")
    assert len(points(figure)) == 3
    assert all(trace.error_x.array is None for trace in figure.data)
    assert all("[no interval]" in note.text for note in figure.layout.annotations)


def test_a_configuration_without_data_keeps_its_row(normal: Analysis) -> None:
    rows = list(normal.comparisons)
    nothing = Effect(ratio=math.nan, low=None, high=None, level=None, p=None, n=0)
    rows[0] = dataclasses.replace(rows[0], effect=nothing, verdict="inconclusive")
    figure = forest(dataclasses.replace(normal, comparisons=rows), "decode_tps")
    assert figure.layout.yaxis.ticktext[-1] == rows[0].label
    assert figure.layout.annotations[-1].text == "no data, n=0"
    assert len(points(figure)) == 7


def test_on_a_phone_label_and_effect_stand_above_the_row(normal: Analysis) -> None:
    narrow = forest(normal, "decode_tps").layout.meta["narrow"]
    assert narrow["yaxis.showticklabels"] is False
    assert all("n_batch" in note["text"] and "n=" in note["text"] for note in narrow["annotations"])


def test_without_a_reference_it_says_what_to_add(single: Analysis) -> None:
    with pytest.raises(UsageError, match="baseline"):
        forest(single, "decode_tps")


def test_the_title_counts_and_names_the_best(normal: Analysis, tiny: Analysis) -> None:
    assert "better than baseline" in forest(normal, "prefill_tps").layout.meta["title"]
    assert "none of 3 configurations is told apart from baseline yet" in forest(tiny, "decode_tps").layout.meta["title"]
    assert "(7 equivalent, 1 inconclusive)" in forest(normal, "perplexity").layout.meta["title"]


def test_of_a_hundred_the_best_and_the_worst_are_shown_and_the_rest_is_counted(thousand: Analysis) -> None:
    figure, rows = forest(thousand, "decode_tps"), ranked(thousand, "decode_tps")
    assert len(rows) == 100
    shown = [item.label for item in (*rows[:15], *rows[-15:])]
    assert [text.replace("<br>", " ") for text in figure.layout.yaxis.ticktext] == shown
    assert "the 70 between are in the table" in figure.layout.meta["description"]
    (cut,) = [shape for shape in figure.layout.shapes if shape.line.dash == "dash"]
    assert cut.y0 == 14.5
    assert "of 100" in figure.layout.meta["title"]
    assert len(forest(thousand, "decode_tps", most=100).layout.yaxis.ticktext) == 100
    with pytest.raises(UsageError, match="most=2"):
        forest(thousand, "decode_tps", most=1)
