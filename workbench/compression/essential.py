"""Words that decide what a sentence says, however likely they are: digits, names, negations, and what is asked for.

A model expects "not" after "did" and the name of whom everybody talks about, so that self-information alone would drop
them. English negations; names by their capital letters, which in German marks every noun. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from workbench.compression.pieces import sentences
from workbench.ranking.words import STOPWORDS, fold, terms

_NEGATING = """
no not never none nobody nothing nowhere neither nor without cannot hardly barely except unless refuse refused
dont doesnt didnt isnt wasnt arent werent wont wouldnt couldnt shouldnt cant hasnt havent hadnt
"""
_NEGATIONS = frozenset(_NEGATING.split())
_CLOSING = ".,;:!?)\u2026"
_LETTERS = re.compile(r"[^\W\d_]+")


def names(texts: Iterable[str]) -> frozenset[str]:
    """Folded words that somebody writes with a capital, and nobody without one. Stop words ("I", "The") are none."""
    capital: set[str] = set()
    small: set[str] = set()
    for text in texts:
        for word in _LETTERS.findall(text):
            (capital if word[0].isupper() else small).add(word)
    found = {fold(word) for word in capital} - {fold(word) for word in small}
    return frozenset(found - STOPWORDS)


def essential(
    text: str, spans: Sequence[tuple[int, int]], named: frozenset[str], asked: frozenset[str] = frozenset()
) -> list[bool]:
    """Which words of a text have to stay.

    Args:
        text: what is said.
        spans: (start, end) of its words.
        named: :func:`names` of the whole conversation.
        asked: index terms (:func:`workbench.ranking.terms`) of the query.
    """
    openings = {start for start, _ in sentences(text)}
    return [_matters(text[start:end], start in openings, named, asked) for start, end in spans]


def _matters(word: str, opening: bool, named: frozenset[str], asked: frozenset[str]) -> bool:
    if any(character.isdigit() for character in word) or negates(word):
        return True
    return _is_name(word, opening, named) or (bool(asked) and not asked.isdisjoint(terms(word)))


def negates(word: str) -> bool:
    """Whether a word, punctuation and all, turns what is said into its opposite."""
    plain = fold(word).replace("\u2019", "'").strip("\"'.,;:!?()[]\u2026*_-")
    return plain.endswith("n't") or plain.replace("'", "") in _NEGATIONS


def negated(text: str, spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Which words may not be parted from the one that follows, for one of the two negates the other.

    A negation reaches to the next content word of its sentence ("not the captain"); at the end of a clause, back to the
    word before ("I think not."). One that is a sentence by itself ("No.") stands for itself.
    """
    openings, words = {start for start, _ in sentences(text)}, [text[start:end] for start, end in spans]
    joined = [False] * len(words)
    for place, word in enumerate(words):
        if not negates(word):
            continue
        opens = place == 0 or spans[place][0] in openings
        if word[-1] in _CLOSING and not opens:
            joined[place - 1] = True
            continue
        for at in range(place, len(words) - 1):
            if spans[at + 1][0] in openings:
                break
            joined[at] = True
            if not leads_on(words[at + 1]):
                break
    return joined


def leads_on(word: str) -> bool:
    """Whether a word belongs to the one that follows: a function word without punctuation after it."""
    return word[-1].isalpha() and fold(word).replace("'", "") in STOPWORDS


def _is_name(word: str, opening: bool, named: frozenset[str]) -> bool:
    for letters in _LETTERS.findall(word)[:1]:
        folded = fold(letters)
        return letters[0].isupper() and folded not in STOPWORDS and (not opening or folded in named)
    return False
