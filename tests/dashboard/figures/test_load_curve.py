import dataclasses

import pytest

from workbench.dashboard import figures
from workbench.dashboard.figures._curves import ONLY
from workbench.dashboard.figures.load_curve import drawings, load_curve, throughput
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


def test_a_line_per_configuration_joined_in_the_order_of_the_load(served: Analysis) -> None:
    figure = load_curve(served)
    first = [trace for trace in figure.data if trace.yaxis in (None, "y")]
    assert {trace.name for trace in first} == {f"n_seq_max={n}, flash_attn={f}" for n in (4, 16) for f in ("off", "on")}
    (slow,) = [trace for trace in first if trace.name == "n_seq_max=4, flash_attn=off"]
    told = [text.split("<br>")[1] for text in slow.text]
    assert told == [f"concurrency = {n}" for n in (1, 2, 4, 8, 16)]
    rows = served.frame[(served.frame["label"] == "n_seq_max=4, flash_attn=off, concurrency=8")]
    assert slow.x[3] == pytest.approx(rows["throughput_tps"].median())
    assert slow.y[3] == pytest.approx(rows["ttft_p50_ms"].median())


def test_the_median_the_tail_and_goodput_have_a_panel_each_with_units(served: Analysis) -> None:
    layout = load_curve(served).layout
    titles = [layout[axis].title.text.replace("<br>", " ") for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert titles == [
        "Time to first token p50 (ms, log)",
        "Time to first token p95 (ms, log)",
        "Goodput (requests/s)",
    ]
    assert layout.xaxis.title.text == "Throughput (tokens/s)"
    domains = [layout[axis].domain for axis in ("yaxis", "yaxis2", "yaxis3")]
    assert domains[0][0] > domains[1][1] > domains[1][0] > domains[2][1] > domains[2][0] >= 0


def test_points_have_intervals_from_six_runs_on(served: Analysis) -> None:
    line = load_curve(served).data[0]
    assert all(up >= 0 and down >= 0 for up, down in zip(line.error_y.array, line.error_y.arrayminus, strict=True))
    fewer = dataclasses.replace(served, frame=served.frame[served.frame["block"] < 5])
    assert load_curve(fewer).data[0].error_y.array is None


def test_levels_are_written_beside_points(served: Analysis) -> None:
    notes = [note for note in load_curve(served).layout.annotations if note.yref == "y"]
    assert {note.text for note in notes} == {"1", "2", "4", "8", "16"}
    assert len(notes) >= 10


def test_the_title_says_where_throughput_peaks_and_what_it_costs(served: Analysis) -> None:
    title = load_curve(served).layout.meta["title"]
    assert title.startswith("Throughput peaks at ")
    assert "concurrency=16 (n_seq_max=16, flash_attn=on); Time to first token p50 is then" in title


def test_a_sweep_of_nothing_but_the_load_has_one_line(served: Analysis) -> None:
    rows = served.frame[(served.frame["n_seq_max"] == 4) & ~served.frame["flash_attn"].astype(bool)]
    only = dataclasses.replace(
        served, frame=rows, parameters={"concurrency": (16, 1, 2, 4, 8)}, recommendations=[], samples=None
    )
    figure = load_curve(only)
    (line,) = [trace for trace in figure.data if trace.yaxis in (None, "y")]
    assert line.name == ONLY
    assert [text.split("<br>")[1] for text in line.text][-1] == "concurrency = 16"


def test_of_many_lines_the_caption_says_how_many_are_drawn(served: Analysis) -> None:
    figure = load_curve(served, most=2)
    assert len({trace.name for trace in figure.data}) == 2
    assert "n_seq_max=16, flash_attn=on" in {trace.name for trace in figure.data}
    assert "2 of 4 configurations are drawn" in figure.layout.meta["description"]


def test_a_report_draws_first_tokens_and_whole_answers(served: Analysis) -> None:
    assert drawings(served) == [{"latency": "ttft"}, {"latency": "e2e"}]
    assert "End-to-end" in load_curve(served, latency="e2e").layout.yaxis.title.text
    with pytest.raises(UnknownName, match="ttft"):
        load_curve(served, latency="ttfb")


def test_goodput_and_the_speed_of_one_request_are_no_throughput(served: Analysis) -> None:
    assert throughput(served) == "throughput_tps"
    bare = dataclasses.replace(served, frame=served.frame.drop(columns="throughput_tps"), objectives=[])
    assert throughput(bare) in ("prefill_tps", "decode_tps")
    assert throughput(dataclasses.replace(bare, frame=bare.frame[["cell", "label", "arm", "goodput_rps"]])) is None


def test_without_a_load_it_says_how_to_name_one(normal: Analysis, served: Analysis) -> None:
    assert "load_curve" not in figures.available(normal)
    with pytest.raises(UsageError, match="load: concurrency"):
        load_curve(normal)
    one_level = dataclasses.replace(served, frame=served.frame[served.frame["concurrency"] == 4])
    with pytest.raises(UsageError, match="two levels"):
        load_curve(one_level)
