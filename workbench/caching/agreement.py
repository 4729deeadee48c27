"""Why one question's answer may not serve another: what the two say differently, however alike they sound.

Guards, in the order of their cost: numbers, negation, what is asked for, names, opposites and closed classes, and who
does what to whom. A guard speaks only when it is sure; the rest is left to a measured similarity. Knows two readings,
no vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, product

from workbench.caching.opposites import opposed
from workbench.caching.reading import Reading, base_of

_SURE = frozenset(
    ("how many", "how much", "how long", "how old", "how far", "how often", "when", "where", "why", "who")
)
_DIRECTED = "than to into from over by before after beat beats against"
_UNDIRECTED = "difference differ compare compared comparison vs versus between and or both"
_TURNING, _SYMMETRIC = frozenset(_DIRECTED.split()), frozenset(_UNDIRECTED.split())
_ALIASES = {"usa": "america", "us": "america", "britain": "uk", "british": "uk", "england": "english"}
_ENDINGS = ("ians", "ian", "ans", "ese", "ia", "an", "ns", "a", "n", "s")


def disagreement(one: Reading, other: Reading) -> str:
    """What keeps one answer from serving both, in a few words; empty: nothing that can be told."""
    return next(_disagreements(one, other), "")


def _disagreements(one: Reading, other: Reading) -> Iterator[str]:
    if one.words == other.words:
        return
    if one.numbers != other.numbers:
        yield f"numbers differ: {_listed(one.numbers)} and {_listed(other.numbers)}"
    if one.negations % 2 != other.negations % 2:
        yield "one is negated, the other is not"
    if asks_otherwise(one.asks, other.asks):
        yield f"one asks {one.asks!r}, the other {other.asks!r}"
    missing = {*missing_names(one, other), *missing_names(other, one)}
    if missing:
        yield f"only one names {_listed(missing)}"
    pair = opposites(one, other)
    if pair:
        yield f"{pair[0]!r} is not {pair[1]!r}"
    if turned(one, other):
        yield "the same words in another order"


def asks_otherwise(one: str, other: str) -> bool:
    """Whether two kinds of question cannot have one answer: at least one of them says clearly what it wants."""
    return one != other and bool(one and other) and not {one, other}.isdisjoint(_SURE)


def missing_names(one: Reading, other: Reading) -> list[str]:
    """Names of ``one`` that ``other`` does not have, in whatever spelling."""
    theirs = _spellings(other)
    found = {name for name in one.names if any(_same_name(name, word) for word in theirs)}
    short = {name for run in _runs(one) if _initials(run) in other.words for name in run}
    return sorted(one.names - found - short)


def opposites(one: Reading, other: Reading) -> tuple[str, str] | None:
    """Two words, one of each text, that may not stand for each other and of which the other text has only its own."""
    mine, theirs = set(one.words) - set(other.words), set(other.words) - set(one.words)
    return next(((a, b) for a, b in product(sorted(mine), sorted(theirs)) if opposed(a, b)), None)


def turned(one: Reading, other: Reading) -> bool:
    """Whether what stands before and after a word that has a direction ("than", "to") has changed sides.

    "Is A better than B" and "Is B better than A", "km to miles" and "miles to km"; not "A or B" and "B or A", nor
    "places to see in Rome" and "places in Rome to see".
    """
    if one.terms != other.terms or one.content == other.content or not _SYMMETRIC.isdisjoint(one.words):
        return False
    for word in _TURNING.intersection(one.words).intersection(other.words):
        before, after = _sides(one, word)
        other_before, other_after = _sides(other, word)
        if after and other_after and after != other_after and after <= other_before and other_after <= before:
            return True
    return False


def _sides(reading: Reading, word: str) -> tuple[frozenset[str], frozenset[str]]:
    """Base forms of what stands before a word, and after it up to the next one with a direction."""
    at = reading.words.index(word)
    rest = reading.words[at + 1 :]
    end = next((place for place, later in enumerate(rest) if later in _TURNING), len(rest))
    return _bases(reading.words[:at]), _bases(rest[:end])


def _bases(words: Iterable[str]) -> frozenset[str]:
    return frozenset(base for word in words if (base := base_of(word)))


def _spellings(reading: Reading) -> set[str]:
    """The words of a text, two of them written as one, and the initials of each run: "uk" for "United Kingdom"."""
    joined = {first + second for first, second in pairwise(reading.words)}
    return {*reading.words, *joined, *map(_initials, _runs(reading))}


def _runs(reading: Reading) -> Iterator[tuple[str, ...]]:
    """Two to four words in a row."""
    words = reading.words
    return (words[at : at + size] for size in (2, 3, 4) for at in range(len(words) - size + 1))


def _initials(run: tuple[str, ...]) -> str:
    return "".join(word[0] for word in run)


def _same_name(name: str, word: str) -> bool:
    """Whether two folded words are one name: of a country and its people too, "India" and "Indians"."""
    if name == word:
        return True
    mine, theirs = _nation(_ALIASES.get(name, name)), _nation(_ALIASES.get(word, word))
    return mine in (theirs, word) or theirs == name


def _nation(word: str) -> str:
    """A name without the ending that makes a people of a country; what is left has at least three letters."""
    return next((word.removesuffix(end) for end in _ENDINGS if word.endswith(end) and len(word) - len(end) >= 3), word)


def _listed(items: Iterable[str]) -> str:
    return ", ".join(sorted(items)) or "none"
