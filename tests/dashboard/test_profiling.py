"""The profiler collects what ended inside its block and shows it, stage by stage."""

import threading

import pytest

import workbench as wb
from workbench.dashboard import stages_figure
from workbench.errors import UsageError
from workbench.telemetry import Trace


def end(kind="turn", total_ms=100.0, **stages):
    trace = Trace(kind)
    at = 0.0
    for name, took in stages.items():
        trace.place(name, at, took)
        at += took
    trace.count("prompt_tokens", 7)
    trace.end(total_ms=total_ms)


def test_a_table_by_stage():
    with wb.profile() as p:
        end(prefill=40, decode=50)
        end(total_ms=200, recall=20, prefill=60, decode=120)
    end(prefill=1)
    table = p.table()
    assert list(table.index) == ["prefill", "decode", "rest", "recall"]
    assert list(table.loc["prefill", ["times", "total_ms", "median_ms", "max_ms"]]) == [2, 100, 50, 60]
    assert table.loc["rest", "total_ms"] == 10, "what no stage accounts for"
    assert table["share"].sum() == pytest.approx(1)
    assert p.counts() == {"prompt_tokens": 14}
    assert len(p.frame()) == 2


def test_turns_hide_requests_unless_asked_for():
    with wb.profile() as p:
        end("request", prefill=10)
        assert list(p.table().index) == ["prefill", "rest"], "without a turn the requests are shown"
        end("turn", decode=10)
    assert list(p.table().index) == ["decode", "rest"]
    assert list(p.table("request").index) == ["prefill", "rest"]


def test_other_threads_are_seen():
    with wb.profile() as p:
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
    assert len(p.traces) == 1


def test_a_picture():
    with wb.profile() as p:
        for number in range(45):
            end(total_ms=number + 1, decode=number + 1)
    figure = p.plot()
    assert len(figure.data[0].x) == 40, "the slowest 40"
    assert min(figure.data[0].x) == 6
    assert "of the time goes to decode" in figure.layout.title.text


def test_nothing_traced_says_so():
    with wb.profile() as p:
        pass
    assert "nothing" in repr(p)
    assert "Nothing" in p._repr_html_()
    assert p.table().empty
    with pytest.raises(UsageError, match="inside the block"):
        p.plot()


def test_text_and_html():
    with wb.profile() as p:
        end(decode=100)
    assert repr(p).startswith("1 turn\n")
    assert "100.0%" in p._repr_html_()


def test_bars_leave_the_background_out_of_the_sum():
    figure = stages_figure({"a": {"decode": 10.0, "background": 90.0}})
    assert "of the time goes to decode" in figure.layout.title.text
    assert any("10.0 ms" in str(note.text) for note in figure.layout.annotations)
    assert figure.data[1].marker.pattern.shape == "/"


def test_stages_come_in_the_order_of_a_turn_and_strange_ones_last():
    figure = stages_figure({"<b>x</b>": {"strange": 1.0, "decode": 1.0, "queue": 1.0}})
    assert [bar.name for bar in figure.data] == ["queue", "decode", "strange"]
    assert "<b>" not in str(figure.layout.yaxis.ticktext)


def test_no_rows_are_refused():
    with pytest.raises(UsageError):
        stages_figure({})
