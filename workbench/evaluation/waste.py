"""What a recall wastes its room on: messages that repeat one another, and messages that say nothing.

Both are told from the words alone, so that no model judges and two runs agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ALIKE = 0.8
"""Jaccard similarity of two messages' words from which on one repeats the other."""

FEWEST_WORDS = 2
"""Content words from which on a message says something."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

_FUNCTION_WORDS = """
a about after all also am an and any are aren't as at be because been being but by can can't could did didn't do
does doesn't doing don't down for from had has have haven't having he he's her here hers him his how i i'd i'll i'm
i've if in into is isn't it it's its just like me more most much my no nor not now of off on one only or our out
over own really s she she's should so some such t than that that's the their them then there these they they're
this those to too up us very was wasn't we we're were what what's when where which while who why will with won't
would you you're you've your
"""

_PLEASANTRIES = """
absolutely agree amazing appreciate awesome bye care catch congrats congratulations cool course cheers day exactly
fun glad good goodbye great haha happy hear hello hey hi hope keep kind later let's looking love lovely luck mean
morning nice night oh ok okay pleasure proud right see sorry soon sounds sure talk thank thanks time totally true
welcome well wish wonderful wow yeah yep yes
"""

_EMPTY_WORDS = frozenset([*_FUNCTION_WORDS.split(), *_PLEASANTRIES.split()])


def content_words(text: str) -> frozenset[str]:
    """Words that carry something: neither function words nor what one says to be polite."""
    return frozenset(_words(text)) - _EMPTY_WORDS


def says_nothing(text: str) -> bool:
    """Whether a message has fewer than :data:`FEWEST_WORDS` content words: greetings, thanks, "Wow, that's great!"."""
    return len(content_words(text)) < FEWEST_WORDS


def repeats(texts: Sequence[str]) -> list[bool]:
    """Which texts nearly repeat one before them: the sets of their words overlap by :data:`ALIKE` or more.

    ``Jaccard = |in both| / |in either|`` over all words, case and punctuation ignored.
    """
    seen: list[frozenset[str]] = []
    found = []
    for text in texts:
        words = frozenset(_words(text))
        found.append(any(_jaccard(words, other) >= ALIKE for other in seen))
        seen.append(words)
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0
