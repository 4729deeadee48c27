"""GBNF being written: names, literals, classes, repetitions, and the characters of a JSON string.

Sets of characters are sorted lists of code point ranges, both ends included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from workbench.engine.sampling.gbnf import MAX_REPETITIONS, ROOT
from workbench.errors import InvalidGrammar

Ranges = list[tuple[int, int]]

LAST = 0x10FFFF
MAX_RULES = 20_000
_BLOCK = 1000
_ESCAPES = {'"': '"', "\\": "\\", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_LITERAL = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_RAW: Ranges = [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, LAST)]
"""What may stand in a JSON string as it is (RFC 8259, section 7), without the surrogates, which UTF-8 cannot carry."""
_HEX = "[0-9a-fA-F]"
_ANY_ESCAPE = f'"\\\\" (["\\\\/bfnrt] | "u" ([0-9a-cA-CefEF] {_HEX} | [dD] [0-7]) {_HEX}{{2}})'
"""No escaped surrogates either: half a pair would be valid JSON, but no text."""


class Writer:
    """Rules by name; the same body is written once."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._by_body: dict[str, str] = {}

    def reserve(self, hint: str) -> str:
        """A name for a rule that is defined later, as recursion needs it."""
        if len(self._rules) >= MAX_RULES:
            raise InvalidGrammar(f"The JSON schema comes to more than {MAX_RULES:,} grammar rules. Make it simpler.")
        name = f"{hint}-{len(self._rules)}"
        self._rules[name] = ""
        return name

    def define(self, name: str, body: str) -> None:
        """What a reserved name stands for."""
        self._rules[name] = body

    def rule(self, hint: str, body: str) -> str:
        """The name of a rule with this body."""
        name = self._by_body.get(body)
        if name is None:
            name = self._by_body[body] = self.reserve(hint)
            self.define(name, body)
        return name

    def text(self, start: str) -> str:
        """The grammar whose outputs are those of rule ``start``."""
        rules = [(ROOT, start), *self._rules.items()]
        return "".join(f"{name} ::= {body}\n" for name, body in rules if body)

    def string_char(self, ranges: Ranges | None = None) -> str:
        """The name of a rule for one character of a JSON string, out of ``ranges`` or any."""
        if ranges is None:
            return self.rule("char", f"{char_class(_RAW)} | {_ANY_ESCAPE}")
        plain = intersect(ranges, _RAW)
        ways = [char_class(plain)] if plain else []
        ways += [literal("\\" + letter) for char, letter in _ESCAPES.items() if contains(ranges, ord(char))]
        if not ways:
            raise InvalidGrammar("A pattern asks for a character that no JSON string can hold as it is.")
        return self.rule("char", " | ".join(ways))

    def repeat(self, item: str, low: int, high: int | None) -> str:
        """``item``, the name of a rule, between ``low`` and ``high`` times; ``None``: any number."""
        if high is None:
            return f"{self._exactly(item, low)} {item}*".strip()
        return f"{self._exactly(item, low)} {self._up_to(item, high - low)}".strip()

    def _exactly(self, item: str, count: int) -> str:
        if count <= MAX_REPETITIONS:
            return f"{item}{{{count}}}" if count else ""
        blocks, rest = divmod(count, _BLOCK)
        return f"{self._block(item, blocks)}{{{blocks}}} {self._exactly(item, rest)}".strip()

    def _up_to(self, item: str, count: int) -> str:
        """Written out in blocks where llama.cpp does not count so far, without more than two ways to read a text."""
        if count <= MAX_REPETITIONS:
            return f"{item}{{0,{count}}}" if count else ""
        blocks, rest = divmod(count, _BLOCK)
        block = self._block(item, blocks)
        tail = self._up_to(item, rest)
        return f"({block}{{0,{blocks - 1}}} {item}{{0,{_BLOCK}}} | {block}{{{blocks}}} {tail})"

    def _block(self, item: str, blocks: int) -> str:
        if blocks > MAX_REPETITIONS:
            raise InvalidGrammar(f"The JSON schema counts beyond {_BLOCK * MAX_REPETITIONS:,}. Lower its limits.")
        return self.rule("block", f"{item}{{{_BLOCK}}}")


def literal(text: str) -> str:
    """``text`` as a GBNF literal."""
    return f'"{text.translate(_LITERAL)}"'


def json_literal(value: Any) -> str:
    """The JSON text of a value as a GBNF literal."""
    return literal(json.dumps(value, ensure_ascii=False))


def char_class(ranges: Ranges) -> str:
    """A GBNF class."""
    return "[" + "".join(_spelt(a) if a == b else f"{_spelt(a)}-{_spelt(b)}" for a, b in ranges) + "]"


def _spelt(point: int) -> str:
    if chr(point).isascii() and chr(point).isalnum():
        return chr(point)
    return f"\\x{point:02X}" if point < 0x100 else f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"


def tidy(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted and merged."""
    merged: Ranges = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def intersect(a: Ranges, b: Ranges) -> Ranges:
    """What is in both."""
    return tidy((max(x, u), min(y, v)) for x, y in a for u, v in b if max(x, u) <= min(y, v))


def complement(ranges: Ranges, last: int = LAST) -> Ranges:
    """All up to ``last`` that are not in ``ranges``."""
    found, begin = [], 0
    for low, high in tidy(ranges):
        if begin < low:
            found.append((begin, low - 1))
        begin = high + 1
    return found + ([(begin, last)] if begin <= last else [])


def contains(ranges: Ranges, point: int) -> bool:
    """Whether a code point is in a set."""
    return any(low <= point <= high for low, high in ranges)
