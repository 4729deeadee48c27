"""GBNF text, read and found harmless before llama.cpp sees it.

llama.cpp's own parser says what is wrong on stderr only, hangs on `{5,2}`, drops an upper bound above 2,000 without a
word, and recurses or multiplies without limit on grammars made to do so. This reads the same language
(`grammars/README.md` of llama.cpp) into a small tree and refuses what cannot work. Knows nothing about tokens' texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from workbench.errors import InvalidGrammar

ROOT = "root"
MAX_TEXT_CHARS = 1 << 20
MAX_NESTING = 100
MAX_REPETITIONS = 2000
"""MAX_REPETITION_THRESHOLD in llama.cpp (`src/llama-grammar.cpp`)."""
MAX_ELEMENTS = 200_000
"""Elements of all rules with the repetitions written out; cloning a grammar compares every one of them."""

_NAME = re.compile(r"[a-zA-Z0-9-]+")
_NUMBER = re.compile(r"[0-9]+")
_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_CHAR = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\\"\[\]-])|[^\\]", re.DOTALL)
_TOKEN = re.compile(r"!?<(?:\[([0-9]+)\]|[^>]*)>")


@dataclass(frozen=True, slots=True)
class Chars:
    """``elements`` characters or classes one after another; none: the empty text."""

    elements: int


@dataclass(frozen=True, slots=True)
class Token:
    """One token by its id or its spelling, or any but it; ``text`` as written, without the ``!``."""

    text: str


@dataclass(frozen=True, slots=True)
class Ref:
    """Another rule."""

    name: str


@dataclass(frozen=True, slots=True)
class Group:
    """One of several sequences."""

    alternatives: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``item`` at least ``low`` and at most ``high`` times; ``None``: any number."""

    item: Node
    low: int
    high: int | None


Node = Chars | Token | Ref | Group | Repeat
Rules = dict[str, Group]


def parse(text: str) -> Rules:
    """The rules of a grammar, by name.

    Raises:
        InvalidGrammar: not GBNF, or larger than is sane; says where.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidGrammar(f"The grammar has {len(text):,} characters; {MAX_TEXT_CHARS:,} is the limit. Shorten it.")
    if "\0" in text:
        raise InvalidGrammar("The grammar contains a NUL character, at which llama.cpp would stop reading. Remove it.")
    return _Parser(text).rules()


class _Parser:
    """Recursive descent over one text; ``_at`` is the next character."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def rules(self) -> Rules:
        rules: Rules = {}
        self._skip(_SPACE_LINES)
        while self._at < len(self._text):
            name = self._need(_NAME, "the name of a rule")
            self._skip(_SPACE)
            if name in rules:
                self._fail(f"rule {name!r} is defined twice; write its alternatives with |")
            self._expect("::=")
            self._skip(_SPACE_LINES)
            rules[name] = self._alternatives(_SPACE)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                self._fail("expected the end of the line: a rule goes on only after | or inside ( )")
            self._skip(_SPACE_LINES)
        return rules

    def _alternatives(self, space: re.Pattern[str]) -> Group:
        alternatives = [self._sequence(space)]
        while self._peek() == "|":
            self._at += 1
            self._skip(_SPACE_LINES)
            alternatives.append(self._sequence(space))
        return Group(tuple(alternatives))

    def _sequence(self, space: re.Pattern[str]) -> tuple[Node, ...]:
        nodes: list[Node] = []
        while (first := self._peek()) and first not in "|)\r\n":
            if first in "*+?{":
                if not nodes:
                    self._fail(f"{first!r} has nothing before it to repeat")
                if isinstance(nodes[-1], Repeat) and isinstance(nodes[-1].item, Repeat):
                    self._fail("more than two repetition signs in a row")
                nodes[-1] = self._repeat(nodes[-1], first)
            else:
                nodes.append(self._item(first))
            self._skip(space)
        return tuple(nodes)

    def _item(self, first: str) -> Node:
        if first == '"':
            return self._literal()
        if first == "[":
            return self._class()
        if first == "(":
            return self._group()
        if first == ".":
            self._at += 1
            return Chars(1)
        if first in "<!":
            return Token(self._need(_TOKEN, "a token, as <text> or <[id]>").lstrip("!"))
        return Ref(self._need(_NAME, "a literal, a class, a group or the name of a rule"))

    def _literal(self) -> Chars:
        self._at += 1
        count = 0
        while self._peek() != '"':
            self._need(_CHAR, 'a character, an escape or the closing "')
            count += 1
        self._at += 1
        return Chars(count)

    def _class(self) -> Chars:
        self._at += 2 if self._text.startswith("[^", self._at) else 1
        count = 0
        while self._peek() != "]":
            low = self._need(_CHAR, "a character, an escape or the closing ]")
            count += 1
            if self._peek() == "-" and not self._text.startswith("-]", self._at):
                self._at += 1
                high = self._need(_CHAR, "the end of the range")
                count += 1
                if code_point(low) > code_point(high):
                    self._fail(f"the range {low}-{high} is empty")
        if not count:
            self._fail("a class without characters, which llama.cpp takes for the empty text")
        self._at += 1
        return Chars(count)

    def _group(self) -> Group:
        self._depth += 1
        if self._depth > MAX_NESTING:
            self._fail(f"groups nested more than {MAX_NESTING} deep; give the inner ones names")
        self._at += 1
        self._skip(_SPACE_LINES)
        group = self._alternatives(_SPACE_LINES)
        self._expect(")")
        self._depth -= 1
        return group

    def _repeat(self, item: Node, sign: str) -> Repeat:
        self._at += 1
        if sign != "{":
            return Repeat(item, int(sign == "+"), 1 if sign == "?" else None)
        self._skip(_SPACE_LINES)
        low = self._count()
        high: int | None = low
        self._skip(_SPACE_LINES)
        if self._peek() == ",":
            self._at += 1
            self._skip(_SPACE_LINES)
            high = None if self._peek() == "}" else self._count()
            self._skip(_SPACE_LINES)
        self._expect("}")
        if high is not None and high < low:
            self._fail(f"{{{low},{high}}} asks for at least more than at most")
        return Repeat(item, low, high)

    def _count(self) -> int:
        digits = self._need(_NUMBER, "a number of repetitions")
        if len(digits) > 9 or int(digits) > MAX_REPETITIONS:
            self._fail(f"{digits[:12]} repetitions; llama.cpp counts to {MAX_REPETITIONS:,} at most")
        return int(digits)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, space: re.Pattern[str]) -> None:
        found = space.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _need(self, what: re.Pattern[str], called: str) -> str:
        found = what.match(self._text, self._at)
        if not found:
            self._fail(f"expected {called}")
        self._at = found.end()
        return found.group()

    def _expect(self, sign: str) -> None:
        if not self._text.startswith(sign, self._at):
            self._fail(f"expected {sign}")
        self._at += len(sign)

    def _fail(self, problem: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1
        near = self._text[self._at : self._at + 20].split("\n")[0]
        found = f" (found {near!r})" if near else ""
        raise InvalidGrammar(f"Grammar, line {line}, column {column}: {problem}{found}.")


def code_point(char: str) -> int:
    """The code point of a character as GBNF writes it, escaped or not."""
    if len(char) == 1:
        return ord(char)
    return int(char[2:], 16) if char[1] in "xuU" else ord({"t": "\t", "r": "\r", "n": "\n"}.get(char[1], char[1]))


def nodes(node: Node) -> Iterator[Node]:
    """A node and everything in it."""
    yield node
    if isinstance(node, Repeat):
        yield from nodes(node.item)
    elif isinstance(node, Group):
        for sequence in node.alternatives:
            for part in sequence:
                yield from nodes(part)


def holds(node: Node, leaf: Callable[[Node], bool]) -> bool:
    """Whether a node can become something all of whose leaves satisfy ``leaf`` (one alternative, fewest repeats)."""
    if isinstance(node, Group):
        return any(all(holds(part, leaf) for part in sequence) for sequence in node.alternatives)
    if isinstance(node, Repeat):
        return node.low == 0 or holds(node.item, leaf)
    return leaf(node)
