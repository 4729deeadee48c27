"""What a schema's grammar allows, and which schemas are refused rather than half obeyed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from workbench.errors import InvalidGrammar

Accepts = Callable[[Any, str], bool]

NODE = {
    "type": "object",
    "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
    "required": ["v", "next"],
}

CASES = [
    ({"type": "boolean"}, ["true", "false"], ["null", "True", "true "]),
    ({}, ["1", '"a"', "null", "[]", '{"a": [1, {}]}'], ["", "[1,]", "{a: 1}"]),
    ({"type": ["string", "null"], "maxLength": 1}, ['"a"', "null", '"\\u00e9"', '"😀"'], ['"ab"', "1"]),
    ({"type": "string"}, ['"\\n"', '"é"', '"\\u0041"'], ['"\n"', '"\\ud83d"', '"\\x"', '"', '"\\"']),
    ({"enum": ['a"b\\', "é\n", 1, None]}, ['"a\\"b\\\\"', '"é\\n"', "1", "null"], ['"a"', "2"]),
    ({"enum": [1, "a", 2.5], "type": "number", "minimum": 2}, ["2.5"], ["1", '"a"']),
    ({"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 3}, ["[1]", "[1, 1,1]"], ["[]", "[1,1,1,1]"]),
    ({"type": "array", "items": False}, ["[]"], ["[1]"]),
    (
        {"prefixItems": [{"const": "a"}, {"const": 2}], "items": {"const": 3}, "minItems": 1},
        ['["a"]', '["a", 2]', '["a",2,3,3]'],
        ["[]", '["a",3]', '[2,"a"]'],
    ),
    ({"items": [{"const": 1}], "additionalItems": False}, ["[]", "[1]"], ["[1,1]"]),
    (
        {"properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["b"]},
        ['{"a":1, "b":2,"c":3}', '{"b":2}', '{\n  "a": 1,\n  "b": 2\n}', '{"b":2,"c":3}'],
        ["{}", '{"a":1}', '{"b":2,"b":2}', '{"b":2,}', '{,"b":2}', '{"b":2,"x":1}'],
    ),
    (
        {"properties": {"ab": {"const": 1}, "a": {"const": 2}}, "additionalProperties": {"type": "null"}},
        ["{}", '{"ab":1}', '{"abc":null}', '{"b":null,"":null}', '{"a":2,"ac":null}'],
        ['{"ab":null}', '{"a":null}', '{"\\u0061":null}', '{"b":1}'],
    ),
    (
        {"type": "object", "additionalProperties": {"const": 1}, "maxProperties": 2},
        ["{}", '{"a":1,"b":1}'],
        ['{"a":1,"b":1,"c":1}'],
    ),
    ({"$defs": {"node": NODE}, "$ref": "#/$defs/node"}, ['{"v":1,"next":{"v":2,"next":null}}'], ['{"v":1,"next":{}}']),
    (
        {
            "$defs": {"a/b": {"const": 1}, "node": {"const": 2}},
            "properties": {"node": {"$ref": "#/$defs/a~1b"}},
            "required": ["node"],
        },
        ['{"node":1}'],
        ['{"node":2}'],
    ),
    (
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"a": {"minimum": 5, "maximum": 6}}},
            ],
            "type": "object",
        },
        ['{"a":5}'],
        ['{"a":4}', "{}"],
    ),
    (
        {"type": "string", "minLength": 2, "anyOf": [{"maxLength": 3}, {"enum": ["long enough", "x"]}]},
        ['"ab"', '"long enough"'],
        ['"a"', '"x"', '"abcd"'],
    ),
    (
        {
            "oneOf": [
                {"type": "object", "properties": {"t": {"const": "x"}}, "required": ["t"]},
                {"type": "object", "properties": {"t": {"const": "y"}}, "required": ["t"]},
            ]
        },
        ['{"t":"x"}', '{"t":"y"}'],
        ['{"t":"z"}'],
    ),
    (
        {"properties": {'ключ "q"': {"const": 1}, "😀": {"const": 2}}, "required": ["😀"]},
        ['{"ключ \\"q\\"":1,"😀":2}'],
        ['{"😀":1}'],
    ),
    ({"properties": {"a": False, "b": {"const": 1}}}, ["{}", '{"b":1}'], ['{"a":1}']),
    (
        {"type": "string", "minLength": 2001, "maxLength": 3500},
        [f'"{"a" * 2001}"', f'"{"a" * 3500}"'],
        [f'"{"a" * 2000}"', f'"{"a" * 3501}"'],
    ),
]


@pytest.mark.parametrize(("schema", "good", "bad"), CASES)
def test_the_grammar_takes_what_is_valid_and_nothing_else(
    accepts: Accepts, schema: Any, good: list[str], bad: list[str]
) -> None:
    assert [text for text in good if not accepts(schema, text)] == []
    assert [text for text in bad if accepts(schema, text)] == []


REFUSED = {
    "a remote reference": ({"$ref": "https://example.org/s.json"}, "nothing is fetched"),
    "a dangling reference": ({"$ref": "#/$defs/x"}, r"leads nowhere: no '\$defs'"),
    "a reference to itself": ({"$ref": "#"}, "round in a circle"),
    "endless recursion": (
        {"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}, "$ref": "#/$defs/n"},
        "never ends",
    ),
    "not": ({"not": {}}, "'not' .* is not supported"),
    "a misspelt keyword": ({"type": "string", "maxLenght": 3}, "'maxLenght' .* Supported: .*maxLength"),
    "unique items": ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    "overlapping oneOf": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "Use 'anyOf'"),
    "contradictory types": ({"allOf": [{"type": "string"}, {"type": "null"}]}, "at once"),
    "contradictory bounds": ({"type": "integer", "minimum": 5, "maximum": 3}, "from 5 up to 3"),
    "an empty enum": ({"enum": []}, "No value of an 'enum'"),
    "an unknown type": ({"type": "text"}, "Unknown type 'text'.*Known: object"),
    "a required key that may not be": ({"required": ["a"], "additionalProperties": False}, "allows none"),
    "a count as text": ({"type": "string", "minLength": "3"}, "wrong type"),
    "deep nesting": (functools.reduce(lambda inner, _: {"items": inner}, range(70), {}), "nested more than 60 deep"),
    "several least keys": ({"type": "object", "minProperties": 2}, "minProperties 2"),
    "half a surrogate pair": ({"const": "\ud800"}, "surrogate"),
    "items in two ways": ({"allOf": [{"items": {"const": 1}}, {"prefixItems": [{}]}]}, "Write them as one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_promised_is_refused(accepts: Accepts, name: str) -> None:
    schema, words = REFUSED[name]
    with pytest.raises(InvalidGrammar, match=words):
        accepts(schema, "1")


def test_nothing_is_fetched(accepts: Accepts, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(InvalidGrammar, match="nothing is fetched"):
        accepts({"properties": {"a": {"$ref": "http://example.org/s.json#/a"}}}, "{}")
