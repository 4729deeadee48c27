import dataclasses

import numpy as np
import pytest

from workbench.dashboard import figures, theme
from workbench.dashboard.figures._parallel import lines_of
from workbench.dashboard.figures.parallel import drawable, parallel
from workbench.errors import UsageError
from workbench.sweep.results import Analysis


def test_every_configuration_is_a_line_through_all_axes(bounded: Analysis) -> None:
    figure = parallel(bounded, "decode_tps")
    count = bounded.frame["label"].nunique()
    assert sum(list(trace.x).count(None) for trace in figure.data) == count
    places = {x for trace in figure.data for x in trace.x if x is not None}
    assert places == set(range(7)), "Four parameters, three measures."
    assert f"{count} configurations" in figure.layout.meta["title"]


def test_better_is_on_top_whichever_way_is_good(bounded: Analysis) -> None:
    medians = bounded.frame.groupby("label", sort=False)[["decode_tps", "ttft_ms"]].median()
    for metric, best in (("decode_tps", "idxmax"), ("ttft_ms", "idxmin")):
        lines = lines_of(bounded, metric, ["n_ctx"], [], 100)
        assert lines.labels[0] == getattr(medians[metric], best)()
        assert lines.axes[-1].places[0] == 1
        assert lines.axes[-1].places[-1] == 0
        ticks = [float(text) for _, text in lines.axes[-1].ticks]
        assert ticks == sorted(ticks, reverse=metric == "ttft_ms"), "The good end is written on top."


def test_levels_of_numbers_ascend_and_lines_through_one_stay_within_its_place(bounded: Analysis) -> None:
    turned = dataclasses.replace(bounded, parameters={"n_ctx": (16384, 2048, 8192, 4096), "n_batch": (128, 512)})
    axis = lines_of(turned, "decode_tps", ["n_ctx"], [], 100).axes[0]
    assert [text for _, text in axis.ticks] == ["2048", "4096", "8192", "16384"]
    nearest = [min(abs(place - at) for at, _ in axis.ticks) for place in axis.places]
    assert max(nearest) < 0.125


def test_ticks_keep_what_tells_long_levels_apart_and_stand_on_the_pages_colour(bounded: Analysis) -> None:
    notes = {note.text: note for note in parallel(bounded, "decode_tps").layout.annotations}
    assert notes["…q4_k_m"].templateitemname == notes["…q8_0"].templateitemname == theme.ON_PAGE


def test_the_template_knows_the_ground_of_both_pages() -> None:
    for mode, ground in (("light", "#ffffff"), ("dark", "#14171b")):
        (note,) = theme.template(mode).layout.annotations  # type: ignore[arg-type]
        assert (note.name, note.bgcolor, note.visible) == (theme.ON_PAGE, ground, False)


def test_the_best_are_told_from_the_rest_by_colour_and_width(bounded: Analysis) -> None:
    traces = parallel(bounded, "decode_tps").data
    assert len({trace.line.color for trace in traces}) == len(traces) > 2
    assert traces[-1].line.width > traces[0].line.width


def test_a_measure_that_was_not_recorded_leaves_a_gap(bounded: Analysis) -> None:
    label = bounded.frame["label"].iloc[0]
    frame = bounded.frame.assign(ttft_ms=bounded.frame["ttft_ms"].where(bounded.frame["label"] != label))
    lines = lines_of(dataclasses.replace(bounded, frame=frame), "decode_tps", ["n_ctx"], ["ttft_ms"], 100)
    gaps = dict(zip(lines.labels, np.isnan(lines.axes[1].places), strict=True))
    assert gaps.pop(label)
    assert not any(gaps.values())


def test_of_many_configurations_the_best_are_drawn_and_the_caption_says_so(bounded: Analysis) -> None:
    frame = bounded.frame.assign(label=[f"c{at}" for at in range(len(bounded.frame))])
    assert len(frame) > 40
    figure = parallel(dataclasses.replace(bounded, frame=frame), "decode_tps", most=40)
    assert sum(list(trace.x).count(None) for trace in figure.data) == 40
    assert f"the 40 best of {len(frame)}" in figure.layout.meta["description"]


def test_a_report_has_it_for_objectives_only(bounded: Analysis) -> None:
    for metric, wanted in (("decode_tps", True), ("perplexity", False), ("joules_per_token", False)):
        assert ("parallel" in [name for name, _ in figures.drawings(bounded, metric)]) == wanted
        assert drawable(bounded, metric)


def test_one_parameter_is_no_way_to_follow(single: Analysis) -> None:
    with pytest.raises(UsageError, match="two or more varied"):
        parallel(single, "decode_tps")
