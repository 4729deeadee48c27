import dataclasses

import pytest

from workbench.dashboard.figures.importance import drawable, importance
from workbench.errors import UsageError
from workbench.sweep.results import Analysis, Importance


def test_the_most_important_is_on_top_and_interactions_have_a_colour_of_their_own(bounded: Analysis) -> None:
    figure = importance(bounded, "decode_tps")
    assert list(figure.layout.yaxis.ticktext) == ["model", "n_ctx", "model × n_ctx"]
    bars = {trace.name: trace for trace in figure.data}
    assert list(bars["parameter"].x) == pytest.approx([61, 30])
    assert list(bars["interaction"].x) == pytest.approx([5])
    assert list(bars["interaction"].y) == [2]
    assert bars["parameter"].marker.color != bars["interaction"].marker.color
    assert figure.layout.annotations[0].text == "61 &#37; [55 &#37;, 66 &#37;]"
    assert "model accounts for 61 % of the differences" in figure.layout.meta["title"]


def test_intervals_end_where_the_findings_say(bounded: Analysis) -> None:
    bars = next(trace for trace in importance(bounded, "decode_tps").data if trace.name == "parameter")
    assert bars.x[0] + bars.error_x.array[0] == pytest.approx(66)
    assert bars.x[0] - bars.error_x.arrayminus[0] == pytest.approx(55)


def test_without_intervals_there_are_bars_and_the_note_says_so(bounded: Analysis) -> None:
    bare = dataclasses.replace(bounded, importances=[Importance(metric="decode_tps", parameter="model", share=0.4)])
    figure = importance(bare, "decode_tps")
    assert figure.data[0].error_x.array is None
    assert "no interval" in figure.layout.annotations[0].text


def test_what_is_left_out_is_said(bounded: Analysis) -> None:
    many = [Importance(metric="decode_tps", parameter=f"p{n}", share=0.05) for n in range(15)]
    figure = importance(dataclasses.replace(bounded, importances=many), "decode_tps")
    assert len(figure.layout.yaxis.ticktext) == 12
    assert "3 more, 15 % together" in figure.layout.meta["description"]


def test_a_single_parameter_is_no_finding(bounded: Analysis) -> None:
    assert drawable(bounded, "decode_tps")
    alone = [Importance(metric="decode_tps", parameter="model", share=1.0)]
    assert not drawable(dataclasses.replace(bounded, importances=alone), "decode_tps")


def test_without_shares_it_says_what_is_missing(bounded: Analysis) -> None:
    assert not drawable(bounded, "ttft_ms")
    with pytest.raises(UsageError, match="vary a parameter"):
        importance(bounded, "ttft_ms")
