"""Bounds of numbers, against a validator that only compares."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from workbench.errors import InvalidGrammar

Accepts = Callable[[Any, str], bool]


def bounded(random: random.Random, kind: str, bound: Callable[[], float]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    if random.random() < 0.8:
        schema[random.choice(["minimum", "exclusiveMinimum"])] = bound()
    if random.random() < 0.8:
        schema[random.choice(["maximum", "exclusiveMaximum"])] = bound()
    return schema


def is_valid(schema: dict[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def test_integers_are_exactly_those_between_the_bounds(accepts: Accepts) -> None:
    draw = random.Random(1)
    for _ in range(25):
        schema = bounded(draw, "integer", lambda: draw.randint(-130, 230))
        near = range(-150, 260)
        if not any(is_valid(schema, n) for n in near):
            with pytest.raises(InvalidGrammar, match="none lies between its bounds"):
                accepts(schema, "1")
            continue
        assert [n for n in near if accepts(schema, str(n))] == [n for n in near if is_valid(schema, n)], schema


def test_decimals_are_never_outside_the_bounds_and_mostly_reachable(accepts: Accepts) -> None:
    draw = random.Random(2)
    accepted = valid = 0
    for _ in range(60):
        schema = bounded(draw, "number", lambda: round(draw.uniform(-30, 30), draw.choice([0, 1, 2])))
        bounds = [value for value in schema.values() if value != "number"] or [0.0]
        for _ in range(20):
            text = f"{draw.choice(bounds) + draw.choice([0, 0.01, -0.01, 0.1, -1, draw.uniform(-5, 5)]):.2f}"
            try:
                taken = accepts(schema, text)
            except InvalidGrammar:
                break
            assert is_valid(schema, json.loads(text)) or not taken, (schema, text)
            accepted, valid = accepted + taken, valid + is_valid(schema, json.loads(text))
    assert accepted > 0.9 * valid > 0


@pytest.mark.parametrize(
    ("text", "good"),
    [("0.999999999999999", True), ("1", False), ("1.0", False), ("0.9999999999999999999", False), ("-0.5", True)],
)
def test_an_excluded_bound_is_not_reached_by_rounding(accepts: Accepts, text: str, good: bool) -> None:
    schema = {"type": "number", "exclusiveMinimum": -1, "exclusiveMaximum": 1}
    assert accepts(schema, text) is (good and len(text) <= 16)


def test_multiples(accepts: Accepts) -> None:
    schema = {"type": "integer", "multipleOf": 7, "minimum": -10, "maximum": 30}
    assert [n for n in range(-20, 40) if accepts(schema, str(n))] == [-7, 0, 7, 14, 21, 28]
    with pytest.raises(InvalidGrammar, match="multipleOf 7 needs a minimum and a maximum"):
        accepts({"type": "integer", "multipleOf": 7}, "7")
    with pytest.raises(InvalidGrammar, match=r"multipleOf 0\.1"):
        accepts({"type": "number", "multipleOf": 0.1}, "0.1")


@pytest.mark.parametrize("text", ["01", "1.", ".5", "+1", "1e", "--1", "0x1", "NaN", ""])
def test_what_is_no_json_number_is_none(accepts: Accepts, text: str) -> None:
    assert not accepts({"type": "number"}, text)


@pytest.mark.parametrize("text", ["0", "-12", "3.25", "1e9", "-0.5E-3"])
def test_what_is_a_json_number_is_one(accepts: Accepts, text: str) -> None:
    assert accepts({"type": "number"}, text)


def test_a_bound_with_more_digits_than_a_double_is_refused(accepts: Accepts) -> None:
    with pytest.raises(InvalidGrammar, match="more than 15 digits"):
        accepts({"type": "number", "minimum": 0.12345678901234567}, "1")
