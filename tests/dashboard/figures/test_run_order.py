import pytest

from workbench.dashboard import data
from workbench.dashboard.figures.run_order import drawings, run_order
from workbench.errors import UsageError
from workbench.sweep.results import Analysis


def test_every_run_is_a_point_at_its_place(normal: Analysis) -> None:
    figure = run_order(normal, "decode_tps")
    arms = [trace for trace in figure.data if trace.name in ("grid", "baseline", "twin")]
    assert sorted(x for trace in arms for x in trace.x) == sorted(normal.frame["order"])
    assert [trace.name for trace in arms] == ["grid", "baseline", "twin"]


def test_outliers_are_ringed_where_they_are(normal: Analysis) -> None:
    (ringed,) = [trace for trace in run_order(normal, "decode_tps").data if trace.name == "outlier"]
    runs = data.runs(normal, "decode_tps")
    assert list(ringed.x) == list(runs.loc[runs["outlier"], "order"])
    assert 41 in list(ringed.x)


def test_block_boundaries_lie_between_the_blocks(normal: Analysis) -> None:
    lines = [shape for shape in run_order(normal, "decode_tps").layout.shapes if shape.line.dash == "dot"]
    assert len(lines) == 9
    assert lines[0].x0 == pytest.approx(9.5)


def test_the_drift_that_was_put_in_is_seen(normal: Analysis) -> None:
    (drift,) = [trace for trace in run_order(normal, "decode_tps").data if trace.name == "block median"]
    assert len(drift.y) == 10
    assert drift.y[-1] / drift.y[0] == pytest.approx(1.035, abs=0.02)


def test_hover_tells_the_value_with_its_unit_and_the_block_people_count(normal: Analysis) -> None:
    text = run_order(normal, "ttft_ms").data[0].text[0]
    assert " ms, " in text
    assert "block 1, run" in text


def test_a_single_run_of_each_shows_no_drift_and_says_so(tiny: Analysis) -> None:
    with pytest.raises(UsageError, match="more blocks"):
        run_order(tiny, "decode_tps")


def test_temperature_clocks_power_and_load_stand_below_on_the_same_axis(served: Analysis) -> None:
    figure = run_order(served, "throughput_tps")
    below = {trace.name: trace for trace in figure.data if trace.yaxis not in (None, "y")}
    assert list(below) == [
        "CPU temperature", "GPU temperature", "CPU clock", "GPU SM clock", "GPU power", "load, mean over 1 min",
    ]  # fmt: skip
    assert list(below["CPU clock"].x) == list(served.frame["order"])
    assert list(below["CPU clock"].y) == list(served.frame["cpu_mhz"])
    assert [figure.layout[f"yaxis{n}"].title.text for n in (2, 3, 4, 5)] == ["°C", "MHz", "W", "load"]
    assert figure.layout.xaxis.anchor == "y5"
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis2.domain[1]


def test_a_run_without_a_reading_is_a_gap(served: Analysis) -> None:
    (power,) = [trace for trace in run_order(served, "throughput_tps").data if trace.name == "GPU power"]
    gaps = [x for x, y in zip(power.x, power.y, strict=True) if y != y]
    assert gaps == [30, 31]
    assert power.connectgaps is False


def test_what_was_never_read_has_no_strip(normal: Analysis, served: Analysis) -> None:
    assert all(trace.yaxis in (None, "y") for trace in run_order(normal, "decode_tps").data)
    assert all(trace.yaxis in (None, "y") for trace in run_order(served, "throughput_tps", machine=False).data)
    assert drawings(served, "throughput_tps") == [{"machine": True}]
    assert drawings(served, "goodput_rps") == [{"machine": False}]
    assert drawings(served, "ttft_p95_ms") == [{"machine": False}], "They stand under the first objective already."
