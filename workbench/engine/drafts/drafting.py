"""Guesses of what a model will say next, made from the text itself. Knows tokens only: no model, no cost, no decision.

Prompt lookup (Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding): a text that quotes or edits
something earlier goes on as the earlier place went on. Earlier places are found as compressors find them, by hash
chains (RFC 1951, section 4), and the one that agrees furthest backwards is copied from. A guess costs microseconds and
is only ever a guess: whoever decodes checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from workbench.errors import InvalidSettings

_TOKEN_BITS = 20
"""Bits of a token id in a packed n-gram. A larger id only makes chains longer: matches are compared token by token."""

_CANDIDATES = 16
"""Earlier places looked at, newest first; a bound on the cost of texts full of the same n-gram."""

_SURE = 8
"""Tokens of agreement from which no other place has to be considered."""

_ANCHOR = 4
"""Tokens of agreement that make a place the source of an edit."""

_ANCHOR_CANDIDATES = 4
"""Earlier places looked at for it."""

_LOOK_BACK = 8
"""Tokens an edit may replace before its place in the source is given up."""

_SHIFTS = (0, -1, 1, -2, 2, -3, 3, -4, 4)
"""Where an edited text goes on in its source, likeliest first: replaced, inserted (-) or left out (+) tokens."""


class Drafter(Protocol):
    """Guesses the next tokens of one request. Belongs to the engine's thread.

    A drafter is told what is certain and asked for guesses; a guess changes nothing in what it knows.
    """

    @property
    def match_length(self) -> int:
        """Tokens the next guess rests on; 0: there is nothing to guess from."""
        ...

    def extend(self, tokens: Sequence[int]) -> None:
        """Take tokens that are certain now: first the prompt, then what was accepted. Any pieces give the same."""
        ...

    def draft(self, most: int) -> list[int]:
        """Up to ``most`` guesses of what follows, in order; may be fewer or none."""
        ...

    def free(self) -> None:
        """Give back what it holds. Idempotent."""
        ...


class _Place(NamedTuple):
    """An earlier place that agrees with the end of the text: its last token, and how many tokens agree."""

    at: int
    length: int


_NOWHERE = _Place(-1, 0)


class PromptLookup:
    """Drafts by looking up where the text has been before. Implements :class:`Drafter`.

    After an edit (a renamed variable, a word left out) the source is taken up again where it was left as soon as one
    token agrees, instead of after ``min_ngram`` of them.

    Args:
        min_ngram: tokens that have to agree for a place to be found.
        max_ngram: agreement beyond this is not counted.

    Raises:
        InvalidSettings: not ``1 <= min_ngram <= max_ngram``.
    """

    def __init__(self, *, min_ngram: int = 3, max_ngram: int = 16) -> None:
        if not 1 <= min_ngram <= max_ngram:
            raise InvalidSettings(f"min_ngram ({min_ngram}) must be at least 1 and at most max_ngram ({max_ngram}).")
        self.min_ngram, self.max_ngram = min_ngram, max_ngram
        self._text: list[int] = []
        self._latest: dict[int, int] = {}  # packed n-gram → position of its last token, newest
        self._previous: list[int] = []  # position → the one before with the same n-gram, or -1
        self._key = 0
        self._mask = (1 << _TOKEN_BITS * min_ngram) - 1
        self._place: _Place | None = None

    @property
    def match_length(self) -> int:
        """Tokens before the guess that agree with its source, at most ``max_ngram``; 0: no source."""
        return self._find().length

    def extend(self, tokens: Sequence[int]) -> None:
        """Take tokens that are certain now. About half a microsecond a token."""
        key, mask, latest, previous = self._key, self._mask, self._latest, self._previous
        for at, token in enumerate(tokens, len(self._text)):
            key = (key << _TOKEN_BITS | token) & mask
            previous.append(latest.get(key, -1))
            latest[key] = at
        self._text.extend(tokens)
        self._key, self._place = key, None

    def draft(self, most: int) -> list[int]:
        """What followed at the best earlier place; a source that ends here is taken to go round (it is periodic)."""
        place = self._find()
        if not place.length or most < 1:
            return []
        copied = self._text[place.at + 1 : place.at + 1 + most]
        return (copied * -(-most // len(copied)))[:most]

    def free(self) -> None:
        """Forget the text."""
        self._text, self._latest, self._previous, self._key, self._place = [], {}, [], 0, None

    def _find(self) -> _Place:
        if self._place is None:
            self._place = self._search(len(self._text) - 1)
        return self._place

    def _search(self, end: int) -> _Place:
        """The best place for the text up to ``end``."""
        if end < 1:
            return _NOWHERE
        best = self._longest(end)
        if best.length >= min(_SURE, self.max_ngram):
            return best
        expected = self._expected(end, max(1, best.length))
        if expected is None:
            return best
        resumed = self._resume(end, expected)
        return resumed if resumed.length >= best.length else best

    def _longest(self, end: int, candidates: int = _CANDIDATES) -> _Place:
        """The place that agrees furthest backwards among those with the same n-gram; of equals the newest."""
        text, at, best_at, best = self._text, self._previous[end], -1, self.min_ngram - 1
        for _ in range(candidates):
            if at < best:
                break
            # To be better it has to agree where the best one so far stopped.
            if text[at - best] == text[end - best] and (length := self._agreement(at, end)) > best:
                best_at, best = at, length
                if length == self.max_ngram:
                    break
            at = self._previous[at]
        return _NOWHERE if best_at < 0 else _Place(best_at, best)

    def _agreement(self, at: int, end: int) -> int:
        """How many tokens before and at ``at`` equal those before and at ``end``; ``at < end``."""
        text, most = self._text, min(self.max_ngram, at + 1)
        if text[at - most + 1 : at + 1] == text[end - most + 1 : end + 1]:
            return most
        length = 0
        while text[at - length] == text[end - length]:
            length += 1
        return length

    def _expected(self, end: int, gap: int) -> int | None:
        """Where the source would be now had the copy ``gap`` or more tokens ago gone on; ``None``: there was none."""
        for back in range(gap, min(gap + _LOOK_BACK, end)):
            if self._previous[end - back] >= 0:
                place = self._longest(end - back, _ANCHOR_CANDIDATES)
                if place.length >= min(_ANCHOR, self.max_ngram):
                    return place.at + back
        return None

    def _resume(self, end: int, expected: int) -> _Place:
        """The place about ``expected`` that agrees furthest backwards; of equals the likeliest shift."""
        best = _NOWHERE
        for shift in _SHIFTS:
            at = expected + shift
            if 0 <= at < end:
                length = self._agreement(at, end)
                if length > best.length:
                    best = _Place(at, length)
        return best
