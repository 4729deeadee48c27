"""A JSON schema as people give it → plain JSON values, and back. Knows nothing of what a schema means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workbench.errors import InvalidSettings


def plain_schema(given: Any) -> dict[str, Any]:
    """A schema as a dictionary of JSON values, safe to keep and to send on.

    Args:
        given: a mapping, the JSON text of an object, or a class with ``model_json_schema`` (a pydantic model).

    Raises:
        InvalidSettings: none of these, or a mapping with what JSON cannot hold.
    """
    if isinstance(given, type) and callable(getattr(given, "model_json_schema", None)):
        given = given.model_json_schema()  # type: ignore[attr-defined]
    try:
        text = given if isinstance(given, str) else json.dumps(_plain(given), allow_nan=False)
        schema = json.loads(text, parse_constant=_refuse_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSettings(f"json_schema is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise InvalidSettings(
            f"json_schema must be a mapping, the JSON text of one, or a pydantic model class; not {str(given)[:80]!r}."
        )
    return schema


def read_json(text: str, given: Any) -> Any:
    """The value of a JSON text; an instance, if the schema was given as a pydantic model class."""
    if isinstance(given, type) and callable(getattr(given, "model_validate_json", None)):
        return given.model_validate_json(text)  # type: ignore[attr-defined]
    return json.loads(text)


def _plain(given: Any) -> Any:
    """Mappings and tuples as JSON knows them, and only text as keys."""
    if isinstance(given, Mapping):
        for key in given:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is no text")
        return {key: _plain(value) for key, value in given.items()}
    return [_plain(value) for value in given] if isinstance(given, list | tuple) else given


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
