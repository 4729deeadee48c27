"""What a message is like, whatever is asked: a question, about a time, about oneself.

Word lists are English; in another language these facts are mostly absent and weigh nothing. Knows one message at a
time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_ASIDE = re.compile(r"\s*\[[^\]]*\]\s*$")  # what a transcript puts in brackets behind what was said
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")  # a capital that begins no sentence
_YEAR = re.compile(r"(19|20)\d\d")
_TIMES = """
yesterday today tonight tomorrow last next ago week weekend month months year years recently just monday tuesday
wednesday thursday friday saturday sunday january february march april june july august september october november
december since soon summer winter spring fall night morning
"""
_NUMBERS = "one two three four five six seven eight nine ten couple few several dozen once twice half many"
_ONESELF = "i my me we our im ive i'm i've i'll i'd we're we've"
_TIME_WORDS, _NUMBER_WORDS = frozenset(_TIMES.split()), frozenset(_NUMBERS.split())
_FIRST_PERSON, _SECOND_PERSON = frozenset(_ONESELF.split()), frozenset({"you", "your", "you're", "you've"})

FACTS = ("length", "ends_asking", "asks", "time", "number", "names", "quotes", "first_person", "second_person")
"""Names of what :func:`facts` gives, in order."""


def facts(content: str, said: Sequence[str]) -> tuple[float, ...]:
    """Facts about one message; see :data:`FACTS`.

    Args:
        content: the text.
        said: its folded words.
    """
    spoken = set(said)
    long = max(len(said), 4)
    asks = "?" in content
    return (
        math.log1p(len(said)),
        float(asks and _ASIDE.sub("", content).rstrip().endswith("?")),
        float(asks),
        float(not spoken.isdisjoint(_TIME_WORDS) or _YEAR.search(content) is not None),
        float(not spoken.isdisjoint(_NUMBER_WORDS) or any(map(str.isdigit, spoken))),
        float(min(3, len(_NAME.findall(content)))),
        float('"' in content or "\u201c" in content),
        sum(map(_FIRST_PERSON.__contains__, said)) / long,
        sum(map(_SECOND_PERSON.__contains__, said)) / long,
    )


def particulars(content: str, said: Sequence[str]) -> int:
    """How many words of a message name somebody or something, a number or a time: what nobody could guess.

    Args:
        content: the text.
        said: its folded words.
    """
    counted = (word in _TIME_WORDS or word in _NUMBER_WORDS or any(map(str.isdigit, word)) for word in said)
    return sum(counted) + len(_NAME.findall(content))
