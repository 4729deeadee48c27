import pytest

from workbench.dashboard.figures.distribution import distribution
from workbench.errors import UsageError
from workbench.sweep.results import Analysis


def test_every_value_is_shown_raw_and_in_its_unit(normal: Analysis) -> None:
    points = [trace for trace in distribution(normal, "decode_tps").data if trace.name != "median"]
    assert sorted(x for trace in points for x in trace.x) == pytest.approx(sorted(normal.frame["decode_tps"]))


def test_points_stay_in_the_row_of_their_configuration(normal: Analysis) -> None:
    figure = distribution(normal, "decode_tps")
    (baseline,) = [trace for trace in figure.data if trace.name == "baseline"]
    row = list(figure.layout.yaxis.ticktext).index("baseline")
    assert all(abs(y - row) < 0.5 for y in baseline.y)
    assert len(set(baseline.y)) == len(baseline.y)


def test_rows_are_sorted_best_first_and_carry_their_median(normal: Analysis) -> None:
    for metric, best in (("decode_tps", "idxmax"), ("ttft_ms", "idxmin")):
        figure = distribution(normal, metric)
        medians = normal.frame.groupby("label")[metric].median()
        assert figure.layout.yaxis.ticktext[0] == getattr(medians, best)()
        assert len(figure.layout.annotations) == len(medians)


def test_bytes_are_drawn_in_mebibytes(normal: Analysis) -> None:
    import dataclasses

    frame = normal.frame.assign(rss_bytes=2.0**20 * 300)
    figure = distribution(dataclasses.replace(normal, frame=frame), "rss_bytes")
    assert set(figure.data[0].x) == {300.0}
    assert figure.layout.xaxis.title.text == "Resident memory (MiB)"


def test_nothing_recorded_is_refused(normal: Analysis) -> None:
    with pytest.raises(UsageError, match="nothing to show"):
        distribution(normal, "gpu_watts")
