"""Whether one value could be valid under two schemas: what ``oneOf`` forbids. Says "yes" unless it is sure."""

from __future__ import annotations

from typing import Any

from workbench.engine.sampling.json_schema.merging import Flattener, Schema, Unsatisfiable, merged_types, same, types_of

_MAX_NESTING = 8


def overlap(a: Schema, b: Schema, flattener: Flattener, depth: int = 0) -> bool:
    """Whether two flat schemas may both allow a value.

    They do not if their types differ, if they list values and have none in common, or if both require a key whose
    schemas do not overlap.
    """
    if "type" in a and "type" in b:
        try:
            merged_types(types_of(a["type"]), types_of(b["type"]))
        except Unsatisfiable:
            return False
    if "enum" in a and "enum" in b:
        return any(same(x, y) for x in a["enum"] for y in b["enum"])
    if depth >= _MAX_NESTING or not (_is_object(a) and _is_object(b)):
        return True
    return all(
        _property_overlaps(a["properties"][name], b["properties"][name], flattener, depth) for name in _both_need(a, b)
    )


def _is_object(schema: Schema) -> bool:
    return schema.get("type") == "object"


def _both_need(a: Schema, b: Schema) -> list[str]:
    required = set(a.get("required", [])) & set(b.get("required", []))
    return sorted(required & a.get("properties", {}).keys() & b.get("properties", {}).keys())


def _property_overlaps(a: Any, b: Any, flattener: Flattener, depth: int) -> bool:
    try:
        return overlap(flattener.flat(a), flattener.flat(b), flattener, depth + 1)
    except Unsatisfiable:
        return False
