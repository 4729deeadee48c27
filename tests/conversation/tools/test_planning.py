"""A plan is asked for once, read whatever it is wrapped in, and asked for once more at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

import workbench as wb
from workbench.conversation.tools import Tool, tool
from workbench.conversation.tools.planning import FORM, READS_TASK, WRITES_TASK, Plan, ask, read_plan
from workbench.interfaces import Engine, Message
from workbench.testing import ScriptedEngine


@tool(reads=True)
def look(name: Annotated[str, Field(max_length=40)], deep: bool = False) -> str:
    """Look somebody up."""
    return name


@tool(reads=True)
def list_all() -> list[str]:
    """List everybody."""
    return []


TOOLS = (look, list_all)
GOOD = '{"calls":[{"tool":"look","arguments":{"name":"Mira"}},{"tool":"list_all","arguments":{}}]}'


def last(engine: ScriptedEngine) -> str:
    message = engine.requests[-1].prompt[-1]
    assert isinstance(message, Message)
    return message.content


def asked(*script: Any, most: int = 4) -> tuple[Plan, ScriptedEngine]:
    engine = ScriptedEngine(script)
    return ask(engine, [Message.user("Who?")], TOOLS, most=most, max_tokens=200, options={"priority": -1}), engine


def test_one_request_with_the_schema_greedy_and_with_the_turns_priority() -> None:
    plan, engine = asked(GOOD)
    assert [(one.name, dict(one.arguments)) for one in plan.wanted] == [("look", {"name": "Mira"}), ("list_all", {})]
    assert (plan.requests, plan.error) == (1, "")
    (request,) = engine.requests
    assert request.json_schema["properties"]["calls"]["maxItems"] == 4
    assert request.sampling.greedy
    assert request.priority == -1


@pytest.mark.parametrize(
    "text",
    [
        f"Sure, here it is:\n```json\n{GOOD}\n```\nAnything else?",
        '[{"name":"look","args":{"name":"Mira"}},{"name":"list_all"}]',
        '{"tool_calls":[{"type":"function","function":{"name":"look","arguments":"{\\"name\\": \\"Mira\\"}"}},'
        '{"type":"function","function":{"name":"list_all","arguments":"{}"}}]}',
        f"I [think] about {{it}}: {GOOD}",
    ],
)
def test_json_is_found_in_whatever_it_is_wrapped_in(text: str) -> None:
    wanted, error = read_plan(text, TOOLS, 4)
    assert [(one.name, dict(one.arguments), one.error) for one in wanted] == [
        ("look", {"name": "Mira"}, ""),
        ("list_all", {}, ""),
    ]
    assert not error


def test_a_single_call_and_no_calls_are_plans() -> None:
    assert [one.name for one in read_plan('{"tool":"list_all","arguments":{}}', TOOLS, 4)[0]] == ["list_all"]
    assert read_plan('{"calls":[]}', TOOLS, 4) == ([], "")


def test_more_calls_than_allowed_are_not_made() -> None:
    assert len(read_plan(GOOD, TOOLS, 1)[0]) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"calls":[{"tool":"shout","arguments":{}}]}', "no tool 'shout'; known: look, list_all"),
        ('{"calls":[{"tool":"look","arguments":{"nam":"Mira"}}]}', "name: Field required"),
        ('{"calls":[{"tool":"look","arguments":["Mira"]}]}', "no JSON object"),
    ],
)
def test_a_wrong_call_is_asked_for_again_with_the_reason(text: str, why: str) -> None:
    plan, engine = asked(text, GOOD)
    assert plan.requests == 2
    assert not any(one.error for one in plan.wanted)
    assert why in last(engine)
    assert FORM in last(engine)
    still, _ = asked(text, text)
    assert why in still.wanted[0].error


def test_after_two_useless_answers_it_is_given_up() -> None:
    plan, engine = asked("I would rather not.", "No.")
    assert plan.wanted == []
    assert "no complete JSON object" in plan.error
    assert len(engine.requests) == 2


def test_a_wrong_call_beside_a_right_one_survives_a_useless_second_answer() -> None:
    text = '{"calls":[{"tool":"list_all","arguments":{}},{"tool":"shout","arguments":{}}]}'
    plan, _ = asked(text, "What?")
    assert [bool(one.error) for one in plan.wanted] == [False, True]
    assert plan.error == ""


def test_of_a_plan_cut_off_the_whole_calls_are_made_and_the_cut_is_told() -> None:
    plan, _ = asked(GOOD[:-20])
    assert [one.name for one in plan.wanted] == ["look"]
    assert plan.error == "the plan was cut off; whole calls in it: 1"
    assert plan.requests == 1


@given(st.integers(0, len(GOOD) - 1))
def test_no_cut_invents_a_call(at: int) -> None:
    wanted, error = read_plan(GOOD[:at], TOOLS, 4)
    assert error
    assert [one.name for one in wanted] == ["look", "list_all"][: len(wanted)]
    assert not any(one.error for one in wanted)


@given(st.text(alphabet='{}[]",:abt \n\\', max_size=60))
def test_no_text_breaks_the_reading(text: str) -> None:
    wanted, error = read_plan(text, TOOLS, 4)
    assert error or all(one.tool is None or one.error or one.tool in TOOLS for one in wanted)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with wb.load("smollm2-135m", n_ctx=2048, n_threads=1) as engine:
        yield engine


Short = Annotated[str, Field(max_length=16)]


@tool(writes=True)
def move(who: Short, place: Short, hours: Annotated[int, Field(ge=0, le=9)] = 0) -> None:
    """Somebody goes somewhere."""


@tool(writes=True)
def give(item: Short, to: Literal["Mira", "Tom"]) -> None:
    """Something changes hands."""


@pytest.mark.model
@pytest.mark.parametrize(("task", "tools"), [(READS_TASK, TOOLS), (WRITES_TASK, (move, give))], ids=["reads", "writes"])
def test_a_real_small_model_is_held_to_the_schema(engine: Engine, task: str, tools: tuple[Tool, ...]) -> None:
    said = "\n".join(f"{one.signature}: {one.description}" for one in tools)
    messages = [Message.user(f"Mira goes to the mill with Tom's lantern.\n\n{task}\n{said}\n{FORM}")]
    plan = ask(engine, messages, tools, most=2, max_tokens=400, options={})
    assert (plan.requests, plan.error) == (1, "")
    assert all(one.tool in tools and not one.error for one in plan.wanted)
