"""A text as sentences of words: names are one token each, contractions are taken apart, quoted speech is kept apart.

Knows nothing of word classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workbench.memory.relations.lexicon import word_set
from workbench.memory.relations.lexicon.words import ABBREVIATIONS
from workbench.memory.relations.mentions import Mention

_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|…|\.{2,}|--+|[^\w\s]|_")
_TAIL: Final = {"'s": "'s", "n't": "not", "'re": "are", "'ve": "have", "'d": "would", "'ll": "will", "'m": "am"}
_SPLIT_STEMS: Final = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
_IS_AFTER: Final = word_set(
    """
    he she it that who there what here where how everyone everybody nobody someone no-one one
    """
)
#: A longer sentence is read in pieces; the longest of ordinary prose are half as long.
MAX_TOKENS: Final = 120
OPEN_QUOTES: Final = frozenset('"“«')
CLOSE_QUOTES: Final = frozenset('"”»')


@dataclass(slots=True)
class Token:
    """A word, a name (`entity` is its number) or a mark; start and end are characters of the text."""

    text: str
    low: str
    start: int
    end: int
    entity: int | None = None

    @property
    def is_name(self) -> bool:
        """Whether the token is a mention."""
        return self.entity is not None

    @property
    def is_mark(self) -> bool:
        """Whether the token is punctuation."""
        return self.entity is None and not self.low[:1].isalnum() and self.low != "'s"


@dataclass(slots=True)
class Sentence:
    """Tokens of one sentence; `quote` numbers the quoted stretch it is part of (None: none); `end` is its last mark."""

    tokens: list[Token]
    quote: int | None = None
    end: str = "."
    speaker: int | None = None


def _split_word(word: str, start: int) -> list[Token]:
    low = word.lower()
    for tail, full in _TAIL.items():
        if low.endswith(tail) and len(low) > len(tail):
            cut = len(word) - len(tail)
            stem = _SPLIT_STEMS.get(low[:cut], low[:cut]) if tail == "n't" else low[:cut]
            if tail == "'s" and stem in _IS_AFTER:
                full = "is"
            return [
                Token(word[:cut], stem, start, start + cut),
                Token(word[cut:], full, start + cut, start + len(word)),
            ]
    if low == "cannot":
        return [Token(word[:3], "can", start, start + 3), Token(word[3:], "not", start + 3, start + 6)]
    return [Token(word, low, start, start + len(word))]


def _possessive(text: str, at: int) -> Token | None:
    match = re.match(r"'s\b|(?<=[sS])'(?=\s)", text[at : at + 4]) or (
        re.match(r"'(?=\s)", text[at : at + 2]) if at and text[at - 1] in "sSxz" else None
    )
    return Token(match.group(), "'s", at, at + match.end()) if match else None


def _plain(text: str, start: int, end: int) -> list[Token]:
    found: list[Token] = []
    for match in _WORD.finditer(text, start, end):
        word, at = match.group(), match.start()
        if (
            word == "'"
            and found
            and found[-1].low.endswith("s")
            and found[-1].end == at
            and text[at + 1 : at + 2] == " "
        ):
            found.append(Token(word, "'s", at, at + 1))
        elif word == "—" or word.startswith("--"):
            found.append(Token(word, "—", at, match.end()))
        else:
            found.extend(_split_word(word, at))
    return found


def tokenise(text: str, mentions: Sequence[Mention]) -> list[Token]:
    """Every token of `text` in order; a mention is one token, its possessive 's another."""
    found: list[Token] = []
    at = 0
    for mention in mentions:
        found.extend(_plain(text, at, mention.start))
        name = text[mention.start : mention.end]
        found.append(Token(name, name.lower(), mention.start, mention.end, mention.entity))
        at = mention.end
        mark = _possessive(text, at)
        if mark:
            found.append(mark)
            at = mark.end
    found.extend(_plain(text, at, len(text)))
    return found


def _ends_sentence(tokens: Sequence[Token], i: int) -> bool:
    mark = tokens[i].low
    if mark in "!?" or mark in ("…", "..") or mark.startswith(".."):
        return True
    if mark != ".":
        return False
    before = tokens[i - 1] if i else None
    if before is None or before.is_name or tokens[i].start != before.end:
        return True
    short = before.low in ABBREVIATIONS or (len(before.low) == 1 and before.low != "i")
    return not (short and i + 1 < len(tokens))


def _speech_spans(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Index pairs of the opening and the closing mark of each quoted stretch."""
    spans, opened = [], None
    for i, token in enumerate(tokens):
        if opened is None and token.low in OPEN_QUOTES:
            opened = i
        elif opened is not None and token.low in CLOSE_QUOTES:
            spans.append((opened, i))
            opened = None
    if opened is not None and opened + 1 < len(tokens):
        spans.append((opened, len(tokens)))
    return spans


def sentences(tokens: Sequence[Token]) -> list[Sentence]:
    """Sentences in reading order; quoted speech makes sentences of its own, numbered by its stretch.

    A sentence of more than `MAX_TOKENS` is cut there, so that the time to read a text grows with its length alone.
    """
    opened = {start: number for number, (start, _) in enumerate(_speech_spans(tokens))}
    closed = {end for _, end in _speech_spans(tokens)}
    found: list[Sentence] = []
    current = Sentence([])

    def close(mark: str, quote: int | None) -> None:
        nonlocal current
        if current.tokens:
            current.end = mark
            found.append(current)
        current = Sentence([], quote)

    for i, token in enumerate(tokens):
        if i in opened:
            close(",", opened[i])
        elif i in closed:
            close(_last_mark(current), None)
        elif _ends_sentence(tokens, i):
            close(token.low[:1], current.quote)
        elif len(current.tokens) >= MAX_TOKENS:
            close(".", current.quote)
            current.tokens.append(token)
        else:
            current.tokens.append(token)
    close(".", None)
    return found


def _last_mark(sentence: Sentence) -> str:
    return sentence.tokens[-1].low if sentence.tokens and sentence.tokens[-1].is_mark else "."
