"""Patterns and formats of strings, against Python's ``re``."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from workbench.errors import InvalidGrammar

Accepts = Callable[[Any, str], bool]

PATTERNS = [
    "^a*b?$",
    "^(ab|ba)+$",
    "^[^a]b{2,3}$",
    r"^\d\w$",
    "b$",
    "^a",
    "ab",
    "^a$|^bb$",
    "^(?:a|b1){0,2}?$",
    r"^a\.?1$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_string_meets_a_pattern_as_python_searches_it(accepts: Accepts, pattern: str) -> None:
    for length in range(5):
        for letters in itertools.product("ab1", repeat=length):
            text = "".join(letters)
            assert accepts({"pattern": pattern}, json.dumps(text)) is bool(re.search(pattern, text)), text


def test_quotes_and_backslashes_are_escaped_in_the_output(accepts: Accepts) -> None:
    schema = {"pattern": r'^["\\]\n$'}
    assert accepts(schema, json.dumps('"\n'))
    assert accepts(schema, json.dumps("\\\n"))
    assert not accepts(schema, '"""')


def test_characters_beyond_ascii(accepts: Accepts) -> None:
    assert accepts({"pattern": "^[é-ü]😀.$"}, '"ö😀é"')
    assert not accepts({"pattern": "^[é-ü]$"}, '"a"')


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", r"(a)\1", "(?i)a", "(?P<n>a)", r"\bword", "a{3,1}", "(", "[z-a]", "a**", "[]", "a^"]
)
def test_what_is_not_understood_is_refused(accepts: Accepts, pattern: str) -> None:
    with pytest.raises(InvalidGrammar, match="near character"):
        accepts({"pattern": pattern}, '"a"')


def test_a_length_that_the_pattern_keeps_by_itself_is_fine_and_another_refused(accepts: Accepts) -> None:
    assert accepts({"pattern": "^a{2,4}$", "minLength": 2, "maxLength": 4}, '"aaa"')
    with pytest.raises(InvalidGrammar, match=r"it allows 1 to any number of characters"):
        accepts({"pattern": "^a+$", "maxLength": 4}, '"aaa"')


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date", "2024-11-30", "2024-11-31"),
        ("time", "23:59:59Z", "24:00:00Z"),
        ("date-time", "2024-02-28T01:02:03.5+01:00", "2024-02-30T01:02:03Z"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-c456-426614174000"),
        ("uuid4", "123e4567-e89b-42d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ("email", "jo.doe@example.org", "jo@doe@example.org"),
        ("ipv4", "192.168.0.255", "192.168.0.256"),
        ("ipv6", "2001:db8:0:0:0:0:0:1", "2001:db8"),
        ("uri", "https://example.org/a/b", "example.org"),
        ("duration", "P3DT4H", "3 days"),
    ],
)
def test_formats(accepts: Accepts, form: str, good: str, bad: str) -> None:
    assert accepts({"type": "string", "format": form}, f'"{good}"')
    assert not accepts({"type": "string", "format": form}, f'"{bad}"')


def test_an_unknown_format_is_refused_with_the_known_ones(accepts: Accepts) -> None:
    with pytest.raises(InvalidGrammar, match=r"'isbn'.*Known: .*date-time"):
        accepts({"type": "string", "format": "isbn"}, '"x"')
