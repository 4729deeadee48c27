"""Objects: the listed keys in their order, then keys of other names where the schema has a schema for them.

A listed key comes at most once. Other keys are written without escapes, so that none can spell a listed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.engine.sampling.json_schema.merging import Schema, Unsatisfiable
from workbench.engine.sampling.json_schema.writing import (
    LAST,
    char_class,
    complement,
    contains,
    intersect,
    json_literal,
    literal,
)
from workbench.errors import InvalidGrammar

if TYPE_CHECKING:
    from workbench.engine.sampling.json_schema.convert import Converter

EMPTY = '""'
_PLAIN = [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, LAST)]


def write_object(converter: Converter, flat: Schema) -> str:
    """The body of a rule for an object.

    Raises:
        Unsatisfiable: a key is required whose value can be nothing.
        InvalidGrammar: a count of keys that a grammar cannot promise.
    """
    required = flat.get("required", [])
    listed = _listed(flat, required)
    pairs: list[tuple[str, bool]] = []
    for name, schema in listed.items():
        try:
            value = converter.visit(schema)
        except Unsatisfiable:
            if name in required:
                raise
            continue
        pair = converter.writer.rule("pair", f'{json_literal(name)} ":" {converter.space} {value}')
        pairs.append((pair, name in required))
    other = _other_pair(converter, flat, list(listed))
    _check_counts(flat, len(required), len(pairs), other is not None)
    inside = _members(converter, pairs, other, flat)
    return converter.writer.rule("object", f'"{{" {converter.space} {inside} "}}"')


def _listed(flat: Schema, required: list[str]) -> dict[str, Any]:
    """Every key that has a name, with its schema."""
    unlisted = flat.get("additionalProperties", True)
    listed = dict(flat.get("properties", {}))
    return listed | {name: unlisted for name in required if name not in listed}


def _other_pair(converter: Converter, flat: Schema, listed: list[str]) -> str | None:
    """The rule for a key without a name and its value, where the schema means there to be any."""
    schema = flat.get("additionalProperties", not listed)
    if schema is False:
        return None
    try:
        value = converter.visit(schema)
    except Unsatisfiable:
        return None
    return converter.writer.rule("pair", f'{_other_key(converter, listed)} ":" {converter.space} {value}')


def _other_key(converter: Converter, listed: list[str]) -> str:
    """Any string but the listed ones: one rule for each of their beginnings."""
    if not listed:
        return converter.string({})
    writer = converter.writer
    plain = writer.rule("plain", char_class(_PLAIN))
    rules: dict[str, str] = {}
    for beginning in sorted({name[:end] for name in listed for end in range(len(name) + 1)}, key=len, reverse=True):
        nexts = [longer[-1] for longer in rules if len(longer) == len(beginning) + 1 and longer[:-1] == beginning]
        taken = [(ord(char), ord(char)) for char in sorted(nexts)]
        ways = [f'{char_class(intersect(complement(taken), _PLAIN))} {plain}* "\\""']
        ways += [f"{literal(char)} {rules[beginning + char]}" for char in nexts if contains(_PLAIN, ord(char))]
        if beginning not in listed:
            ways.append('"\\""')
        rules[beginning] = writer.rule("other", " | ".join(ways))
    return f'"\\"" {rules[""]}'


def _check_counts(flat: Schema, required: int, listed: int, others: bool) -> None:
    low, high = flat.get("minProperties", 0), flat.get("maxProperties")
    if high is not None and high < low:
        raise Unsatisfiable(f"The JSON schema asks for an object of at least {low} and at most {high} keys.")
    only_others = others and not listed
    if low > max(required, 1 if only_others else 0):
        raise InvalidGrammar(
            f"minProperties {low} of the JSON schema is not supported beyond the required keys: a grammar cannot tell "
            "whether keys repeat. Name the keys under 'required'."
        )
    if high is not None and not only_others and (others or listed > high):
        raise InvalidGrammar("maxProperties of the JSON schema is not supported beside listed keys. Leave it out.")


def _members(converter: Converter, pairs: list[tuple[str, bool]], other: str | None, flat: Schema) -> str:
    """What stands between the braces. Built from the end: what may follow a member, and what may come first."""
    writer, space = converter.writer, converter.space
    others = writer.rule("member", f'"," {space} {other}') if other else ""
    if other and not pairs:
        low, high = flat.get("minProperties", 0), flat.get("maxProperties")
        if high == 0:
            return ""
        many = f"{other} {writer.repeat(others, 0, None if high is None else high - 1)} {space}".strip()
        return many if low else f"({many})?"
    following = f"{others}*" if other else ""
    leading = f"({other} {others}* {space})?" if other else ""
    for pair, needed in reversed(pairs):
        first = f"{pair} {following} {space}"
        leading = first if needed else writer.rule("members", f"{first} | {leading or EMPTY}")
        more = f'"," {space} {pair}' if needed else f'("," {space} {pair})?'
        following = writer.rule("rest", f"{more} {following}".strip())
    return leading
