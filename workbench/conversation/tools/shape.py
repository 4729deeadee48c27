"""A JSON schema in the few words a model needs to fill it in: "{who: string, mood?: string}".

A tenth of the tokens of the schema itself; the constraint knows the whole schema anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def arguments_text(schema: Schema) -> str:
    """The properties of an object, without its braces; what may be left out has a question mark."""
    return _properties(schema, schema.get("$defs", {}), ())


def _properties(schema: Schema, defs: Schema, inside: tuple[str, ...]) -> str:
    required = schema.get("required", ())
    parts = []
    for name, value in schema.get("properties", {}).items():
        said = f" ({value['description']})" if "description" in value else ""
        parts.append(f"{name}{'' if name in required else '?'}: {_type(value, defs, inside)}{said}")
    return ", ".join(parts)


def _type(schema: Schema, defs: Schema, inside: tuple[str, ...]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return name if name in inside else _type(defs[name], defs, (*inside, name))
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return "|".join(repr(value) for value in schema["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            kinds = [_type(one, defs, inside) for one in schema[union]]
            return "|".join(kind for kind in dict.fromkeys(kinds) if kind != "null") or "null"
    return _plain(schema, defs, inside)


def _plain(schema: Schema, defs: Schema, inside: tuple[str, ...]) -> str:
    kind = schema.get("type", "any")
    if kind == "array":
        return f"[{_type(schema.get('items', {}), defs, inside)}]"
    if kind != "object":
        return str(kind)
    if "properties" in schema:
        return f"{{{_properties(schema, defs, inside)}}}"
    values = schema.get("additionalProperties")
    return f"{{name: {_type(values, defs, inside)}}}" if isinstance(values, Mapping) else "{}"
