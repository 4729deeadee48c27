"""Arrays: places with schemas of their own, then any number of equal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.engine.sampling.json_schema.merging import Schema, Unsatisfiable
from workbench.errors import InvalidGrammar

if TYPE_CHECKING:
    from workbench.engine.sampling.json_schema.convert import Converter


def write_array(converter: Converter, flat: Schema) -> str:
    """The body of a rule for an array.

    Raises:
        Unsatisfiable: no number of items is allowed.
        InvalidGrammar: ``uniqueItems``, which a grammar cannot promise.
    """
    first = flat.get("prefixItems", [])
    # Items beyond the places listed are allowed but not asked for: they come only as far as minItems needs them.
    rest = flat.get("items", not first or flat.get("minItems", 0) > len(first))
    low, high = flat.get("minItems", 0), flat.get("maxItems")
    if rest is False:
        high = len(first) if high is None else min(high, len(first))
    if high is not None and high < low:
        raise Unsatisfiable(f"The JSON schema asks for an array of at least {low} and at most {high} items.")
    if flat.get("uniqueItems") and (high is None or high > 1):
        raise InvalidGrammar(
            "'uniqueItems' of the JSON schema is not supported: a grammar cannot compare items. Leave it out and drop "
            "repeated items afterwards (in pydantic: list instead of set)."
        )
    inside = _items(converter, first, rest, low, high)
    return converter.writer.rule("array", f'"[" {converter.space} {inside} "]"')


def _items(converter: Converter, first: list[Any], rest: Any, low: int, high: int | None) -> str:
    """What stands between the brackets: each item with its comma before it, the optional ones nested."""
    space = converter.space
    places = first if high is None else first[:high]
    body = ""
    if high is None or high > len(places):
        body = _equal_items(converter, rest, max(0, low - len(places)), high, len(places))
    for index in reversed(range(len(places))):
        comma = f'"," {space} ' if index else ""
        body = f"{comma}{converter.visit(places[index])} {body}".strip()
        if index >= low:
            body = f"({body})?"
        body = converter.writer.rule("places", body)
    return f"{body} {space}" if body else ""


def _equal_items(converter: Converter, rest: Any, low: int, high: int | None, placed: int) -> str:
    most = None if high is None else high - placed
    if most == 0:
        return ""
    try:
        item = converter.visit(rest)
    except Unsatisfiable:
        if low:
            raise
        return ""
    writer = converter.writer
    following = writer.rule("item", f'"," {converter.space} {item}')
    if placed:
        return writer.repeat(following, low, most)
    many = f"{item} {writer.repeat(following, max(0, low - 1), None if most is None else most - 1)}".strip()
    return writer.rule("items", many if low else f"({many})?")
