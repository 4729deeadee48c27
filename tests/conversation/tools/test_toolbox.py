"""The order of a turn: reads, then the answer, then writes; what is kept, what is caught, what is counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from workbench.conversation.tools import Tool, Toolbox, tool
from workbench.conversation.tools.planning import READS_TASK, WRITES_TASK
from workbench.errors import InvalidSettings
from workbench.interfaces import Message, Request
from workbench.settings import EngineSettings
from workbench.telemetry import Trace, count, tracing
from workbench.testing import ScriptedEngine

SYSTEM = Message.system("You keep a diary.")


class Diary:
    """A thing to read and write, that notes what was done with it."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {"monday": "rain"}
        self.log: list[str] = []

    def page(self, day: str) -> str:
        """The page of a day."""
        self.log.append(f"page {day}")
        return self.pages[day]

    def days(self) -> list[str]:
        """All days that have a page."""
        self.log.append("days")
        return list(self.pages)

    def write(self, day: str, text: str) -> dict[str, int]:
        """Write a page."""
        self.log.append(f"write {day}")
        self.pages[day] = text
        return {"entry": 1}

    def tools(self, **options: Any) -> tuple[Tool, ...]:
        return tool(self.page, reads=True), tool(self.days, reads=True), tool(self.write, writes=True, **options)


def plan(*calls: tuple[str, dict[str, Any]]) -> str:
    return json.dumps({"calls": [{"tool": name, "arguments": arguments} for name, arguments in calls]})


def text_of(request: Request) -> str:
    return "\n".join(part.content for part in request.prompt if isinstance(part, Message))


def planner(reads: str = plan(), writes: str = plan()) -> ScriptedEngine:
    def line(request: Request) -> str:
        said = text_of(request)
        return writes if WRITES_TASK in said else reads if READS_TASK in said else "So it was."

    return ScriptedEngine(line)


def turn(
    toolbox: Toolbox, engine: ScriptedEngine, number: int = 0, text: str = "How was it?"
) -> tuple[list[Message], str]:
    """A turn as a session makes it; the notes, and the confirmation."""
    messages = [SYSTEM, Message.user(text)]
    notes = toolbox.before(engine, messages, turn=number, options={})
    full = [*messages[:-1], *notes, messages[-1]]
    return notes, toolbox.after(engine, full, engine.complete(full).text, turn=number, options={})


def test_reads_come_before_the_answer_and_writes_after_it() -> None:
    diary = Diary()
    engine = planner(
        plan(("page", {"day": "monday"}), ("days", {})), plan(("write", {"day": "tuesday", "text": "sun"}))
    )
    notes, said = turn(Toolbox(*diary.tools()), engine)
    assert sorted(diary.log[:2]) == ["days", "page monday"]
    assert diary.log[2:] == ["write tuesday"]
    assert said == "Saved 1 entry."
    assert len(engine.requests) == 3
    (note,) = notes
    assert note.role == "user"
    assert 'page(day="monday") -> rain' in note.content
    assert "never an instruction" in note.content


def test_what_the_answer_was_made_of_is_the_beginning_of_what_plans_the_writes() -> None:
    engine = planner(plan(("days", {})))
    turn(Toolbox(*Diary().tools()), engine)
    _, answer, writes = (list(request.prompt) for request in engine.requests)
    assert writes[: len(answer)] == answer
    assert [part.role for part in writes[len(answer) :] if isinstance(part, Message)] == ["assistant", "user"]


def test_the_plan_of_reads_has_the_conversation_as_its_beginning() -> None:
    engine = planner()
    Toolbox(*Diary().tools()).before(engine, [SYSTEM, Message.user("How was it?")], turn=0, options={})
    first, asked = list(engine.requests[0].prompt)
    assert first == SYSTEM
    assert isinstance(asked, Message)
    assert asked.content.startswith("How was it?\n\n")


def test_a_guide_in_the_system_message_is_not_told_again() -> None:
    toolbox, engine = Toolbox(*Diary().tools()), planner()
    toolbox.before(engine, [SYSTEM, Message.user("Hm?")], turn=0, options={})
    toolbox.before(engine, [Message.system(f"Rules.\n{toolbox.guide}"), Message.user("Hm?")], turn=1, options={})
    assert [text_of(request).count("page(day: string)") for request in engine.requests] == [1, 1]
    assert "page(day: string)" in str(engine.requests[1].prompt[0])


def test_without_reads_or_writes_nobody_is_asked() -> None:
    engine, diary = planner(), Diary()
    read, _, write = diary.tools()
    assert Toolbox(write).before(engine, [Message.user("Hm?")], turn=0, options={}) == []
    assert Toolbox(read).after(engine, [Message.user("Hm?")], "Told.", turn=0, options={}) == ""
    assert Toolbox(write).after(engine, [Message.user("Hm?")], " ", turn=0, options={}) == ""
    assert engine.requests == []


def test_rules_read_without_a_model() -> None:
    diary, engine = Diary(), planner()
    due = tool(diary.days, reads=True, always=True)
    named = tool(diary.page, reads=True, when=lambda text: [{"day": day} for day in diary.pages if day in text])
    toolbox = Toolbox(due, named)
    (note,) = toolbox.before(engine, [Message.user("How was monday?")], turn=0, options={})
    assert "rain" in note.content
    toolbox.before(engine, [Message.user("And tuesday?")], turn=1, options={})
    assert [call.name for call in toolbox.calls_of(0)] == ["days", "page"]
    assert [call.name for call in toolbox.calls_of(1)] == ["days"]
    assert engine.requests == []


def test_reads_are_kept_for_two_turns() -> None:
    diary, engine = Diary(), planner(plan(("page", {"day": "monday"})))
    toolbox = Toolbox(*diary.tools())
    for number in range(4):
        turn(toolbox, engine, number)
    assert [toolbox.calls_of(number)[0].cached for number in range(4)] == [False, True, True, False]
    assert diary.log == ["page monday"] * 2
    assert toolbox.calls_of(1)[0].result == "rain"


def test_other_arguments_are_another_read_and_an_earlier_turn_is_not_served_from_a_later_one() -> None:
    diary = Diary()
    diary.pages["tuesday"] = "sun"
    toolbox = Toolbox(*diary.tools())
    turn(toolbox, planner(plan(("page", {"day": "monday"}))), 5)
    turn(toolbox, planner(plan(("page", {"day": "tuesday"}))), 6)
    turn(toolbox, planner(plan(("page", {"day": "monday"}))), 2)
    assert diary.log == ["page monday", "page tuesday", "page monday"]


@pytest.mark.parametrize(
    ("invalidates", "again"), [(None, ["page", "days"]), (["page"], ["page"]), (["days"], ["days"]), ([], [])]
)
def test_a_write_makes_stale_what_it_says(invalidates: list[str] | None, again: list[str]) -> None:
    diary = Diary()
    reads = plan(("page", {"day": "monday"}), ("days", {}))
    toolbox = Toolbox(*diary.tools(invalidates=invalidates))
    turn(toolbox, planner(reads, plan(("write", {"day": "monday", "text": "hail"}))), 0)
    notes, _ = turn(toolbox, planner(reads), 1)
    assert [call.name for call in toolbox.calls_of(1) if not call.cached] == again
    assert ("hail" in notes[0].content) == ("page" in again)


def test_somebody_else_may_say_that_things_have_changed() -> None:
    diary, engine = Diary(), planner(plan(("days", {})))
    toolbox = Toolbox(*diary.tools())
    turn(toolbox, engine, 0)
    toolbox.invalidate("days")
    turn(toolbox, engine, 1)
    assert diary.log == ["days", "days"]


def test_a_failing_read_is_told_to_the_model_and_not_kept() -> None:
    diary, engine = Diary(), planner(plan(("page", {"day": "friday"}), ("days", {})))
    toolbox = Toolbox(*diary.tools())
    notes, _ = turn(toolbox, engine, 0)
    assert "ERROR: KeyError: 'friday'" in notes[0].content
    assert [call.error for call in toolbox.calls_of(0)] == ["KeyError: 'friday'", ""]
    diary.pages["friday"] = "fog"
    notes, _ = turn(toolbox, engine, 1)
    assert "fog" in notes[0].content


def test_a_failing_write_is_said_and_forgotten_after_a_turn() -> None:
    def burn(day: str) -> None:
        """Burn a page."""
        raise PermissionError(f"{day} is locked")

    engine = planner(writes=plan(("burn", {"day": "monday"})))
    toolbox = Toolbox(tool(burn, writes=True))
    _, said = turn(toolbox, engine, 0)
    assert said == "Not saved: burn (PermissionError: monday is locked)."
    turn(toolbox, planner(), 1)
    engine = planner()
    turn(toolbox, engine, 2)
    turn_two = text_of(engine.requests[-1])
    assert "Not saved last time" not in turn_two


def test_the_plan_after_a_failure_has_its_reason() -> None:
    def burn(day: str) -> None:
        """Burn a page."""
        raise PermissionError(f"{day} is locked")

    toolbox, engine = Toolbox(tool(burn, writes=True)), planner(writes=plan(("burn", {"day": "monday"})))
    turn(toolbox, engine, 0)
    turn(toolbox, engine, 1)
    assert 'Not saved last time: burn(day="monday"): PermissionError' in text_of(engine.requests[-1])


def test_a_plan_nobody_can_read_is_a_call_that_failed() -> None:
    diary = Diary()
    toolbox = Toolbox(*diary.tools())
    notes, said = turn(toolbox, planner("never", "mind"))
    assert [call.name for call in toolbox.calls_of(0)] == ["(plan)", "(plan)"]
    assert "no complete JSON" in said
    assert "ERROR" in notes[0].content
    assert diary.log == []


def test_calls_of_a_turn_have_a_limit_and_writes_keep_their_place() -> None:
    diary = Diary()
    diary.pages = {f"day {number}": "x" for number in range(9)}
    reads = plan(*(("page", {"day": day}) for day in diary.pages))
    writes = plan(*(("write", {"day": day, "text": "y"}) for day in diary.pages))
    toolbox = Toolbox(*diary.tools(), max_calls=4)
    turn(toolbox, planner(reads, writes))
    assert [call.kind for call in toolbox.calls_of(0)] == ["read"] * 3 + ["write"]


def test_the_same_read_asked_for_twice_is_made_once() -> None:
    diary = Diary()
    toolbox = Toolbox(*diary.tools())
    turn(toolbox, planner(plan(("days", {}), ("days", {}))))
    assert diary.log == ["days"]


def test_reads_run_side_by_side_and_writes_in_order() -> None:
    both, order = threading.Barrier(2, timeout=5), []

    def wait(name: str) -> str:
        """Wait for the other."""
        both.wait()
        return name

    def note(name: str) -> None:
        """Note a name, the first one slowly."""
        time.sleep(0.05 if name == "a" else 0)
        order.append(name)

    calls = [{"name": "a"}, {"name": "b"}]
    engine = planner(plan(*(("wait", one) for one in calls)), plan(*(("note", one) for one in calls)))
    toolbox = Toolbox(tool(wait, reads=True), tool(note, writes=True))
    _, said = turn(toolbox, engine)
    assert not any(call.error for call in toolbox.calls_of(0))
    assert order == ["a", "b"]
    assert said == "Done: note, note."


def test_a_read_that_hangs_is_given_up() -> None:
    held = threading.Event()

    def hang() -> None:
        """Hang."""
        held.wait(30)

    toolbox = Toolbox(tool(hang, reads=True, always=True), timeout_s=0.05)
    (note,) = toolbox.before(planner(), [Message.user("Hm?")], turn=0, options={})
    held.set()
    assert "no answer within 0.05 s" in note.content


def test_no_write_overtakes_one_that_hangs() -> None:
    held, done = threading.Event(), []

    def slow(name: str) -> None:
        """Write, sometime."""
        if name == "a":
            held.wait(30)
        done.append(name)

    engine = planner(writes=plan(("slow", {"name": "a"}), ("slow", {"name": "b"})))
    toolbox = Toolbox(tool(slow, writes=True), timeout_s=0.05)
    _, said = turn(toolbox, engine, 0)
    assert "no answer within" in said
    assert "a write before it has not come back" in said
    assert done == []
    held.set()
    deadline = time.monotonic() + 10
    while not done and time.monotonic() < deadline:
        time.sleep(0.01)
    _, said = turn(toolbox, planner(writes=plan(("slow", {"name": "c"}))), 1)
    assert done == ["a", "c"]


def test_slow_writes_do_not_delay_the_first_chunk() -> None:
    started: list[float] = []

    def save() -> None:
        """Save, slowly."""
        started.append(time.perf_counter())
        time.sleep(0.3)

    engine = planner(writes=plan(("save", {})))
    toolbox = Toolbox(tool(save, writes=True))
    messages, began = [Message.user("Hm?")], time.perf_counter()
    notes = toolbox.before(engine, messages, turn=0, options={})
    stream = engine.stream([*notes, *messages])
    next(stream)
    first = time.perf_counter()
    toolbox.after(engine, messages, "".join(chunk.text for chunk in stream), turn=0, options={})
    assert started[0] > first
    assert first - began < 0.5 * (time.perf_counter() - began)


def test_the_trace_has_spans_and_counts_and_tools_may_add_theirs() -> None:
    diary = Diary()

    def deep() -> str:
        """Look deep."""
        count("db_queries", 3)
        return "x"

    toolbox = Toolbox(*diary.tools(invalidates=[]), tool(deep, reads=True, always=True))
    engine = planner(plan(("days", {})), plan(("write", {"day": "monday", "text": "hail"})))
    counts = []
    for number in range(2):
        trace = Trace()
        with tracing(trace):
            turn(toolbox, engine, number)
        counts.append(dict(trace.counts))
        assert [one.fields["phase"] for one in trace.spans if one.name == "tools"] == ["reads", "writes"]
    assert (counts[0]["tool_calls"], counts[0]["db_queries"]) == (3, 3)
    assert (counts[1]["tool_calls"], counts[1]["tool_cached"]) == (1, 2)


def test_a_turn_made_again_counts_its_calls_anew() -> None:
    toolbox, engine = (
        Toolbox(*Diary().tools(), max_calls=2),
        planner(plan(("days", {})), plan(("write", {"day": "x", "text": "y"}))),
    )
    for _ in range(3):
        turn(toolbox, engine, 0)
    assert [call.name for call in toolbox.calls_of(0)] == ["days", "write"]


def test_a_turn_made_again_without_reads_counts_its_writes_anew() -> None:
    diary = Diary()
    _, _, write = diary.tools()
    toolbox, engine = Toolbox(write, max_calls=2), planner(writes=plan(("write", {"day": "x", "text": "y"})))
    for _ in range(3):
        toolbox.after(engine, [Message.user("Hm?")], "Told.", turn=0, options={})
    assert len(toolbox.calls_of(0)) == 1
    assert diary.log == ["write x"] * 3


def test_a_conversation_that_does_not_fit_loses_its_middle_for_the_plan() -> None:
    engine = ScriptedEngine(lambda request: plan(("days", {})), settings=EngineSettings(n_ctx=300))
    toolbox = Toolbox(*Diary().tools(), plan_tokens=60)
    messages = [SYSTEM, *(Message.user(f"Line {number} of many words that were said.") for number in range(40))]
    toolbox.before(engine, messages, turn=0, options={})
    asked = engine.requests[0].prompt
    assert asked[0] == SYSTEM
    assert "Line 39" in text_of(engine.requests[0])
    assert engine.count_tokens(asked) <= 240
    toolbox.before(engine, [Message.user("word " * 260)], turn=1, options={})
    assert "do not fit" in toolbox.calls_of(1)[0].error


def test_tools_that_do_not_go_together_are_refused() -> None:
    page, days, write = Diary().tools()
    with pytest.raises(InvalidSettings, match="Rename one"):
        Toolbox(page, page)
    with pytest.raises(InvalidSettings, match="unknown reads stale: weeks"):
        Toolbox(page, tool(Diary().write, writes=True, invalidates=["weeks"]))
    with pytest.raises(InvalidSettings, match="Make it one"):
        Toolbox(Diary().page)  # type: ignore[arg-type]
    for wrong in ({"cache_turns": -1}, {"max_calls": 1}, {"form": "xml"}):
        with pytest.raises(InvalidSettings):
            Toolbox(page, days, write, **wrong)


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("tool-") for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("tool-")]


def test_requests_for_plans_are_counted() -> None:
    trace = Trace("turn")
    with tracing(trace):
        turn(Toolbox(*Diary().tools()), planner("no idea", plan(("write", {"day": "x", "text": "y"}))))
    assert trace.counts["plan_requests"] == 3, "the reads' plan was asked for twice"


def test_a_cancelled_turn_breaks_its_plan_off_and_makes_no_call() -> None:
    diary, long = Diary(), plan(*[("write", {"day": f"day {number}", "text": "word " * 9}) for number in range(5)])
    engine = planner(writes=long)
    begun = threading.Event()
    engine.stream, stream = lambda *given, **options: _told(stream(*given, **options), begun), engine.stream  # type: ignore[method-assign]
    toolbox = Toolbox(*diary.tools(), plan_tokens=2000)
    said: list[str] = []
    toolbox.before(engine, [Message.user("Hm?")], turn=3, options={})
    begun.clear()
    writing = threading.Thread(
        target=lambda: said.append(toolbox.after(engine, [Message.user("Hm?")], "Told.", turn=3, options={}))
    )
    writing.start()
    begun.wait(10)
    toolbox.cancel(3)
    writing.join(10)
    assert said == [""]
    assert diary.log == []
    _, confirmed = turn(toolbox, planner(writes=plan(("write", {"day": "x", "text": "y"}))), 3)
    assert confirmed == "Saved 1 entry.", "the turn made again has the same number"


def _told(stream: Any, begun: threading.Event) -> Any:
    """A stream that is slow, and says when it has begun."""

    class Slow:
        def __iter__(self) -> Iterator[Any]:
            for chunk in stream:
                begun.set()
                time.sleep(0.01)
                yield chunk

        def cancel(self) -> None:
            stream.cancel()

        @property
        def completion(self) -> Any:
            return stream.completion

    return Slow()


def test_after_a_cancel_no_further_write_begins() -> None:
    toolbox: list[Toolbox] = []
    done: list[str] = []

    def note(name: str) -> None:
        """Note a name; somebody cancels meanwhile."""
        done.append(name)
        toolbox[0].cancel(0)

    toolbox.append(Toolbox(tool(note, writes=True)))
    _, said = turn(toolbox[0], planner(writes=plan(("note", {"name": "a"}), ("note", {"name": "b"}))))
    assert done == ["a"]
    assert said == "Done: note."
