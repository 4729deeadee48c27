import dataclasses

import pytest

from workbench.dashboard import figures
from workbench.dashboard.figures.stages import OTHER, stages, stages_figure
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


def bars(figure: object) -> dict[str, object]:
    return {trace.name: trace for trace in figure.data}  # type: ignore[attr-defined]


def test_a_bar_is_the_medians_of_a_configuration_in_the_order_the_stages_happen(served: Analysis) -> None:
    figure = stages(served)
    assert list(bars(figure)) == ["load", "tokenize", "prefill", "decode", OTHER]
    assert " % of the time goes to decode" in figure.layout.meta["title"]
    labels = list(figure.layout.yaxis.ticktext)
    row = labels.index("n_seq_max=4, flash_attn=on, concurrency=2")
    runs = served.frame[served.frame["label"] == "n_seq_max=4, flash_attn=on, concurrency=2"]
    assert bars(figure)["decode"].x[row] == pytest.approx(runs["decode_ms"].median())


def test_what_the_stages_leave_of_the_total_is_the_rest(served: Analysis) -> None:
    runs = served.frame[served.frame["label"] == "n_seq_max=4, flash_attn=on, concurrency=2"]
    rest = (runs["total_ms"] - runs[list(served.stages)].sum(axis=1)).median()
    figure = stages(served)
    row = list(figure.layout.yaxis.ticktext).index("n_seq_max=4, flash_attn=on, concurrency=2")
    assert bars(figure)[OTHER].x[row] == pytest.approx(rest)
    assert "total_ms" in figure.layout.meta["description"]


def test_stages_that_overlap_leave_no_rest(served: Analysis) -> None:
    less = dataclasses.replace(served, frame=served.frame.assign(total_ms=served.frame["decode_ms"]))
    assert OTHER not in bars(stages(less))


def test_seconds_and_milliseconds_stand_on_one_axis(served: Analysis) -> None:
    frame = served.frame.assign(load_s=served.frame["load_ms"] / 1e3).drop(columns="load_ms")
    mixed = dataclasses.replace(served, frame=frame, stages=("load_s", *served.stages[1:]))
    assert bars(stages(mixed))["load"].x == pytest.approx(bars(stages(served))["load"].x)
    assert stages(mixed).layout.xaxis.title.text == "time (ms)"


def test_the_shortest_stands_on_top_and_of_many_the_caption_says_how_many(served: Analysis) -> None:
    figure = stages(served, most=5)
    totals = [sum(trace.x[row] or 0 for trace in figure.data) for row in range(5)]
    assert totals == sorted(totals)
    assert "5 of 20 configurations" in figure.layout.meta["description"]


def test_no_two_stages_look_alike_however_many() -> None:
    figure = stages_figure({"a": {f"stage {n}": 1.0 for n in range(20)}})
    assert len({(trace.marker.color, trace.marker.pattern.shape) for trace in figure.data}) == 20


def test_without_stages_it_says_how_to_name_them(normal: Analysis, served: Analysis) -> None:
    assert "stages" not in figures.available(normal)
    with pytest.raises(UsageError, match=r"info=\{"):
        stages(normal)
    with pytest.raises(UnknownName, match="total_ms"):
        stages(served, total="totl_ms")
