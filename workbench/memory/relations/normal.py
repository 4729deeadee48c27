"""The text as it is read: one kind of quotation mark and dash, idioms as single words; every character keeps its place.

Knows nothing of sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from workbench.memory.relations.lexicon import rows, word_set
from workbench.memory.relations.mentions import Mention
from workbench.memory.relations.tokens import Token

#: Single quotation marks and apostrophes as ', the short dash as the long one.
_MARKS: Final = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u2013": "\u2014"})
#: Speech in single quotation marks: it ends in a mark, and its apostrophes stand inside words.
_SINGLE_QUOTES: Final = re.compile(r"(?<!\w)'((?:[^'\"\n]|(?<=\w)'(?=\w)){2,400}?[,.!?\u2014])'(?!\w)")
_IDIOMS: Final = {idiom.strip(): word for word, text in rows("idioms.txt") for idiom in text.split("|")}
_IDIOM: Final = re.compile(
    r"\b(?:" + "|".join(f"(?i:{idiom[0]}){idiom[1:]}" for idiom in sorted(_IDIOMS, key=len, reverse=True)) + r")\b"
)
_DATING: Final = word_set("in last this next every early late since until of by mid")
_PAIRS: Final = {tuple(pair.split()): word for word, text in rows("pairs.txt") for pair in text.split("|")}


def even(text: str) -> str:
    """`text` with plain marks, as long as before."""
    return _SINGLE_QUOTES.sub(r'"\1"', text.translate(_MARKS))


def without_idioms(text: str, mentions: Sequence[Mention]) -> str:
    """`text` with its idioms replaced by single words padded to their length; names are left as they are."""
    inside = {i for mention in mentions for i in range(mention.start, mention.end)}

    def plain(match: re.Match[str]) -> str:
        if match.start() in inside or match.end() - 1 in inside:
            return match.group()
        return _IDIOMS[match.group().lower()].ljust(len(match.group()))

    return _IDIOM.sub(plain, text)


def merged(tokens: Sequence[Token]) -> list[Token]:
    """Tokens with those pairs joined that work as one word ("no longer", "each other")."""
    found: list[Token] = []
    for token in tokens:
        before = found[-1] if found else None
        word = _PAIRS.get((before.low, token.low)) if before is not None else None
        if word and before is not None and not before.is_name and not token.is_name:
            found[-1] = Token(f"{before.text} {token.text}", word, before.start, token.end)
        else:
            if token.text == "May" and before is not None and before.low in _DATING:
                token.low = "maytime"  # the month, no modal verb
            found.append(token)
    return found
