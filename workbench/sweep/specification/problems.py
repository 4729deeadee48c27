"""What is wrong with the shape of a specification, in terms of its file: line, key, remedy, known names.

Knows pydantic's errors and the models they come from, and no meaning of any key.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from workbench.errors import SpecError, UnknownName
from workbench.sweep.specification.source import KeyPath, Source

_MEANS = {
    "list_type": "a list is wanted here: write [{value}] for a single value.",
    "tuple_type": "a list is wanted here.",
    "dict_type": "a mapping of names to values is wanted here.",
    "model_type": "a mapping of names to values is wanted here.",
    "string_type": "text is wanted here: put {value} in quotes.",
    "int_type": "a whole number is wanted here, not {value}.",
    "float_type": "a number is wanted here, not {value}.",
    "bool_type": "true or false is wanted here, not {value}.",
    "missing": "this key is missing.",
    "string_pattern_mismatch": "{value} cannot be a name: use letters, digits, '-', '_' and '.', at most 64.",
}


def explain(error: ValidationError, source: Source, model: type[BaseModel]) -> SpecError:
    """The first problem of a validation. Misspelt keys first: they explain the missing ones."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    path = _in_the_file(source.value, problem["loc"])
    if problem["type"] == "extra_forbidden":
        return source.error(str(UnknownName("key", str(path[-1]), known_keys(model, path[:-1]))), path)
    value = problem.get("input")
    shown = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    text = _MEANS.get(problem["type"])
    return source.error(text.format(value=shown) if text else f"{problem['msg']} (it is {shown}).", path)


def known_keys(model: type[BaseModel], path: KeyPath) -> Iterable[str]:
    """The keys that may stand at ``path`` below a model, however deep.

    >>> sorted(known_keys(SweepSpec, ("search", "ranges", "n_batch")))
    ['high', 'log', 'low', 'step']
    """
    here: Any = model
    for part in path:
        here = _member(here, part)
    return here.model_fields if _is_model(here) else ()


def _member(kind: Any, part: str | int) -> Any:
    """Type of what stands at a key or index of a value of type ``kind``."""
    if _is_model(kind):
        field = kind.model_fields.get(part)
        return None if field is None else _container(field.annotation)
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return _container(arguments[1])
    return _container(arguments[0]) if get_origin(kind) in (tuple, list) else None


def _container(kind: Any) -> Any:
    """The part of a union that can hold keys: ``X | None`` is an X."""
    if get_origin(kind) is not types.UnionType:
        return kind
    return next((one for one in get_args(kind) if _is_model(one) or get_origin(one) is not None), None)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _in_the_file(value: Any, location: tuple[str | int, ...]) -> KeyPath:
    """A location without what is no key: pydantic adds which member of a union it tried."""
    path: list[str | int] = []
    for part in location:
        if not isinstance(value, dict | list):
            break
        path.append(part)
        try:
            value = value[part]  # type: ignore[index]
        except (KeyError, IndexError):
            value = None
    return tuple(path)
