"""Where the given names stand in a text: longest first, whole words, exact spelling; parts of a name if unambiguous.

Knows nothing of grammar beyond the few cues that tell "Will" the man from "will" the verb.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from workbench.memory.relations.lexicon import word_set
from workbench.memory.relations.lexicon.words import ABBREVIATIONS, FEMALE_NAMES, MALE_NAMES, SUBJECT_PRONOUNS

#: Words in a name that name nobody by themselves.
TITLES: Final = word_set(
    """
    king queen prince princess lord lady sir dame duke duchess baron baroness count countess earl
    captain commander general admiral colonel major sergeant lieutenant corporal private detective
    inspector chief constable officer doctor professor master mistress father mother brother sister
    saint old young little big great uncle aunt judge senator governor president minister chancellor
    emperor empress bishop abbot abbess friar cook nurse agent deputy sheriff pilot ensign cadet mr mrs
    ms miss dr st house order clan guild village port town city colony kingdom duke league union court
    company crew bank trader ser marshal regent the of and van von de la le du der den bin al el first
    officer petty sub mate viscount marquis marchioness ambassador director overseer foreman matron
    madame madam monsieur don dona señor señora herr frau brotherhood sisterhood free red black white
    iron silver golden blue green grey gray sons daughters people knights brothers sisters circle
    council army legion north south east west republic empire duchy
    """
)
_ARTICLE: Final = re.compile(r"(?i)^(?:the|a|an)\s+")
_MONTHLIKE: Final = frozenset(
    {"May", "April", "June", "August", "Summer", "Autumn", "Winter", "Spring", "Dawn", "January"}
)
_MODALLIKE: Final = frozenset({"Will", "May", "Can", "Might"})
_DATE_ONLY: Final = re.compile(
    r"(?:\b(?:in|last|next|early|late|mid|this|every|\d{1,2}(?:st|nd|rd|th)?(?: of)?)[ -])$", re.IGNORECASE
)


class Mention(NamedTuple):
    """Characters start..end of the text name entity number `entity`."""

    start: int
    end: int
    entity: int


def _initial(text: str, start: int) -> bool:
    before = text[:start].rstrip(" \t\n\"“'(")
    return not before or before[-1] in ".!?:\n"


def _is_word(text: str, start: int, end: int) -> bool:
    """Whether a name that is also an everyday word stands here as that word."""
    found = text[start:end]
    if found in _MONTHLIKE and _DATE_ONLY.search(text[max(0, start - 12) : start]):
        return True
    if found in _MONTHLIKE and re.match(r"\s+(?:\d{1,4}\b|comes?\b|came\b)", text[end : end + 8]):
        return True
    if not _initial(text, start):
        return False
    following = re.match(r"\s+([^\W\d_]+)", text[end : end + 40])
    word = following.group(1) if following else ""
    if found in _MODALLIKE:
        return word.lower() in SUBJECT_PRONOUNS | {"the", "his", "her"} or word[:1].isupper()
    return found in ("Mark", "Chase", "Grace", "Hope", "Trust", "Bill", "Frank", "Pat") and word.lower() in (
        "my",
        "the",
        "that",
        "your",
        "you",
        "for",
    )


def _aliases(names: Sequence[str]) -> dict[str, int]:
    """A name without its article, and every single telling word of a longer name that belongs to one entity only."""
    counts: Counter[str] = Counter()
    owner: dict[str, int] = {}
    for number, name in enumerate(names):
        for word in {piece.strip(".,") for piece in name.split()}:
            counts[word] += 1
            if word[:1].isupper() and word.lower() not in TITLES and len(word) > 1 and " " in name.strip():
                owner[word] = number
    spelled = set(names)
    found = {word: number for word, number in owner.items() if counts[word] == 1 and word not in spelled}
    for number, name in enumerate(names):
        bare = _ARTICLE.sub("", name)
        for other in (bare, f"the {bare}", f"The {bare}"):
            if other and other not in spelled:
                found.setdefault(other, number)
    return found


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    ordered = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(r"(?<![\w])(?:" + "|".join(re.escape(name) for name in ordered) + r")(?![\w])")


def _part_of_longer(text: str, start: int) -> bool:
    """Whether another capitalised word stands before a partial name: then it names somebody else ("Tom Holt")."""
    before = re.search(r"([^\W\d_][\w'-]*)\.?\s$", text[max(0, start - 30) : start])
    if before is None or not before.group(1)[0].isupper():
        return False
    word = before.group(1).lower()
    if _initial(text, start - len(before.group(0))):
        return word in FEMALE_NAMES or word in MALE_NAMES
    return word not in TITLES | ABBREVIATIONS


def find_mentions(text: str, names: Sequence[str]) -> list[Mention]:
    """Every mention of `names` (distinct, not blank) in reading order, none overlapping another."""
    if not names:
        return []
    numbers = {name: number for number, name in enumerate(names)}
    aliases = _aliases(names)
    found = []
    for match in _pattern([*numbers, *aliases]).finditer(text):
        start, end = match.span()
        name = match.group()
        partial = name not in numbers and " " not in name
        if _is_word(text, start, end) or (partial and _part_of_longer(text, start)):
            continue
        found.append(Mention(start, end, numbers[name] if name in numbers else aliases[name]))
    return found
