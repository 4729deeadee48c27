"""Schemas made flat: references followed, ``allOf`` and neighbours of a reference merged into one schema.

A merged schema allows exactly what all its parts allow together.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from workbench.errors import InvalidGrammar

Schema = dict[str, Any]

ANNOTATIONS = {
    *("title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$schema", "$id", "$comment", "$defs", "definitions", "$anchor", "discriminator", "contentMediaType"),
}
"""Keywords that constrain nothing."""
_GREATEST = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_LEAST = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_SAME = {"pattern", "format", "multipleOf", "prefixItems"}
SUPPORTED = {
    *_GREATEST,
    *_LEAST,
    *_SAME,
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "uniqueItems"),
    *("$ref", "allOf", "anyOf", "oneOf"),
}
KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")
_MAX_HOPS = 100


class Unsatisfiable(InvalidGrammar):
    """Nothing at all is valid under a schema, or under a part of it."""


class Flattener:
    """Flattens the parts of one schema document; follows references inside it only.

    Args:
        document: the whole schema.
    """

    def __init__(self, document: Schema) -> None:
        self._document = document

    def flat(self, schema: Any, hops: int = 0) -> Schema:
        """A schema without annotations, references and ``allOf``.

        Raises:
            InvalidGrammar: an unsupported keyword, a reference that leads nowhere or elsewhere.
            Unsatisfiable: the parts contradict each other.
        """
        if hops > _MAX_HOPS:
            raise InvalidGrammar("References of the JSON schema lead round in a circle.")
        own = self._checked(schema)
        parts = [self.flat(part, hops + 1) for part in own.pop("allOf", [])]
        if "$ref" in own:
            parts.append(self.flat(self.target(own.pop("$ref")), hops + 1))
        for part in parts:
            own = merge(own, part)
        return own

    def _checked(self, schema: Any) -> Schema:
        if schema is True:
            return {}
        if schema is False:
            raise Unsatisfiable("The JSON schema needs a value where it allows none (false).")
        if not isinstance(schema, dict):
            raise InvalidGrammar(f"{str(schema)[:80]!r} stands in the JSON schema where a schema belongs.")
        if "$id" in schema and schema is not self._document:
            raise InvalidGrammar("'$id' inside a part of the JSON schema is not supported. Leave it out.")
        own = {key: value for key, value in schema.items() if key not in ANNOTATIONS and not key.startswith("x-")}
        if "items" in own and isinstance(own["items"], list):  # draft 7 and older
            own["prefixItems"] = own.pop("items")
            if "additionalItems" in own:
                own["items"] = own.pop("additionalItems")
        _check_keywords(own)
        if "const" in own:
            own["enum"] = [value for value in own.get("enum", [own["const"]]) if same(value, own["const"])]
            del own["const"]
        return own

    def target(self, reference: Any) -> Any:
        """What a reference inside the document points to.

        Raises:
            InvalidGrammar: nothing, or something elsewhere: nothing is fetched.
        """
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise InvalidGrammar(
                f"$ref {str(reference)[:200]!r} does not point into the JSON schema itself, and nothing is fetched. "
                'Put what it means under "$defs" and write "#/$defs/...".'
            )
        found: Any = self._document
        for part in reference.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, dict) and key in found:
                found = found[key]
            else:
                raise InvalidGrammar(
                    f"$ref {reference[:200]!r} of the JSON schema leads nowhere: no {key[:80]!r} there."
                )
        return found


_SHAPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), int),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float)),
    **dict.fromkeys(("pattern", "format"), str),
    **dict.fromkeys(("enum", "required", "prefixItems", "allOf", "anyOf", "oneOf"), list),
    "properties": dict,
    "type": (str, list),
}


def _check_keywords(schema: Schema) -> None:
    for key, value in schema.items():
        if key not in SUPPORTED:
            raise InvalidGrammar(
                f"{key!r} of the JSON schema is not supported, and ignoring it could give invalid output. Leave it out "
                f"and check for it afterwards. Supported: {', '.join(sorted(SUPPORTED))}."
            )
        shape = _SHAPES.get(key)
        if shape and (not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool)):
            raise InvalidGrammar(f"{key!r} of the JSON schema has a value of the wrong type: {str(value)[:80]!r}.")
        if key == "required" and not all(isinstance(name, str) for name in value):
            raise InvalidGrammar("'required' of the JSON schema must be a list of keys.")
        if key == "type" and not all(isinstance(kind, str) and kind in KINDS for kind in types_of(value)):
            raise InvalidGrammar(f"Unknown type {str(value)[:80]!r} in the JSON schema. Known: {', '.join(KINDS)}.")
        if key[:3] in ("min", "max") and key[3:] in ("Length", "Items", "Properties") and value < 0:
            raise InvalidGrammar(f"{key!r} of the JSON schema is negative.")


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0, but not true."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def merge(a: Schema, b: Schema) -> Schema:
    """What both flat schemas allow.

    Raises:
        Unsatisfiable: plainly nothing.
        InvalidGrammar: two patterns, formats or the like that cannot be made one.
    """
    for one, other in ((a, b), (b, a)):
        if "prefixItems" in one and "prefixItems" not in other and "items" in other:
            raise InvalidGrammar(
                "The JSON schema gives items in one part and 'prefixItems' in another. Write them as one."
            )
    merged = {**a, **b}
    for key in a.keys() & b.keys():
        merged[key] = _merged_keyword(key, a[key], b[key])
    properties = _merged_properties(a, b)
    if properties:
        merged["properties"] = properties
    return merged


def _merged_keyword(key: str, a: Any, b: Any) -> Any:
    if key in _GREATEST:
        return max(a, b)
    if key in _LEAST:
        return min(a, b)
    if key == "type":
        return merged_types(types_of(a), types_of(b))
    if key == "enum":
        return [value for value in a if any(same(value, other) for other in b)]
    if key == "required":
        return list(dict.fromkeys([*a, *b]))
    if key == "uniqueItems":
        return a or b
    if key in ("items", "additionalProperties"):
        return both(a, b)
    if key in ("anyOf", "oneOf"):
        return [both(x, y) for x, y in itertools.product(a, b)]
    if key == "properties" or a == b:
        return a
    raise InvalidGrammar(f"The JSON schema asks for two different {key!r} at once: {a!r} and {b!r}. Write them as one.")


def both(a: Any, b: Any) -> Any:
    """A schema for what two schemas, flat or not, both allow."""
    if a is False or b is False:
        return False
    if a in (True, {}) or a == b:
        return b
    return a if b in (True, {}) else {"allOf": [a, b]}


def _merged_properties(a: Schema, b: Schema) -> Schema:
    found: Schema = {}
    mine, theirs = a.get("properties", {}), b.get("properties", {})
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        found[name] = both(
            mine.get(name, a.get("additionalProperties", True)), theirs.get(name, b.get("additionalProperties", True))
        )
    return found


def types_of(value: str | list[str]) -> list[str]:
    """The value of ``type`` as a list."""
    return [value] if isinstance(value, str) else list(value)


def merged_types(a: list[str], b: list[str]) -> list[str]:
    """Types in both lists; a number that must be an integer is one.

    Raises:
        Unsatisfiable: there are none.
    """
    found = [kind for kind in a if kind in b or (kind == "integer" and "number" in b)]
    found += [kind for kind in b if kind == "integer" and "number" in a and kind not in found]
    if not found:
        raise Unsatisfiable(f"The JSON schema needs a value to be {a} and {b} at once.")
    return found
