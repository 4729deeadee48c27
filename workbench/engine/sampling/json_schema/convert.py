"""JSON schema → GBNF: one rule for each part of the schema, recursion by name."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from workbench.engine.sampling.json_schema.arrays import write_array
from workbench.engine.sampling.json_schema.formats import PATTERNS, PLAIN
from workbench.engine.sampling.json_schema.merging import Flattener, Schema, Unsatisfiable, merge, types_of
from workbench.engine.sampling.json_schema.numbers import Interval, decimals, integers
from workbench.engine.sampling.json_schema.objects import write_object
from workbench.engine.sampling.json_schema.overlap import overlap
from workbench.engine.sampling.json_schema.patterns import lengths, parse_pattern, write
from workbench.engine.sampling.json_schema.writing import Writer, json_literal
from workbench.errors import InvalidGrammar

_MAX_NESTING = 60
_KINDS = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "integer": set(),
    "boolean": set(),
    "null": set(),
}


def schema_to_gbnf(schema: Schema) -> str:
    """A grammar whose outputs are all valid under ``schema``.

    Raises:
        InvalidGrammar: the schema is broken, contradicts itself, or asks for what a grammar cannot promise.
    """
    return Converter(schema).text()


class Converter:
    """One conversion.

    Args:
        document: the whole schema, as plain JSON values.
    """

    def __init__(self, document: Schema) -> None:
        self._document = document
        self.flattener = Flattener(document)
        self.writer = Writer()
        self._known: dict[str, str] = {}
        self._depth = 0

    def text(self) -> str:
        """The grammar."""
        return self.writer.text(self.visit(self._document))

    @property
    def space(self) -> str:
        """White space between the parts of a value: none, a blank, or a new line with an indentation."""
        return self.writer.rule("space", '" "? | "\\n" [ \\t]{0,20}')

    def visit(self, schema: Any) -> str:
        """The name of the rule for a schema.

        Raises:
            Unsatisfiable: nothing is valid under it.
            InvalidGrammar: it cannot be promised.
        """
        if isinstance(schema, dict) and set(schema) == {"$ref"}:
            return self._once(f"$ref {schema['$ref']}", self.flattener.target(schema["$ref"]))
        flat = self.flattener.flat(schema)
        return self._once(json.dumps(flat), flat)

    def _once(self, key: str, schema: Any) -> str:
        name = self._known.get(key)
        if name is None:
            self._depth += 1
            if self._depth > _MAX_NESTING:
                raise InvalidGrammar(f"The JSON schema is nested more than {_MAX_NESTING} deep. Flatten it.")
            name = self._known[key] = self.writer.reserve("value")
            try:
                self.writer.define(name, self._body(self.flattener.flat(schema)))
            except InvalidGrammar:
                del self._known[key]
                raise
            finally:
                self._depth -= 1
        return name

    def _body(self, flat: Schema) -> str:
        for key in ("anyOf", "oneOf"):
            if key in flat:
                return self._union(flat, key)
        if "enum" in flat:
            return self._enum(flat)
        kinds = self._kinds(flat)
        return " | ".join(dict.fromkeys(self._kind(kind, flat) for kind in kinds))

    def _union(self, flat: Schema, key: str) -> str:
        base = {name: value for name, value in flat.items() if name != key}
        branches = []
        for branch in flat[key]:
            try:
                branches.append(merge(base, self.flattener.flat(branch)))
            except Unsatisfiable:
                continue  # nothing of it can be written, the others can
        if key == "oneOf":
            self._check_disjoint(branches)
        rules = []
        for branch in branches:
            try:
                rules.append(self.visit(branch))
            except Unsatisfiable:
                continue
        if not rules:
            raise Unsatisfiable(f"No branch of {key!r} in the JSON schema can be met.")
        return " | ".join(dict.fromkeys(rules))

    def _check_disjoint(self, branches: list[Schema]) -> None:
        for i, one in enumerate(branches):
            for other in branches[i + 1 :]:
                if overlap(one, other, self.flattener):
                    raise InvalidGrammar(
                        "Two branches of 'oneOf' in the JSON schema may both hold for one value, and a grammar cannot "
                        "rule that out. Use 'anyOf', or give each branch a property with its own 'const'."
                    )

    def _enum(self, flat: Schema) -> str:
        values = [value for value in flat["enum"] if self._admits(flat, value)]
        if not values:
            raise Unsatisfiable("No value of an 'enum' or 'const' in the JSON schema meets the rest of it.")
        return " | ".join(json_literal(value) for value in values)

    def _admits(self, flat: Schema, value: Any) -> bool:
        """Whether a listed value meets the keywords beside the list."""
        kind = _kind_of(value)
        if (
            "type" in flat
            and kind not in (types := types_of(flat["type"]))
            and not (kind == "integer" and "number" in types)
        ):
            return False
        beside = flat.keys() & _KINDS["number" if kind == "integer" else kind]
        if not beside:
            return True
        if kind in ("integer", "number") and beside <= {*_KINDS["number"]} - {"multipleOf"}:
            return _interval(flat).holds(Decimal(str(value)))
        if kind == "string" and beside <= {"minLength", "maxLength"}:
            return bool(flat.get("minLength", 0) <= len(value) <= flat.get("maxLength", len(value)))
        raise InvalidGrammar(f"'enum' or 'const' together with {sorted(beside)} in the JSON schema is not supported.")

    def _kinds(self, flat: Schema) -> list[str]:
        """The types a value may have; without ``type``, those that the keywords speak of."""
        if "type" in flat:
            kinds = types_of(flat["type"])
            if not kinds:
                raise Unsatisfiable("'type' of the JSON schema is an empty list.")
            return [kind for kind in kinds if kind != "integer" or "number" not in kinds]
        meant = [kind for kind, keywords in _KINDS.items() if keywords & flat.keys()]
        return meant or ["object", "array", "string", "number", "boolean", "null"]

    def _kind(self, kind: str, flat: Schema) -> str:
        if kind == "object":
            return write_object(self, flat)
        if kind == "array":
            return write_array(self, flat)
        if kind == "string":
            return self.string(flat)
        if kind == "boolean":
            return '"true" | "false"'
        if kind == "null":
            return '"null"'
        return self._number(kind, flat)

    def _number(self, kind: str, flat: Schema) -> str:
        step = flat.get("multipleOf")
        if step is not None and (step != int(step) or step < 1):
            raise InvalidGrammar(f"multipleOf {step!r} in the JSON schema is not supported; whole numbers from 1 are.")
        if kind == "integer" or step is not None:
            return self.writer.rule("integer", integers(_interval(flat), int(step or 1)))
        return self.writer.rule("number", decimals(_interval(flat)))

    def string(self, flat: Schema) -> str:
        """The body of a rule for a string."""
        low, high = flat.get("minLength", 0), flat.get("maxLength")
        if high is not None and high < low:
            raise Unsatisfiable(f"The JSON schema asks for a string of at least {low} and at most {high} characters.")
        pattern = self._pattern(flat)
        if pattern is None:
            return self.writer.rule("string", f'"\\"" {self.writer.repeat(self.writer.string_char(), low, high)} "\\""')
        expression = parse_pattern(pattern)
        least, most = lengths(expression)
        if least < low or (high is not None and (most is None or most > high)):
            raise InvalidGrammar(
                f"A string of the JSON schema has a length limit (minLength {low}, maxLength {high}) that its pattern "
                f"or format does not keep by itself (it allows {least} to {most or 'any number of'} characters). "
                "Write the limit into the pattern, with {m,n}."
            )
        return self.writer.rule("string", f'"\\"" {write(self.writer, expression)} "\\""')

    def _pattern(self, flat: Schema) -> str | None:
        form = flat.get("format")
        if form is None or form in PLAIN:
            return flat.get("pattern")
        if "pattern" in flat:
            raise InvalidGrammar("'pattern' and 'format' together in the JSON schema are not supported. Keep one.")
        if form not in PATTERNS:
            known = ", ".join(sorted({*PATTERNS, *PLAIN}))
            raise InvalidGrammar(f"The format {form!r} in the JSON schema is not supported. Known: {known}.")
        return f"^(?:{PATTERNS[form]})$"


def _kind_of(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    return {float: "number", str: "string", list: "array"}.get(type(value), "object")


def _interval(flat: Schema) -> Interval:
    low, low_open = _tighter(flat.get("minimum"), flat.get("exclusiveMinimum"), max)
    high, high_open = _tighter(flat.get("maximum"), flat.get("exclusiveMaximum"), min)
    return Interval(low, high, low_open, high_open)


def _tighter(closed: Any, opened: Any, tighter: Any) -> tuple[Decimal | None, bool]:
    ends = [Decimal(str(end)) for end in (closed, opened) if end is not None]
    if not ends:
        return None, False
    end: Decimal = tighter(ends)
    return end, opened is not None and Decimal(str(opened)) == end
