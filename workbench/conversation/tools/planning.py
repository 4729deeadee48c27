"""Asking a model once which calls it wants: the request, the schema that constrains it, the reading of the answer.

A local engine is held to the schema (grammar-constrained decoding): its answer is valid JSON and names existing tools
only. An engine that knows no constraints may wrap its JSON in prose or a code fence or get an argument wrong: it is
read leniently, checked with pydantic, and asked once more at most.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from workbench.conversation.tools.calls import Wanted, why_not
from workbench.conversation.tools.definition import Tool
from workbench.errors import ConstraintUnmet
from workbench.interfaces import Engine, Message, Stream

READS_TASK = "Before you answer: which of these do you need to look up for it? List every call at once, or none."
WRITES_TASK = "Your answer has been given. Which calls record what changed in it? List every call at once, or none."
FORM = 'Write JSON only: {"calls":[{"tool":"name","arguments":{}}]}'

MOST_CHARACTERS, MOST_ITEMS = 240, 12
"""Of a text and of a list in a plan, where the tool sets no limit of its own."""

_FORBID = ConfigDict(extra="forbid")
_CLOSED = {"maxLength", "pattern", "format", "enum", "const"}
_KEPT_OPTIONS = ("priority", "cache_prompt")
_LIST = re.compile(r'"calls"\s*:\s*\[\s*')
_NAMES, _ARGUMENTS = ("tool", "name", "function"), ("arguments", "args", "parameters", "input")


class Plan(NamedTuple):
    """What a model wants.

    Attributes:
        wanted: calls in its order; one that cannot be made has its error.
        error: why the answer could not be read at all; empty: it could.
        requests: how often the engine was asked: 1 or 2.
    """

    wanted: list[Wanted]
    error: str
    requests: int


def plan_schema(tools: Sequence[Tool], most: int) -> dict[str, Any]:
    """The schema of a plan of at most ``most`` calls of these tools; open-ended texts and lists have an end in it.

    A small model that is held to JSON but not to a length may write one string until its tokens are over.
    """
    fields: dict[str, Any] = {}
    items: list[Any] = []
    for one in tools:
        fields = {"tool": (Literal[one.name], ...), "arguments": (one.arguments, ...)}
        items.append(create_model(f"call_{one.name}", __config__=_FORBID, **fields))
    item: Any = Union[tuple(items)]  # noqa: UP007 - made of a list
    plan: type[BaseModel] = create_model("Plan", __config__=_FORBID, calls=(list[item], Field(max_length=most)))
    schema = plan.model_json_schema()
    _bound(schema)
    return schema


def _bound(schema: Any) -> None:
    """Give every text and list of a schema a largest length, in place."""
    if isinstance(schema, list):
        for one in schema:
            _bound(one)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "string" and not _CLOSED.intersection(schema):
        schema["maxLength"] = MOST_CHARACTERS
    if schema.get("type") == "array" and "items" in schema:
        schema.setdefault("maxItems", max(MOST_ITEMS, schema.get("minItems", 0)))
    for one in schema.values():
        _bound(one)


def ask(
    engine: Engine,
    messages: Sequence[Message],
    tools: Sequence[Tool],
    *,
    most: int,
    max_tokens: int,
    options: Mapping[str, Any],
    begun: Callable[[Stream], object] = lambda _: None,
) -> Plan:
    """One request for a plan, and one more if the answer to it is of no use.

    Args:
        engine: held to the schema if it can be.
        messages: the conversation, the task last.
        tools: what may be called.
        most: calls at most.
        max_tokens: of each answer.
        options: of the turn; only priority and reuse of the prompt's KV matter here.
        begun: told of each request that has begun, so that somebody else can cancel it; a plan that was is none.
    """
    settings = {name: options[name] for name in _KEPT_OPTIONS if name in options}
    settings |= {"json_schema": plan_schema(tools, most), "temperature": 0.0}
    text = _text(engine, messages, max_tokens, settings, begun)
    if text is None:
        return Plan([], "", 1)
    wanted, error = read_plan(text, tools, most)
    wrong = error or "; ".join(f"{one.name}: {one.error}" for one in wanted if one.error)
    if not wrong or (error and wanted):
        return Plan(wanted, error, 1)
    again = [*messages, Message.assistant(text or "(nothing)"), Message.user(f"That cannot be used: {wrong}. {FORM}")]
    more = _text(engine, again, max_tokens, settings, begun)
    if more is None:
        return Plan([], "", 2)
    second, second_error = read_plan(more, tools, most)
    return Plan(wanted, "", 2) if second_error and wanted else Plan(second, second_error, 2)


def _text(
    engine: Engine,
    messages: Sequence[Message],
    max_tokens: int,
    settings: Mapping[str, Any],
    begun: Callable[[Stream], object],
) -> str | None:
    """The answer; ``None``: it was cancelled."""
    stream = engine.stream(messages, max_tokens=max_tokens, **settings)
    try:
        begun(stream)
        for _ in stream:
            pass
    except ConstraintUnmet as cut:
        return cut.partial
    except BaseException:  # Ctrl-C
        stream.cancel()
        raise
    return None if stream.completion.finish_reason == "cancelled" else stream.completion.text


def read_plan(text: str, tools: Sequence[Tool], most: int) -> tuple[list[Wanted], str]:
    """The calls in an answer, and what was wrong with it as a whole; empty: nothing.

    Of an answer that was cut off, the calls that are whole.
    """
    for value in _values(text):
        calls = _calls(value)
        if calls is not None:
            return [_wanted(call, tools) for call in calls[:most]], ""
    if whole := list(_before_cut(text)):
        return [_wanted(call, tools) for call in whole[:most]], f"the plan was cut off; whole calls in it: {len(whole)}"
    return [], f"there is no complete JSON object with calls in {text[:80]!r}"


def _values(text: str) -> Iterator[Any]:
    """The JSON objects and arrays in a text, the outermost first."""
    decoder, at = json.JSONDecoder(), 0
    while (at := min((found for found in (text.find("{", at), text.find("[", at)) if found >= 0), default=-1)) >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
                return  # cut off: what lies inside is only the part that came first
            at += 1
        except RecursionError:
            return
        else:
            yield value


def _before_cut(text: str) -> Iterator[Mapping[str, Any]]:
    """The whole calls at the beginning of a list that breaks off."""
    found, decoder = _LIST.search(text), json.JSONDecoder()
    at = found.end() if found else len(text)
    while at < len(text):
        try:
            call, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(call, Mapping):
            yield call
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))


def _calls(value: Any) -> list[Mapping[str, Any]] | None:
    """The calls in a JSON value: a plan, a list of calls, or a single one; ``None``: it is none of these."""
    if isinstance(value, Mapping):
        if any(name in value for name in _NAMES):
            return [value]
        value = value.get("calls", value.get("tool_calls"))
    if not isinstance(value, list) or not all(isinstance(call, Mapping) for call in value):
        return None
    return value


def _wanted(call: Mapping[str, Any], tools: Sequence[Tool]) -> Wanted:
    inner = call.get("function")
    if isinstance(inner, Mapping):  # OpenAI's shape: {"type": "function", "function": {"name": …, "arguments": "…"}}
        call = inner
    name = str(next((call[key] for key in _NAMES if key in call), ""))
    arguments: Any = next((call[key] for key in _ARGUMENTS if key in call), {})
    if isinstance(arguments, str):
        arguments = next(_values(arguments), arguments)
    found = next((one for one in tools if one.name == name), None)
    if found is None:
        return Wanted(None, name, {}, f"there is no tool {name!r}; known: {', '.join(one.name for one in tools)}")
    if not isinstance(arguments, Mapping):
        return Wanted(found, name, {}, f"its arguments are no JSON object: {str(arguments)[:80]!r}")
    return Wanted(found, name, arguments, _problem(found, arguments))


def _problem(found: Tool, arguments: Mapping[str, Any]) -> str:
    try:
        found.check(arguments)
    except ValidationError as error:
        return why_not(error)
    return ""
