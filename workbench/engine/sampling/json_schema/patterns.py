r"""Regular expressions → GBNF over the characters of a JSON string.

Understood (the part of ECMA 262 that Python's ``re`` reads alike): literals, ``.``, classes, ``\d \w \s`` and their
opposites (ASCII only, so that every reader agrees), groups, ``|``, ``* + ? {m,n}``, and ``^`` and ``$`` at the ends of
alternatives. The rest is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from workbench.engine.sampling.json_schema.writing import LAST, Ranges, Writer, complement, literal, tidy
from workbench.errors import InvalidGrammar

_DIGITS: Ranges = [(0x30, 0x39)]
_WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
_SPACE: Ranges = [(0x09, 0x0D), (0x20, 0x20)]
_SHORTHANDS = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    **{name: complement(ranges, 0x7F) for name, ranges in (("D", _DIGITS), ("W", _WORD), ("S", _SPACE))},
}
_CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
_LINE_ENDS: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
_ANY: Ranges = [(0, LAST)]
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
_BRACES = re.compile(r"\{([0-9]{1,7})(,([0-9]{0,7}))?\}")
_MAX_NESTING = 50


@dataclass(frozen=True, slots=True)
class One:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class All:
    """Parts one after another."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of several."""

    options: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A part repeated; ``None``: without end."""

    part: Expression
    low: int
    high: int | None


Expression = One | All | Any | Many


def parse_pattern(pattern: str) -> Expression:
    """A search pattern as an expression that the whole string has to match.

    Raises:
        InvalidGrammar: it uses what is not understood, or is no regular expression.
    """
    return _Parser(pattern).whole()


def lengths(expression: Expression) -> tuple[int, int | None]:
    """The least and the greatest number of characters; ``None``: without end."""
    if isinstance(expression, One):
        return 1, 1
    if isinstance(expression, Many):
        low, high = lengths(expression.part)
        return low * expression.low, None if high is None or expression.high is None else high * expression.high
    inner = [lengths(part) for part in (expression.parts if isinstance(expression, All) else expression.options)]
    lows, highs = [low for low, _ in inner], [high for _, high in inner]
    join = sum if isinstance(expression, All) else max
    most = None if None in highs else join([0, *(high for high in highs if high is not None)])
    return (sum(lows) if isinstance(expression, All) else min(lows)), most


def write(writer: Writer, expression: Expression) -> str:
    """The GBNF of an expression, without the quotes around the string."""
    if isinstance(expression, One):
        return _write_one(writer, expression.ranges)
    if isinstance(expression, All):
        return " ".join(filter(None, (write(writer, part) for part in expression.parts)))
    if isinstance(expression, Any):
        return "(" + " | ".join(write(writer, option) or '""' for option in expression.options) + ")"
    inner = write(writer, expression.part)
    return writer.repeat(writer.rule("part", inner), expression.low, expression.high) if inner else ""


def _write_one(writer: Writer, ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        point = ranges[0][0]
        if point >= 0x20 and point not in (0x22, 0x5C) and not 0xD800 <= point <= 0xDFFF:
            return literal(chr(point))
    return writer.string_char(ranges)


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text, self._at, self._depth = pattern, 0, 0

    def whole(self) -> Expression:
        options = [self._anchored()]
        while self._take("|"):
            options.append(self._anchored())
        if self._at < len(self._text):
            self._fail("an unbalanced parenthesis")
        return Any(tuple(options))

    def _anchored(self) -> Expression:
        """An alternative at the top: it may begin and end anywhere unless it says where."""
        anything = Many(One(_ANY), 0, None)
        before = () if self._take("^") else (anything,)
        middle = self._sequence()
        after = () if self._take("$") else (anything,)
        return All((*before, middle, *after))

    def _alternatives(self) -> Expression:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Any(tuple(options))

    def _sequence(self) -> Expression:
        parts: list[Expression] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            if (
                self._text[self._at] == "$"
                and self._depth == 0
                and self._text[self._at + 1 : self._at + 2] in ("", "|")
            ):
                break
            parts.append(self._repeated(self._atom()))
        return All(tuple(parts))

    def _repeated(self, atom: Expression) -> Expression:
        bounds: tuple[int, int | None] | None = None
        for sign, low, high in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._take(sign):
                bounds = (low, high)
        if bounds is None and (found := _BRACES.match(self._text, self._at)):
            self._at = found.end()
            low = int(found[1])
            bounds = (low, low if not found[2] else int(found[3]) if found[3] else None)
            if bounds[1] is not None and bounds[1] < low:
                self._fail("a repetition of at least more than at most")
        if bounds is None:
            return atom
        if not self._take("?") and self._text[self._at : self._at + 1] in ("*", "+", "{"):  # lazy: the same language
            self._fail("a repetition of a repetition")
        return Many(atom, *bounds)

    def _atom(self) -> Expression:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        if char == "[":
            return One(self._class())
        if char in "*+?{^$":
            self._fail(f"{char!r} where it has no meaning, or one that is not supported")
        self._at += 1
        if char == ".":
            return One(complement(_LINE_ENDS))
        return One(self._escape() if char == "\\" else [(ord(char), ord(char))])

    def _group(self) -> Expression:
        self._at += 1
        if self._take("?") and not self._take(":"):
            self._fail("a group that looks around, has a name or sets flags")
        self._depth += 1
        if self._depth > _MAX_NESTING:
            self._fail(f"groups nested more than {_MAX_NESTING} deep")
        inner = self._alternatives()
        if not self._take(")"):
            self._fail("an unbalanced parenthesis")
        self._depth -= 1
        return inner

    def _escape(self) -> Ranges:
        """What a backslash, already taken, and what follows it stand for."""
        char = self._text[self._at : self._at + 1]
        if found := _HEX.match(self._text, self._at):
            self._at = found.end()
            return [(int(found[1] or found[2], 16),) * 2]
        self._at += 1
        if char in _SHORTHANDS:
            return _SHORTHANDS[char]
        if char in _CONTROLS:
            return [(_CONTROLS[char],) * 2]
        if not char or char.isalnum():
            self._fail(f"the escape \\{char}")
        return [(ord(char), ord(char))]

    def _class(self) -> Ranges:
        self._at += 1
        negated = self._take("^")
        found: Ranges = []
        shorthand = False
        while not self._take("]"):
            low, is_set = self._class_item()
            shorthand |= is_set
            if (
                not is_set
                and self._text[self._at : self._at + 1] == "-"
                and self._text[self._at + 1 : self._at + 2] != "]"
            ):
                self._at += 1
                high, is_set = self._class_item()
                if is_set or high[0][0] < low[0][0]:
                    self._fail("a range that runs backwards or to a class")
                low = [(low[0][0], high[0][0])]
            found += low
        if not found:
            self._fail("an empty class")
        # Which letters \w has beyond ASCII is not agreed on: outside ASCII "not \w" is nothing.
        return complement(found, 0x7F if shorthand else LAST) if negated else tidy(found)

    def _class_item(self) -> tuple[Ranges, bool]:
        char = self._text[self._at : self._at + 1]
        if not char:
            self._fail("an unbalanced bracket")
        self._at += 1
        if char != "\\":
            return [(ord(char), ord(char))], False
        name = self._text[self._at : self._at + 1]
        if name == "b":
            self._at += 1
            return [(8, 8)], False
        return self._escape(), name in _SHORTHANDS

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _fail(self, problem: str) -> NoReturn:
        raise InvalidGrammar(
            f"The pattern {self._text[:200]!r} of the JSON schema has, near character {self._at}, {problem}. "
            "Write it with literals, classes, groups, |, * + ? {m,n}, and ^ and $ at the ends."
        )
