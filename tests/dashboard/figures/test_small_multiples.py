import dataclasses

import numpy as np
import pytest

from workbench.dashboard import figures
from workbench.dashboard.figures._front import median_of
from workbench.dashboard.figures.small_multiples import drawable, small_multiples
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


def drawn(analysis: Analysis, **options: str) -> object:
    chosen = {"x": "n_ctx", "panel": "n_batch", "colour": "model", **options}
    return small_multiples(analysis, "decode_tps", **chosen)


def test_points_are_the_medians_of_their_runs_with_their_intervals(bounded: Analysis) -> None:
    first = drawn(bounded).data[0]  # type: ignore[attr-defined]
    frame = bounded.frame
    for place, ctx in enumerate((2048, 4096)):
        runs = frame[(frame["n_ctx"] == ctx) & (frame["n_batch"] == 128) & frame["model"].str.endswith("q4_k_m")]
        value = median_of(list(runs["decode_tps"]))
        assert first.y[place] == pytest.approx(value.middle)
        assert first.y[place] + first.error_y.array[place] == pytest.approx(value.high)
        assert first.y[place] - first.error_y.arrayminus[place] == pytest.approx(value.low)
        assert first.x[place] == pytest.approx(ctx, rel=0.05)


def test_there_is_a_panel_for_each_level_with_the_same_axes(bounded: Analysis) -> None:
    layout = drawn(bounded).layout  # type: ignore[attr-defined]
    assert [note.text for note in layout.annotations][:2] == ["<b>n_batch = 128</b>", "<b>n_batch = 512</b>"]
    assert layout.yaxis.range == layout.yaxis2.range
    assert layout.xaxis.domain[1] < layout.xaxis2.domain[0]
    assert layout.yaxis.title.text == "Decode speed (tokens/s)"
    assert [int(text) for text in layout.xaxis.ticktext] == list(layout.xaxis.tickvals) == [2048, 4096, 8192, 16384]


def test_what_did_not_fit_is_a_cross_at_the_lower_end_below_all_values(bounded: Analysis) -> None:
    figure = drawn(bounded)
    crosses = [trace for trace in figure.data if trace.mode == "markers" and trace.x[0] is not None]  # type: ignore[attr-defined]
    assert [(trace.xaxis, list(trace.x)) for trace in crosses] == [("x", [16384]), ("x2", [16384]), ("x2", [16384])]
    lowest = min(y for trace in figure.data if trace.mode == "lines+markers" for y in trace.y if y is not None)  # type: ignore[attr-defined]
    assert all(figure.layout.yaxis.range[0] < trace.y[0] < lowest for trace in crosses)  # type: ignore[attr-defined]
    assert crosses[1].y != crosses[2].y, "Two that end at the same level must not hide each other."
    assert "9.1 GiB" in crosses[0].text[0]
    assert [trace.name for trace in figure.data if trace.name][-1] == "did not fit into memory"  # type: ignore[attr-defined]


def test_long_levels_keep_what_tells_them_apart(bounded: Analysis) -> None:
    names = [trace.name for trace in drawn(bounded).data if trace.name]  # type: ignore[attr-defined]
    assert names[:2] == ["…q4_k_m", "…q8_0"]


def test_a_phone_has_the_panels_below_each_other(bounded: Analysis) -> None:
    figure = drawn(bounded)
    narrow = figure.layout.meta["narrow"]  # type: ignore[attr-defined]
    assert narrow["xaxis.domain"] == narrow["xaxis2.domain"]
    assert narrow["yaxis2.domain"][1] < narrow["yaxis.domain"][0]
    assert narrow["height"] > figure.layout.height  # type: ignore[attr-defined]


def test_the_parameter_with_most_levels_goes_across_by_default(bounded: Analysis) -> None:
    figure = small_multiples(bounded, "ttft_ms")
    assert figure.layout.meta["title"] == "Time to first token over n_ctx, by flash_attn and model"
    assert "n_batch are pooled" in figure.layout.meta["description"]


def test_a_report_draws_lines_only_where_there_are_three_levels(bounded: Analysis, normal: Analysis) -> None:
    assert "small_multiples" in [name for name, _ in figures.drawings(bounded, "decode_tps")]
    assert drawable(normal, "decode_tps")
    assert "small_multiples" not in [name for name, _ in figures.drawings(normal, "decode_tps")]


def test_what_cannot_go_across_says_why(bounded: Analysis, single: Analysis) -> None:
    with pytest.raises(UsageError, match="cannot go across"):
        drawn(bounded, x="model", colour="n_batch", panel="flash_attn")
    with pytest.raises(UnknownName, match="n_ctx"):
        drawn(bounded, x="ctx")
    assert not drawable(single, "decode_tps")
    with pytest.raises(UsageError, match="numeric parameter"):
        small_multiples(single, "decode_tps")


def test_values_over_decades_get_a_logarithmic_axis_that_shows_all(bounded: Analysis) -> None:
    wide = bounded.frame.assign(decode_tps=bounded.frame["decode_tps"] * np.where(bounded.frame["n_ctx"] > 4096, 90, 1))
    figure = drawn(dataclasses.replace(bounded, frame=wide))
    axis = figure.layout.yaxis  # type: ignore[attr-defined]
    assert axis.type == "log"
    shown = [y for trace in figure.data for y in trace.y if y is not None]  # type: ignore[attr-defined]
    assert 10 ** axis.range[0] < min(shown) < max(shown) < 10 ** axis.range[1]
    assert len(axis.tickvals) > 2, "A decade alone would leave one or two."
    assert "1,000" in axis.ticktext
