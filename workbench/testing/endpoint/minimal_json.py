"""The least value that a JSON schema allows. Enough of the standard for schemas that pydantic writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def minimal(schema: Any, root: Schema | None = None) -> Any:
    """A small value that meets ``schema``: required properties only, shortest arrays, smallest numbers.

    Does not read ``pattern``, ``format`` or ``not``. Optional properties are left out, so that a schema that refers to
    itself ends.
    """
    if not isinstance(schema, Mapping):  # true: anything goes
        return {}
    root = schema if root is None else root
    if "$ref" in schema:
        return minimal(_at(schema["$ref"], root), root)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return minimal(_simplest(schema[choice]), root)
    if "allOf" in schema:
        return minimal(_merged(schema["allOf"], root), root)
    kind = schema.get("type", "object")
    return _MAKERS[kind[0] if isinstance(kind, list) else kind](schema, root)


def _object(schema: Schema, root: Schema) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: minimal(properties.get(name, {}), root) for name in schema.get("required", ())}


def _array(schema: Schema, root: Schema) -> list[Any]:
    first = [minimal(item, root) for item in schema.get("prefixItems", ())]
    missing = max(0, int(schema.get("minItems", 0)) - len(first))
    return first + [minimal(schema.get("items", {}), root) for _ in range(missing)]


def _number(schema: Schema, _root: Schema) -> int | float:
    low: int | float = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
    step: int | float = schema.get("multipleOf", 1)
    value: int | float = max(0, low) if schema.get("maximum", 0) >= 0 else schema["maximum"]
    return -(-value // step) * step


_MAKERS: dict[str, Callable[[Schema, Schema], Any]] = {
    "object": _object,
    "array": _array,
    "integer": _number,
    "number": _number,
    "string": lambda schema, _root: "x" * int(schema.get("minLength", 0)),
    "boolean": lambda _schema, _root: False,
    "null": lambda _schema, _root: None,
}


def _simplest(choices: list[Schema]) -> Schema:
    return next((choice for choice in choices if choice.get("type") == "null"), choices[0])


def _merged(parts: list[Schema], root: Schema) -> dict[str, Any]:
    merged: dict[str, Any] = {"properties": {}, "required": []}
    for part in parts:
        part = _at(part["$ref"], root) if "$ref" in part else part
        merged["properties"].update(part.get("properties", {}))
        merged["required"] += part.get("required", [])
        merged.update({key: value for key, value in part.items() if key not in ("properties", "required")})
    return merged


def _at(reference: str, root: Schema) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        found = found[part] if part else found
    return found
