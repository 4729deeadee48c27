"""A Python function → a tool: its arguments as a pydantic model, its docstring as what the model is told.

Knows functions and JSON schemas; never engines, turns or prompts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.errors import PydanticUserError

from workbench.conversation.tools.shape import arguments_text
from workbench.errors import InvalidSettings

Function = TypeVar("Function", bound=Callable[..., Any])
Rule = Callable[[str], Iterable[Mapping[str, Any]]]
Kind = Literal["read", "write"]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that a model may ask for. Callable as the function itself.

    Attributes:
        name: the function's.
        description: the first paragraph of its docstring, on one line.
        kind: "read" looks something up and changes nothing; "write" changes something.
        function: what is called, by keyword; reads may be called from several threads at once.
        arguments: model of its arguments; unknown ones are refused.
        rule: the user's text → the arguments of the calls that are due, one mapping a call. Such a read never has to
            be planned by a model. ``None``: a model plans it.
        invalidates: names of reads whose kept results this write makes stale; ``None``: of all.
        cached: whether results may be kept for the following turns (reads only).
    """

    name: str
    description: str
    kind: Kind
    function: Callable[..., Any]
    arguments: type[BaseModel]
    rule: Rule | None = None
    invalidates: tuple[str, ...] | None = None
    cached: bool = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function directly, unchecked."""
        return self.function(*args, **kwargs)

    @property
    def signature(self) -> str:
        """Name and arguments on one line, as a model is shown them: "move(item: string, to?: string)"."""
        return f"{self.name}({arguments_text(self.arguments.model_json_schema())})"

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them; what was not given is left to its defaults.

        Raises:
            pydantic.ValidationError: they do not fit.
        """
        model = self.arguments.model_validate(dict(arguments))
        return {name: getattr(model, name) for name in type(model).model_fields if name in model.model_fields_set}


@overload
def tool(function: Callable[..., Any], /, **options: Any) -> Tool: ...
@overload
def tool(
    *,
    reads: bool = ...,
    writes: bool = ...,
    name: str | None = ...,
    always: bool = ...,
    when: Rule | None = ...,
    invalidates: Iterable[str] | None = ...,
    cached: bool = ...,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool; as decorator, or ``tool(world.get_scene, reads=True)`` for a method of an object.

    >>> @tool(reads=True)
    ... def weather(city: str) -> str:
    ...     "The weather in a city, now."
    ...     return "rain"
    >>> weather.signature
    'weather(city: string)'

    Args:
        function: typed, with a docstring; not a coroutine.
        options: ``reads=True`` or ``writes=True``, one of the two; ``name``: in place of the function's;
            ``always=True``: a read without necessary arguments that is due in every turn; ``when``: a rule that finds
            the calls that are due in the user's text; ``invalidates``: names of the reads a write makes stale
            (default: all); ``cached=False``: a read that must be made anew each turn.

    Raises:
        InvalidSettings: the function cannot be a tool, or the options contradict each other; says what to change.
    """
    if function is None:
        return lambda given: _make(given, **options)
    return _make(function, **options)


def _make(
    function: Callable[..., Any],
    *,
    reads: bool = False,
    writes: bool = False,
    name: str | None = None,
    always: bool = False,
    when: Rule | None = None,
    invalidates: Iterable[str] | None = None,
    cached: bool = True,
) -> Tool:
    label = str(name or getattr(function, "__name__", ""))
    _check_options(label, reads=reads, writes=writes, always=always, when=when, invalidates=invalidates)
    _check_function(label, function)
    arguments = _arguments(label, function)
    if always and any(field.is_required() for field in arguments.model_fields.values()):
        raise InvalidSettings(f"Tool {label!r} is always due but needs arguments. Give them defaults, or when=.")
    return Tool(
        name=label,
        description=" ".join((inspect.getdoc(function) or "").split("\n\n")[0].split()),
        kind="read" if reads else "write",
        function=function,
        arguments=arguments,
        rule=(lambda _: ({},)) if always else when,
        invalidates=None if invalidates is None else tuple(invalidates),
        cached=cached,
    )


def _check_options(
    label: str, *, reads: bool, writes: bool, always: bool, when: Rule | None, invalidates: Iterable[str] | None
) -> None:
    if reads == writes:
        raise InvalidSettings(f"Tool {label!r}: say reads=True (it changes nothing) or writes=True, one of the two.")
    if writes and (always or when is not None):
        raise InvalidSettings(f"Tool {label!r} writes: always= and when= are for reads. Leave them out.")
    if always and when is not None:
        raise InvalidSettings(f"Tool {label!r}: always=True and when= exclude each other. Give one.")
    if reads and invalidates is not None:
        raise InvalidSettings(f"Tool {label!r} reads: it makes nothing stale. Leave invalidates= out.")
    if isinstance(invalidates, str):
        raise InvalidSettings(f"Tool {label!r}: invalidates is a list of names, like [{invalidates!r}].")


def _check_function(label: str, function: Callable[..., Any]) -> None:
    if not callable(function):
        raise InvalidSettings(f"A tool is made of a function, not of {function!r}.")
    if not label.isidentifier():
        raise InvalidSettings(f"{label!r} is no name for a tool. Pass name=, letters, digits and _ only.")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidSettings(f"Tool {label!r} is a coroutine. Wrap it in a function: asyncio.run({label}(…)).")
    if not (inspect.getdoc(function) or "").strip():
        raise InvalidSettings(f"Tool {label!r} has no docstring. Say in one what it does: the model chooses by it.")


def _arguments(label: str, function: Callable[..., Any]) -> type[BaseModel]:
    """The model of a function's arguments, in their order."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise InvalidSettings(
            f"Tool {label!r}: its annotations cannot be read ({error}). Import what they name at module level."
        ) from error
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        _check_parameter(label, parameter, hints)
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        model: type[BaseModel] = create_model(label, __config__=ConfigDict(extra="forbid"), **fields)
        model.model_json_schema()
    except PydanticUserError as error:
        raise InvalidSettings(
            f"Tool {label!r} has an argument that JSON cannot carry ({str(error).splitlines()[0]}). Use plain types, "
            "lists, dictionaries or pydantic models."
        ) from error
    return model


def _check_parameter(label: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    name = parameter.name
    if parameter.kind not in _BY_NAME:
        raise InvalidSettings(f"Tool {label!r}: {parameter} cannot be given by name. Name each argument.")
    if name in ("self", "cls") and name not in hints:
        raise InvalidSettings(f"Tool {label!r} is a method. Make the tool of the bound one: tool(thing.{label}, …).")
    if name not in hints:
        raise InvalidSettings(f"Tool {label!r}: argument {name!r} has no type. Annotate it: {name}: str.")
    if name.startswith("_") or hasattr(BaseModel, name):
        raise InvalidSettings(f"Tool {label!r}: no argument can be called {name!r}. Rename it: the_{name.strip('_')}.")
