"""The running summary: what the engine is shown, when, how long the note may be, and what a failing engine costs."""

import threading

import pytest

import workbench as wb
from workbench.errors import EngineError, InvalidSettings, StreamIncomplete
from workbench.interfaces import Message
from workbench.memory.summary import HEADER, SummaryMemory
from workbench.settings import EngineSettings
from workbench.testing import MemoryContract, ScriptedEngine
from workbench.testing.contracts.memory import indices_of, texts_of

SMALL = {"keep_recent": 2, "every": 3}


class TestContract(MemoryContract):
    examples = 15

    def make(self):
        return SummaryMemory(ScriptedEngine("They talked."), **SMALL)

    def make_in(self, folder):
        return SummaryMemory(ScriptedEngine("They talked."), **SMALL, folder=folder)


def messages(first, end):
    return [Message.user(f"line {number}") for number in range(first, end)]


def note_of(found):
    return next((one.message.content for one in found if one.index is None), None)


def numbered():
    """An engine whose summaries are "summary 1", "summary 2", …"""
    engine = ScriptedEngine(f"summary {number}" for number in range(1, 1000))
    return engine, lambda: [request.prompt[-1].content for request in engine.requests]


def test_a_note_with_the_summary_comes_before_the_newest():
    engine, _ = numbered()
    with SummaryMemory(engine, **SMALL) as memory:
        memory.add_many(messages(0, 4))
        memory.flush()
        assert note_of(memory.recall("x")) is None, "two are kept as they are, and two are not enough"
        memory.add_many(messages(4, 5))
        memory.flush()
        found = memory.recall("x", k=2)
        assert note_of(found) == HEADER + "summary 1"
        assert found[0].reason == "summary of messages 0 to 2"
        assert texts_of(found) == ["line 3", "line 4"]


def test_each_summary_is_made_of_the_one_before_and_what_is_new():
    engine, prompts = numbered()
    with SummaryMemory(engine, **SMALL) as memory:
        memory.add_many(messages(0, 11))
        memory.flush()
        assert note_of(memory.recall("x")) == HEADER + "summary 3"
    first, second, third = prompts()
    assert "(none yet)" in first
    assert "user: line 0\nuser: line 1\nuser: line 2\n" in first
    assert "summary 1" in second
    assert "line 5" in second
    assert "line 2" not in second, "what is summarised is not read again"
    assert "summary 2" in third
    assert "line 9" not in third, "the newest are kept as they are"
    assert all(request.sampling.greedy and request.priority > 0 for request in engine.requests)


def test_everything_is_in_the_summary_or_recalled():
    engine, prompts = numbered()
    with SummaryMemory(engine, **SMALL) as memory:
        for end in range(1, 30):
            memory.add_many(messages(end - 1, end))
            memory.flush()
            recalled = set(texts_of(memory.recall("x", k=5)))
            shown = "\n".join(prompts())
            missing = [f"line {n}" for n in range(end) if f"line {n}" not in recalled and f"line {n}\n" not in shown]
            assert missing == []


def test_a_restart_asks_the_engine_nothing(tmp_path):
    engine, _ = numbered()
    with SummaryMemory(engine, **SMALL, folder=tmp_path) as memory:
        memory.add_many(messages(0, 11))
        memory.flush()
        before = memory.recall("x")
    silent = ScriptedEngine(AssertionError("nothing was to be asked"))
    with SummaryMemory(silent, **SMALL, folder=tmp_path) as memory:
        assert memory.recall("x") == before
        memory.flush()
        assert silent.requests == []


def test_replay_has_the_summary_of_then():
    engine, _ = numbered()
    with SummaryMemory(engine, **SMALL) as memory:
        for first in range(0, 12, 3):
            memory.add_many(messages(first, first + 3))
            memory.flush()
        asked = len(engine.requests)
        assert note_of(memory.recall_at("x", turn=9)) == HEADER + "summary 2"
        assert note_of(memory.recall_at("x", turn=3)) is None
        assert len(engine.requests) == asked


def test_what_was_said_before_a_restart_is_summarised_after_it(tmp_path):
    with SummaryMemory(ScriptedEngine(TimeoutError("away")), **SMALL, folder=tmp_path) as memory:
        memory.add_many(messages(0, 8))
        with pytest.raises(EngineError):
            memory.flush()
    engine, _ = numbered()
    with SummaryMemory(engine, **SMALL, folder=tmp_path) as memory:
        memory.add_many(messages(8, 9))
        memory.flush()
        assert note_of(memory.recall("x")) == HEADER + "summary 2"


def test_adding_waits_for_no_engine():
    started, go_on = threading.Event(), threading.Event()

    def slow(request):
        started.set()
        assert go_on.wait(30)
        return "at last"

    with SummaryMemory(ScriptedEngine(slow), **SMALL) as memory:
        memory.add_many(messages(0, 8))
        assert started.wait(30)
        memory.add_many(messages(8, 10))
        assert len(texts_of(memory.recall("x"))) == 10, "the engine is still at it"
        assert not go_on.is_set()
        go_on.set()
        memory.flush()
        assert note_of(memory.recall("x")) == HEADER + "at last"


@pytest.mark.parametrize("fault", [StreamIncomplete("", "gone"), RuntimeError("no idea"), "", "   "])
def test_a_failing_engine_loses_nothing_and_is_asked_again(fault, caplog):
    engine = ScriptedEngine([fault, fault, *["better now"] * 9])
    with SummaryMemory(engine, **SMALL) as memory:
        memory.add_many(messages(0, 5))
        memory._background._changed.acquire()  # the first failure is over before flush() tries again
        memory._background._changed.wait_for(lambda: memory._background._errors, 30)
        memory._background._changed.release()
        assert len(engine.requests) == 1
        memory.add_many(messages(5, 6))
        assert len(engine.requests) == 1, "one more message is no reason to ask again"
        with pytest.raises(EngineError):
            memory.flush()
        assert note_of(memory.recall("x")) is None
        assert len(texts_of(memory.recall("x"))) == 6
        memory.flush()
        assert note_of(memory.recall("x")) == HEADER + "better now"
    assert "background work failed" in caplog.text


def test_a_summary_that_comes_too_late_is_not_kept():
    started, go_on = threading.Event(), threading.Event()

    def slow(request):
        started.set()
        assert go_on.wait(30)
        return "a secret"

    with SummaryMemory(ScriptedEngine(slow), **SMALL) as memory:
        memory.add_many(messages(0, 5))
        assert started.wait(30)
        memory.forget("default")
        memory.add_many([Message.user("new")])
        go_on.set()
        memory.flush()
        assert note_of(memory.recall("x")) is None
        assert texts_of(memory.recall("x")) == ["new"]


def test_times_that_leave_part_of_it_out_leave_the_note_out():
    engine, _ = numbered()
    with SummaryMemory(engine, **SMALL) as memory:
        memory.add_many(messages(0, 6), at=range(100, 106))
        memory.flush()
        assert note_of(memory.recall("x", since=100, until=103)) is not None
        assert note_of(memory.recall("x", since=101)) is None
        assert note_of(memory.recall("x", until=102)) is None
        assert indices_of(memory.recall("x", until=102)) == [0, 1]


@pytest.mark.parametrize("budget", [10, 17, 60])
def test_the_note_keeps_its_budget(budget):
    engine = ScriptedEngine("Ann is a baker; Bob owes her money. " * 30)
    with SummaryMemory(engine, **SMALL, budget_tokens=budget) as memory:
        memory.add_many(messages(0, 5))
        memory.flush()
        note = note_of(memory.recall("x"))
        assert note.startswith(HEADER + "Ann")
        assert budget - 2 <= len(engine.tokenize(note)) <= budget


def test_messages_too_long_for_the_context_lose_their_middle():
    settings = EngineSettings(n_ctx=700)
    engine = ScriptedEngine("short", settings=settings)
    with SummaryMemory(engine, **SMALL, budget_tokens=40) as memory:
        memory.add_many([Message.user("begin " + "word " * 5000 + "end"), *messages(1, 6)])
        memory.flush()
        assert note_of(memory.recall("x")) == HEADER + "short"
        assert len(memory.recall("x", k=6)[1].message.content) > 25_000, "in the log it is whole"
    (request,) = engine.requests
    assert "begin word" in request.prompt[-1].content
    assert "word end\nuser: line 1" in request.prompt[-1].content
    assert engine.count_tokens(request.prompt) + 40 <= 700


def test_a_call_of_a_tool_is_told():
    engine, prompts = numbered()
    call = {"id": "c1", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    with SummaryMemory(engine, **SMALL) as memory:
        memory.add_many([Message("assistant", "", tool_calls=(call,)), *messages(1, 5)])
        memory.flush()
    assert "weather" in prompts()[0]
    assert "Rome" in prompts()[0]


def test_a_real_engine_writes_one(tiny):
    with wb.load(tiny, n_ctx=4096, n_threads=1) as engine, SummaryMemory(engine, **SMALL, budget_tokens=64) as memory:
        memory.add_many(messages(0, 8))
        memory.flush()
        note = note_of(memory.recall("x"))
        assert note.startswith(HEADER)
        assert len(HEADER) < len(engine.tokenize(note)) <= 64


def test_without_an_engine_the_remedy_is_named():
    with pytest.raises(InvalidSettings, match=r"workbench\.load"):
        wb.memories.create("summary")


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"keep_recent": -1}, "at least 0"),
        ({"every": 0}, "at least 1"),
        ({"budget_tokens": 3}, "heading"),
        ({"budget_tokens": 3000}, "n_ctx"),
    ],
)
def test_what_cannot_work_is_refused(options, remedy):
    with pytest.raises(InvalidSettings, match=remedy):
        SummaryMemory(ScriptedEngine(), **options)
