"""A function becomes a tool, or is refused with a word on what to change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from workbench.conversation.tools import tool
from workbench.conversation.tools.planning import MOST_CHARACTERS, plan_schema
from workbench.errors import InvalidSettings


class Guest(BaseModel):
    """Somebody who comes."""

    name: str
    seats: int = 1


@tool(reads=True)
def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """The weather in a city,
    now.

    A second paragraph for people.
    """
    return f"{city} in {unit}"


@tool(writes=True)
def invite(guests: list[Guest], note: Annotated[str | None, Field(description="shown to all")] = None) -> int:
    """Invite guests."""
    return sum(guest.seats for guest in guests)


def test_a_model_is_told_name_arguments_and_the_first_paragraph() -> None:
    assert weather.signature == "weather(city: string, unit?: 'C'|'F')"
    assert weather.description == "The weather in a city, now."
    assert invite.signature == "invite(guests: [{name: string, seats?: integer}], note?: string (shown to all))"


def test_it_is_still_the_function() -> None:
    assert weather("Oslo") == "Oslo in C"


def test_arguments_arrive_as_the_function_takes_them() -> None:
    checked = invite.check({"guests": [{"name": "Mira", "seats": 2}, {"name": "Tom"}]})
    assert checked == {"guests": [Guest(name="Mira", seats=2), Guest(name="Tom")]}
    assert invite(**checked) == 3


@pytest.mark.parametrize("arguments", [{}, {"city": 3}, {"city": "Oslo", "unit": "K"}, {"city": "Oslo", "when": "now"}])
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        weather.check(arguments)


def test_a_method_is_made_a_tool_of_its_object() -> None:
    class Book:
        pages = ("one",)

        def page(self, number: int) -> str:
            """A page."""
            return self.pages[number]

    assert tool(Book().page, reads=True).check({"number": 0}) == {"number": 0}
    with pytest.raises(InvalidSettings, match="bound one"):
        tool(Book.page, reads=True)


def no_docstring(city: str) -> str:
    return city


def untyped(city) -> str:  # type: ignore[no-untyped-def]
    """It has a docstring."""
    return str(city)


def starred(*cities: str) -> str:
    """It takes many."""
    return str(cities)


def positional(city: str, /) -> str:
    """It takes one by place."""
    return city


def calls_back(then: type[Any]) -> None:
    """It takes what JSON has not."""


def shadows(copy: str) -> None:
    """A name that pydantic needs."""


def unknown_type(city: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    """A name nobody knows."""


async def waits(city: str) -> None:
    """A coroutine."""


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (no_docstring, "Say in one what it does"),
        (untyped, "Annotate it: city: str"),
        (starred, "Name each argument"),
        (positional, "Name each argument"),
        (calls_back, "Use plain types"),
        (shadows, "Rename it: the_copy"),
        (unknown_type, "Import what they name"),
        (waits, "asyncio.run"),
        (3, "made of a function"),
        (lambda: None, "Pass name="),
    ],
)
def test_what_cannot_be_a_tool_says_why(function: Any, remedy: str) -> None:
    with pytest.raises(InvalidSettings, match=remedy):
        tool(function, reads=True)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({}, "one of the two"),
        ({"reads": True, "writes": True}, "one of the two"),
        ({"writes": True, "always": True}, "are for reads"),
        ({"reads": True, "always": True}, "Give them defaults"),
        ({"reads": True, "always": True, "when": lambda _: ()}, "exclude each other"),
        ({"reads": True, "invalidates": ["x"]}, "Leave invalidates= out"),
        ({"writes": True, "invalidates": "x"}, r"\['x'\]"),
    ],
)
def test_options_that_contradict_each_other_say_so(options: dict[str, Any], remedy: str) -> None:
    def look(city: str) -> str:
        """Look."""
        return city

    with pytest.raises(InvalidSettings, match=remedy):
        tool(look, **options)


def test_a_plan_names_its_tools_only_and_bounds_what_is_open() -> None:
    schema = plan_schema([weather, invite], 3)
    assert schema["properties"]["calls"]["maxItems"] == 3
    names = [schema["$defs"][f"call_{name}"]["properties"]["tool"]["const"] for name in ("weather", "invite")]
    assert names == ["weather", "invite"]
    assert schema["$defs"]["weather"]["properties"]["city"]["maxLength"] == MOST_CHARACTERS
    assert schema["$defs"]["invite"]["properties"]["guests"]["maxItems"] > 0
    assert "maxLength" not in schema["$defs"]["weather"]["properties"]["unit"]


def test_two_tools_may_use_models_of_one_name() -> None:
    class Guest(BaseModel):
        age: int

    def greet(guest: Guest) -> None:
        """Greet."""

    greet.__annotations__["guest"] = Guest
    schema = plan_schema([invite, tool(greet, writes=True)], 2)
    models = [one for name, one in schema["$defs"].items() if name.endswith("Guest")]
    assert sorted(next(iter(one["properties"])) for one in models) == ["age", "name"]
