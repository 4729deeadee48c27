"""What is read off a text for ranking it, once: its terms, and how much in it nobody could guess.

A conversation is compressed again turn after turn, and all but its end is the same. Knows texts, not what is asked.
"""

from __future__ import annotations

from functools import lru_cache

from workbench.ranking.facts import particulars
from workbench.ranking.words import terms, words


class Reader:
    """Remembers the texts it has read; the least recently asked for go. Threads: any.

    Args:
        remembered: texts at most.
    """

    def __init__(self, remembered: int = 65_536) -> None:
        self.terms = lru_cache(remembered)(_terms)
        """A text → its index terms, in order."""
        self.particulars = lru_cache(remembered)(_particulars)
        """A text → how many of its words are names, numbers or times."""


def _terms(text: str) -> tuple[str, ...]:
    return tuple(terms(text))


def _particulars(text: str) -> int:
    return particulars(text, words(text))
