"""What a text says that must be the same in another for one answer to serve both: numbers, names, negation, asking.

English word lists; in another language numbers and names are still read, the rest is mostly absent. Knows one text at
a time: what differs between two is told by :mod:`workbench.caching.agreement`.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass

from workbench.ranking.words import STOPWORDS, fold, stem

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*[^\W\d_]*|[^\W_]+(?:['\u2019.&][^\W_]+)*[+#]*|[=<>^*/%]", re.UNICODE)
_NO_NEGATION = re.compile(r"\b(why )?(or|and) (why )?no(t|ne)?\b|\bwhy not\b|\bnot only\b|\bno\. ?\d", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATING_WORDS = """
not no never none nobody nothing neither nor cannot without hardly barely cant dont doesnt didnt isnt arent wasnt werent
wont wouldnt shouldnt couldnt hasnt havent hadnt aint
"""
_NUMBER_WORDS = "0 1 two three four five six seven eight nine ten eleven twelve"
_QUESTION_WORDS = "what which who whom whose when where why how is are was were do does did can could will"
_NEVER_NAMES = "i i'm i've i'll i'd im ive ok okay"
_NEGATION, _ASKING = frozenset(_NEGATING_WORDS.split()), frozenset(_QUESTION_WORDS.split())
_PRONOUNS = frozenset(_NEVER_NAMES.split())
_WORD_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())} | {
    "first": "1",
    "second": "2",
    "third": "3",
    "twenty": "20",
    "thirty": "30",
    "hundred": "100",
}
_SENTENCE_END = re.compile(r"[.?!:\n\"\u201c(]\s*$")

_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("how many", r"\bhow many\b|\bwhat (is|was|are) the (total )?number of\b"),
        ("how much", r"\bhow much\b|\bwhat (is|are|was|does) the (price|cost)s?\b"),
        ("how long", r"\bhow long\b|\bhow much time\b|\bhow many (hours|days|weeks|months|years)\b"),
        ("how old", r"\bhow old\b|\bwhat is the age\b"),
        ("how far", r"\bhow far\b|\bwhat is the distance\b"),
        ("how often", r"\bhow (often|frequently)\b|\bhow many times\b"),
        ("when", r"\bwhen\b|\b(what|which) (date|day|month|year|time)\b"),
        ("where", r"\bwhere\b|\b(what|which) (country|city|state|town|place)\b"),
        (
            "why",
            r"\bwhy\b|\bhow come\b|\b(what|which) (is|are|was|were) the (main |real )?(reason|cause)s?\b|"
            r"\bwhat (causes?|caused|makes?|made)\b",
        ),
        ("who", r"\bwho(se|m)?\b|\b(what|which) person\b"),
        ("how", r"\bhow\b|\bways? (to|of|for)\b|\bsteps?\b"),
        ("what", r"\b(what|which|whats)\b"),
        ("whether", r"^\W*(is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|am|isn't|don't)\b"),
    )
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One text, read.

    Attributes:
        words: folded words and signs, in order.
        content: base forms of the words that carry meaning, in order; numbers are among them.
        numbers: each with how often, in one spelling.
        names: folded words written as names are: a capital within a sentence, capitals or digits within the word.
        negations: how many words negate.
        asks: what it asks for: "how many", "when", "why", …; empty: it asks nothing that can be told.
    """

    words: tuple[str, ...]
    content: tuple[str, ...]
    numbers: Counter[str]
    names: frozenset[str]
    negations: int
    asks: str

    @property
    def terms(self) -> frozenset[str]:
        """Different words of :attr:`content`."""
        return frozenset(self.content)


@functools.lru_cache(maxsize=20_000)
def read(text: str) -> Reading:
    """Read a text."""
    found = [(match.group(), match.start()) for match in _TOKEN.finditer(text)]
    words = tuple(_plain(fold(word)) for word, _ in found)
    return Reading(
        words=words,
        content=tuple(base for word in words if (base := base_of(word))),
        numbers=Counter(number for word in words for number in _numbers(word)),
        names=_names(text, found),
        negations=_negations(text),
        asks=asked(text),
    )


def asked(text: str) -> str:
    """What a question asks for; the first question word of the last question decides."""
    for kind, pattern in _KINDS[:6]:
        if pattern.search(text):
            return kind
    places = [(found.start(), kind) for kind, pattern in _KINDS[6:] if (found := pattern.search(text))]
    return min(places)[1] if places else ""


def base_of(word: str) -> str:
    """A folded word without its inflection; empty for one that carries no meaning of its own."""
    bare = word.split("'")[0]
    if bare in STOPWORDS or bare.replace("'", "") in _NEGATION or bare in _ASKING:
        return ""
    numbers = _numbers(word)
    return numbers[0] if numbers else stem(bare)


def _negations(text: str) -> int:
    said = [_plain(fold(found.group())) for found in _TOKEN.finditer(_NO_NEGATION.sub(" ", text))]
    return sum(word in _NEGATION or word.endswith("n't") for word in said)


def _plain(word: str) -> str:
    word = word.replace("\u2019", "'")
    return word.removesuffix("'s").replace(".", "") if not word[:1].isdigit() else word


def _numbers(word: str) -> list[str]:
    """The numbers in a word in one spelling: "1,000", "1k" and "1000" are one, as are "two" and "2"."""
    if word in _WORD_NUMBERS:
        return [_WORD_NUMBERS[word]]
    found = []
    for match in _NUMBER.finditer(word):
        digits = match.group().replace(",", "")
        thousands = word[match.end() :] == "k" and digits.isdigit()
        whole = digits.lstrip("0") or "0"
        found.append(f"{whole}000" if thousands else whole)
    return found


def _names(text: str, found: list[tuple[str, int]]) -> frozenset[str]:
    capitals = sum(word[:1].isupper() for word, _ in found)
    headline = len(found) > 3 and capitals > 0.6 * len(found)  # Every Word Has a Capital: none tells a name
    names = set()
    for word, start in found:
        plain = _plain(fold(word))
        if plain in _PRONOUNS or plain in STOPWORDS or plain in _ASKING or not plain[:1].isalpha():
            continue
        opens = start == 0 or _SENTENCE_END.search(text[:start]) is not None
        mixed = any(letter.isupper() for letter in word[1:]) and not (text.isupper() or headline)
        if mixed or (word[:1].isupper() and not opens and not headline):
            names.add(plain)
    return frozenset(names)
