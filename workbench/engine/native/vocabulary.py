"""Tokens ↔ text for one loaded model. Thread-safe: llama.cpp's vocabulary is immutable."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from workbench.engine.native.library import library
from workbench.errors import InvalidSettings

_NO_TOKEN = -1


def check_tokens(tokens: Sequence[int], n_vocab: int) -> None:
    """Refuse ids outside a vocabulary of ``n_vocab`` tokens, with InvalidSettings."""
    for token in tokens:
        if not 0 <= token < n_vocab:
            raise InvalidSettings(f"{token} is no token of this model; ids run from 0 to {n_vocab - 1}.")


Word = tuple[bytes, str | None]
"""A token's bytes, and the text they are; ``None``: they are part of a character, or none."""


def _word(piece: bytes) -> Word:
    try:
        return piece, piece.decode()
    except UnicodeDecodeError:
        return piece, None


class Vocabulary:
    """The vocabulary of a loaded model.

    Args:
        model: ``llama_model *``; must outlive this object.
    """

    def __init__(self, model: Any) -> None:
        self._lib = library()
        self._vocab = self._lib.llama_model_get_vocab(model)
        self.size = int(self._lib.llama_vocab_n_tokens(self._vocab))
        self.bos = int(self._lib.llama_vocab_bos(self._vocab))
        self.adds_bos = bool(self._lib.llama_vocab_get_add_bos(self._vocab)) and self.bos != _NO_TOKEN
        self._pieces: dict[int, bytes] = {}
        self._eog: dict[int, bool] = {}
        self._ends: list[int] | None = None
        self._said: dict[int, Word | None] = {}

    @property
    def raw(self) -> Any:
        """``llama_vocab *`` for samplers that need it."""
        return self._vocab

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of ``text``. An embedded NUL is text like any other."""
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * capacity)()
            count = self._lib.llama_tokenize(self._vocab, data, len(data), tokens, capacity, add_special, parse_special)
            if count >= 0:
                return list(tokens[:count])
            capacity = -count

    def check(self, tokens: Sequence[int]) -> None:
        """Refuse ids that are no tokens: llama.cpp aborts the process over them.

        Raises:
            InvalidSettings: an id out of range.
        """
        check_tokens(tokens, self.size)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of ``tokens``, special ones spelt out."""
        self.check(tokens)
        ids = (ctypes.c_int32 * len(tokens))(*tokens)
        capacity = 8 * len(tokens) + 32
        while True:
            buffer = ctypes.create_string_buffer(capacity)
            count = self._lib.llama_detokenize(self._vocab, ids, len(tokens), buffer, capacity, False, True)
            if count >= 0:
                return buffer.raw[:count].decode("utf-8", "replace")
            capacity = -count

    def piece(self, token: int) -> bytes:
        """The bytes a generated token adds to the text; empty for control tokens."""
        found = self._pieces.get(token)
        if found is None:
            found = self._pieces[token] = self._read_piece(token, special=False)
        return found

    def text_of(self, token: int) -> str:
        """How a special token is spelt ("<|im_end|>"); empty for "no such token"."""
        return "" if token == _NO_TOKEN else self._read_piece(token, special=True).decode("utf-8", "replace")

    def ends_generation(self, token: int) -> bool:
        """Whether the model says it is done with this token."""
        found = self._eog.get(token)
        if found is None:
            found = self._eog[token] = bool(self._lib.llama_vocab_is_eog(self._vocab, token))
        return found

    def say(self, token: int) -> Word | None:
        """A generated token as bytes and text; ``None``: with it the model says it is done."""
        said = self._said
        if token not in said:
            said[token] = None if self.ends_generation(token) else _word(self.piece(token))
        return said[token]

    def end_tokens(self) -> list[int]:
        """Every token that ends generation. The first call scans the vocabulary (about 0.5 µs a token)."""
        if self._ends is None:
            self._ends = [token for token in range(self.size) if self.ends_generation(token)]
        return self._ends

    @property
    def end_text(self) -> str:
        """How the end-of-sequence token is spelt."""
        return self.text_of(int(self._lib.llama_vocab_eos(self._vocab)))

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        capacity = 64
        while True:
            buffer = ctypes.create_string_buffer(capacity)
            count = self._lib.llama_token_to_piece(self._vocab, token, buffer, capacity, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            capacity = -count
