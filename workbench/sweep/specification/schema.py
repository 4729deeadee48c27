"""The JSON schema of a specification, for editors: shapes from the models, words from their docstrings.

An editor with a YAML language server completes keys and shows what they mean once a file's first line is
``# yaml-language-server: $schema=<file or address of the schema>``.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_ATTRIBUTE = re.compile(r"^    (\w+): ", re.MULTILINE)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a model; what each key means is what its docstring says under ``Attributes:``."""
    _, schema = models_json_schema([(model, "validation")], ref_template="#/$defs/{model}")
    definitions = schema["$defs"]
    for one in _models(model):
        _describe(definitions[one.__name__], one)
    top = definitions.pop(model.__name__)
    return {"$schema": DIALECT, **top, "$defs": definitions}


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """Field → what the docstring of its class, or of a base class, says of it."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        _, _, section = inspect.cleandoc(one.__dict__.get("__doc__") or "").partition("Attributes:\n")
        parts = _ATTRIBUTE.split(section)[1:]
        found.update(zip(parts[::2], map(_plain, parts[1::2]), strict=True))
    return {name: text for name, text in found.items() if name in model.model_fields}


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    words = attributes(model)
    schema["description"] = _plain(inspect.cleandoc(model.__doc__ or "").partition("Attributes:\n")[0])
    for name, part in schema.get("properties", {}).items():
        part.pop("title", None)  # only the name again
        if name in words:
            part["description"] = words[name]


def _plain(text: str) -> str:
    """Without markup and line breaks."""
    return " ".join(_ROLE.sub(r"\1", text).replace("``", "").split())


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The model and those its fields are made of."""
    found, waiting = {model}, [model]
    while waiting:
        for field in waiting.pop().model_fields.values():
            inside = {one for one in _leaves(field.annotation) if one not in found}
            found |= inside
            waiting += inside
    return found


def _leaves(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [leaf for part in getattr(kind, "__args__", ()) for leaf in _leaves(part)]
