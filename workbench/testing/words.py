"""A tokenizer without a model: words with the space before them, numbered as they come.

Lossless: ``detokenize(tokenize(text)) == text``. Thread-safe.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

BOS, EOS = 0, 1
SPECIAL = ("<s>", "</s>")
_PIECE = re.compile(r"\s*[^\W_]+|\s*[\W_]|\s+")
_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")


class WordTokenizer:
    """Text ↔ ids. Ids 0 and 1 are the beginning and the end of a text; they have no text of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._pieces: list[str] = ["", ""]

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        """Text → ids, as :meth:`workbench.interfaces.Engine.tokenize`."""
        parts = _SPECIAL.split(text) if parse_special else [text]
        ids = [BOS] if add_special else []
        for part in parts:
            if parse_special and part in SPECIAL:
                ids.append(SPECIAL.index(part))
            else:
                ids += [self._id(piece) for piece in _PIECE.findall(part)]
        return ids

    def piece(self, token: int) -> str:
        """The text of one token; an id nobody gave out is U+FFFD."""
        with self._lock:
            return self._pieces[token] if 0 <= token < len(self._pieces) else "\ufffd"

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Ids → text."""
        return "".join(self.piece(token) for token in tokens)

    def _id(self, piece: str) -> int:
        if (known := self._ids.get(piece)) is not None:  # ids are never taken back
            return known
        with self._lock:
            if piece not in self._ids:
                self._ids[piece] = len(self._pieces)
                self._pieces.append(piece)
            return self._ids[piece]
