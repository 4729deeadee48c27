"""Tokens' bytes → text, incrementally: characters split across tokens, and stop strings split across anything.

Every token costs the same however long the text is: nothing is decoded twice.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextAssembler:
    """Joins the pieces of one completion.

    A character whose bytes are incomplete is held back; a byte that can never become one is U+FFFD at once. The longest
    tail that may still become a stop string is held back too. Joined, the texts handed out are the whole text.

    Args:
        stop: strings that end the text and are not part of it.

    Attributes:
        stopped: a stop string was found.
        careful: something is held back or looked for. While it is not, a token that is whole characters is its own
            text and need not be fed.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._longest = max((len(s) for s in self._stop), default=0)
        self._held = ""
        self.stopped = False
        self.careful = bool(self._stop)

    def feed(self, piece: bytes) -> str:
        """Add a token's bytes; returns the text that is now certain. Sets :attr:`stopped` at a stop string."""
        text = self._decoder.decode(piece)
        if not self._stop:
            self.careful = bool(self._decoder.getstate()[0])
            return text
        return self._search(self._held + text) if text else ""

    def finish(self) -> str:
        """What was held back, at the end: a cut character becomes U+FFFD."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(b"", final=True)
        self._held = ""
        return self._search(text, final=True) if self._stop and text else text

    def _search(self, text: str, *, final: bool = False) -> str:
        places = [place for s in self._stop if (place := text.find(s)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = 0 if final else self._possible_stop(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _possible_stop(self, text: str) -> int:
        """Length of the longest tail of ``text`` that begins a stop string."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            tail = text[-length:]
            if any(s.startswith(tail) for s in self._stop):
                return length
        return 0
