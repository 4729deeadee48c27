"""What was kept, against rate and time: every strategy twice, the baseline in grey."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from workbench.dashboard import retention_figure
from workbench.errors import UnknownName, UsageError


def frame(**columns: Any) -> pd.DataFrame:
    rows = [
        {"strategy": name, "rate": rate, "kept": kept, "low": kept - 0.1, "high": kept + 0.05, "ms": ms}
        for name, ms in (("random", 0.0), ("extractive", 20.0))
        for rate, kept in ((0.5, 0.6), (0.1, 0.2))
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_each_strategy_is_drawn_against_rate_and_time_in_one_colour() -> None:
    figure = retention_figure(frame())
    assert [trace.name for trace in figure.data] == ["extractive"] * 2 + ["random"] * 2
    left, right = figure.data[:2]
    assert list(left.x) == [0.1, 0.5]
    assert list(figure.data[2].x) == pytest.approx([0.1, 0.5], abs=0.01)
    assert figure.data[2].x[0] != left.x[0], "bars at the same rate stand beside each other"
    assert list(left.y) == list(right.y) == [0.2, 0.6]
    assert list(right.x) == [20.0, 20.0]
    assert left.line.color == right.line.color
    assert [trace.showlegend for trace in figure.data] == [None, False, None, False]


def test_the_baseline_is_grey_and_dashed_and_has_a_place_on_the_logarithmic_axis() -> None:
    baseline = retention_figure(frame()).data[-1]
    assert baseline.line.dash == "dash"
    assert baseline.line.color == "#8a8f98"
    assert min(baseline.x) > 0


def test_bars_are_the_intervals_and_none_where_none_is_known() -> None:
    bars = retention_figure(frame()).data[0].error_y
    assert list(bars.array) == pytest.approx([0.05, 0.05])
    assert list(bars.arrayminus) == pytest.approx([0.1, 0.1])
    unknown = retention_figure(frame(low=None, high=None)).data[0].error_y
    assert list(unknown.array) == list(unknown.arrayminus) == [0, 0]


def test_times_close_together_have_ticks_to_read_them_by() -> None:
    axis = retention_figure(frame(ms=[30.0, 35.0, 140.0, 160.0])).layout.xaxis2
    assert list(axis.ticktext) == ["50", "100", "200"]
    assert axis.range[0] < math.log10(30) < math.log10(160) < axis.range[1]


def test_names_are_text_only() -> None:
    figure = retention_figure(frame(strategy="<b>x</b><script>"))
    assert "<script>" not in figure.to_json()


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UnknownName, match="kept"):
        retention_figure(frame().drop(columns="kept"))
    with pytest.raises(UsageError, match="Score"):
        retention_figure(frame().iloc[:0])
