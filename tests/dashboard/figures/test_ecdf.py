import dataclasses

import numpy as np
import pandas as pd
import pytest

from workbench.dashboard import figures
from workbench.dashboard.figures.ecdf import drawings, ecdf
from workbench.errors import UnknownName, UsageError
from workbench.sweep.results import Analysis


def few(served: Analysis, values: dict[str, list[float]], series: str = "ttft_ms") -> Analysis:
    """The same sweep with samples of its first configurations only."""
    labels = list(dict.fromkeys(served.frame["label"]))[: len(values)]
    cells = [served.frame.loc[served.frame["label"] == label, "cell"].iloc[0] for label in labels]
    parts = [
        pd.DataFrame({"cell": cell, "label": label, "block": 0, "series": series, "at_s": range(len(v)), "value": v})
        for cell, label, v in zip(cells, labels, values.values(), strict=True)
    ]
    return dataclasses.replace(served, samples=pd.concat(parts, ignore_index=True), recommendations=[])


def curves(figure: object) -> list[object]:
    return [trace for trace in figure.data if trace.line.shape == "hv"]  # type: ignore[attr-defined]


def test_a_curve_rises_from_nothing_at_the_smallest_wait_to_all_at_the_largest(served: Analysis) -> None:
    (curve,) = curves(ecdf(few(served, {"a": [30.0, 10.0, 20.0, 20.0]})))
    assert list(curve.x) == [10, 10, 20, 30]
    assert list(curve.y) == [0, 25, 75, 100]


def test_few_samples_are_markers_and_every_sample_is_a_mark_below(served: Analysis) -> None:
    figure = ecdf(few(served, {"a": [30.0, 10.0, 20.0], "b": [11.0]}))
    assert [trace.mode for trace in curves(figure)] == ["lines+markers"] * 2
    marks = [trace for trace in figure.data if trace.marker.symbol == "line-ns-open"]
    assert sorted(x for trace in marks for x in trace.x) == [10, 11, 20, 30]
    assert len({tuple(set(trace.y)) for trace in marks}) == 2
    assert all(y < 0 for trace in marks for y in trace.y)


def test_many_samples_are_a_line_of_bounded_length(served: Analysis) -> None:
    waits = list(np.random.default_rng(3).lognormal(3, 1, 30_000))
    figure = ecdf(few(served, {"a": waits}))
    (curve,) = curves(figure)
    assert curve.mode == "lines"
    assert len(curve.x) < 900
    assert max(curve.x) == max(waits)


def test_the_axis_is_logarithmic_only_where_the_waits_ask_for_it(served: Analysis) -> None:
    near, wide = ecdf(few(served, {"a": [10.0, 12.0]})), ecdf(few(served, {"a": [10.0, 900.0]}))
    assert (near.layout.xaxis.type, wide.layout.xaxis.type) == (None, "log")
    assert wide.layout.xaxis.title.text == "Time to first token (ms, log scale)"
    assert near.layout.xaxis.title.text == "Time to first token (ms)"


def test_a_gap_of_nothing_has_a_place_on_a_logarithmic_axis(served: Analysis) -> None:
    figure = ecdf(few(served, {"a": [0.0, 5.0, 400.0]}, "itl_ms"), series="itl_ms")
    (curve,) = curves(figure)
    assert curve.x[0] > 0
    assert figure.layout.xaxis.ticktext[0] == "0"
    assert figure.layout.xaxis.range[0] < np.log10(curve.x[0])


def test_guides_stand_at_the_median_p95_and_p99(served: Analysis) -> None:
    figure = ecdf(served, series="itl_ms")
    assert [shape.y0 for shape in figure.layout.shapes] == [50, 95, 99]
    assert [note.text for note in figure.layout.annotations] == ["p50", "p95", "p99"]


def test_of_many_configurations_the_recommended_and_the_extremes_are_drawn_and_the_caption_says_so(
    served: Analysis,
) -> None:
    figure = ecdf(served, most=3)
    names = [trace.name for trace in curves(figure)]
    assert len(names) == 3
    assert served.recommendations[0].evidence is not None
    assert served.recommendations[0].evidence.label in names
    assert "3 of 20 configurations" in figure.layout.meta["description"]


def test_the_title_names_the_best_and_the_worst_tail(served: Analysis) -> None:
    title = ecdf(few(served, {"a": [10.0] * 40, "b": [700.0] * 40})).layout.meta["title"]
    first, second = list(dict.fromkeys(served.frame["label"]))[:2]
    assert f"95 % are within 10 ms with {first}, and within 700 ms with {second}" in title


def test_a_report_draws_first_tokens_and_gaps(served: Analysis) -> None:
    assert drawings(served) == [{"series": "ttft_ms"}, {"series": "itl_ms"}]
    assert drawings(few(served, {"a": [1.0]}, "itl_ms")) == [{"series": "itl_ms"}]


def test_without_samples_it_says_how_to_record_them(normal: Analysis, served: Analysis) -> None:
    assert "ecdf" not in figures.available(normal)
    with pytest.raises(UsageError, match=r"series="):
        ecdf(normal)
    with pytest.raises(UnknownName, match="itl_ms"):
        ecdf(served, series="itl")
