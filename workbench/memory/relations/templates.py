"""The lexicon's lines as compiled templates, indexed by the word they start from.

Knows nothing of how a sentence is searched for them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

from workbench.memory.relations.lexicon import text_of
from workbench.memory.relations.records import SENTIMENT

_FLAGS: Final = frozenset({"cannot", "would", "wouldnot", "not", "can", "could", "never", "must", "unpaid"})
_TYPES: Final = (*SENTIMENT, "any")


@dataclass(frozen=True, slots=True)
class Template:
    """One way of saying a type.

    `subject` is the slot of the grammatical subject (X, Y, or X's/Y's before a noun); `noun` the word after "X's" for
    such subjects; `head` the verb's lemmas; `rest` what follows, each element a slot, a gap or a set of words.
    """

    type: str
    subject: str
    noun: frozenset[str]
    flag: str
    head: frozenset[str]
    rest: tuple[frozenset[str] | str, ...]
    denies: bool
    change: bool
    mutual: bool
    text: str


def _element(word: str) -> frozenset[str] | str:
    if word in ("X", "Y", "X's", "Y's", "...", "{n}"):
        return word
    return frozenset(word.strip("()").split("|"))


def _expand(words: list[str]) -> list[list[str]]:
    """Optional words in brackets, once with and once without."""
    choices = [([word.strip("()")], []) if word.startswith("(") else ([word],) for word in words]
    return [[word for part in pick for word in part] for pick in product(*choices)]


def _compile(line: str, kind: str) -> list[Template]:
    words = line.split()
    marks = {"-": False, "!": False, "=": False}
    while words[0] in marks:
        marks[words.pop(0)] = True
    found = []
    for variant in _expand(words):
        subject = variant.pop(0)
        noun = frozenset(variant.pop(0).split("|")) if subject.endswith("'s") else frozenset[str]()
        flag = variant.pop(0) if variant[0] in _FLAGS else ""
        head = frozenset(variant.pop(0).split("|"))
        rest = tuple(_element(word) for word in variant)
        found.append(Template(kind, subject, noun, flag, head, rest, marks["-"], marks["!"], marks["="], line))
    return found


@cache
def templates() -> tuple[Template, ...]:
    """Every template of the lexicon, the longer ones first: the more words match, the surer the reading."""
    found = [
        template
        for kind in _TYPES
        for line in text_of(f"sayings/{kind}.txt").splitlines()
        if line and not line.startswith("#")
        for template in _compile(line, "" if kind == "any" else kind)
    ]
    return tuple(sorted(found, key=lambda template: (not template.flag, -len(template.rest))))


@cache
def by_head() -> dict[str, tuple[Template, ...]]:
    """Lemma of the verb → its templates, longest first."""
    found: dict[str, list[Template]] = defaultdict(list)
    for template in templates():
        for lemma in template.head:
            found[lemma].append(template)
    return {lemma: tuple(members) for lemma, members in found.items()}


@cache
def predicatives() -> dict[str, tuple[Template, ...]]:
    """First word after "be" → the templates that also stand without the verb ("afraid of Karl, she …")."""
    found: dict[str, list[Template]] = defaultdict(list)
    for template in by_head().get("be", ()):
        first = template.rest[0] if template.rest else ""
        if isinstance(first, frozenset) and not template.flag and not template.noun:
            for word in first:
                found[word].append(template)
    return {word: tuple(members) for word, members in found.items()}


@cache
def heads() -> frozenset[str]:
    """Every verb the lexicon uses."""
    return frozenset(lemma for template in templates() for lemma in template.head)
