"""How much each word of a text says, given the words before it: its self-information under a language model.

    I(word) = -Σ ln P(token | the tokens before it in its window)        nats, over the tokens of the word

Shannon 1948; as a measure of what a prompt can do without: Li et al. 2023, "Compressing Context to Enhance Inference
Efficiency of Large Language Models" (Selective Context, arXiv 2310.06201). Is handed an engine that scores; knows no
messages and no budget.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.compression.pieces import words
from workbench.errors import InvalidSettings
from workbench.interfaces import Engine, FloatArray

_LONGEST_CHARACTER = 8  # tokens; a character of four bytes takes at most four, a joined emoji a few more
_BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class WordInformation:
    """What the words of one text say.

    Attributes:
        spans: (start, end) of each word in the text.
        nats: (n_words,) float32, self-information.
        tokens: (n_words,) float32, tokens a word takes; a token that two words share counts by its characters.
    """

    spans: tuple[tuple[int, int], ...]
    nats: FloatArray
    tokens: FloatArray


class SelfInformation:
    """Scores texts that follow one another. Threads: any.

    The texts are one stream of tokens, a line break after each. The stream is scored piece by piece, each piece in one
    pass after the last tokens of the piece before. Pieces begin at fixed distances from the beginning and are
    remembered, so that of texts that only grow, no more than the last piece is scored again, and the figures do not
    depend on what was scored before.

    Args:
        engine: scores; any causal model.
        window: most tokens of a pass; less where the engine's context is smaller.
        overlap: tokens before a piece that are its context; ``None``: a quarter of the window.
        remembered_tokens: scores that are kept; the least recently used pieces go. 4 bytes each.

    Raises:
        InvalidSettings: a window below 2, or an overlap that leaves nothing to score.
    """

    def __init__(
        self, engine: Engine, *, window: int = 512, overlap: int | None = None, remembered_tokens: int = 1 << 20
    ) -> None:
        window = min(window, engine.settings.n_ctx or window)
        overlap = window // 4 if overlap is None else overlap
        if window < 2 or not 0 <= overlap < window - 1:
            raise InvalidSettings(
                f"A window of {window} tokens with an overlap of {overlap} scores none. Take a window of 2 or more, "
                "and an overlap that leaves 2 of it."
            )
        self._engine, self._overlap, self._stride = engine, overlap, window - 1 - overlap  # one place is for BOS
        self._room = remembered_tokens
        self._scores: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._characters: dict[int, int | None] = {}
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> list[WordInformation]:
        """What the words of each text say, given the texts before it.

        Raises:
            EngineError: the engine failed, or cannot score.
        """
        break_ = self._engine.tokenize("\n")
        tokenised = [self._engine.tokenize(text) if text.strip() else [] for text in texts]
        stream = [token for tokens in tokenised for token in (*tokens, *break_)]
        nats = self._nats(stream)
        found, at = [], 0
        for text, tokens in zip(texts, tokenised, strict=True):
            found.append(self._by_word(text, tokens, nats[at : at + len(tokens)]))
            at += len(tokens) + len(break_)
        return found

    def _nats(self, stream: list[int]) -> FloatArray:
        """(n,) -ln P of each token of the stream."""
        parts = [self._piece(stream, begin) for begin in range(0, len(stream), self._stride)]
        return -np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _piece(self, stream: list[int], begin: int) -> FloatArray:
        before = stream[max(0, begin - self._overlap) : begin]
        tokens = stream[begin : begin + self._stride]
        key = hashlib.blake2b(np.array([len(before), *before, *tokens], np.int32).tobytes(), digest_size=16).digest()
        with self._lock:
            known = self._scores.get(key)
            if known is not None:
                self._scores.move_to_end(key)
                return known
        scored = self._engine.score(tokens, context=before or "").logprobs
        # a first token without a BOS before it is as surprising as any other
        scored = np.where(np.isnan(scored), np.nanmean(scored) if len(scored) > 1 else 0.0, scored).astype(np.float32)
        with self._lock:
            self._scores[key] = scored
            while len(self._scores) > 1 and len(self._scores) * self._stride > self._room:
                self._scores.popitem(last=False)
        return scored

    def _by_word(self, text: str, tokens: list[int], nats: FloatArray) -> WordInformation:
        """Sums by words. Tokens lie over the text's characters in order, whatever spaces a tokenizer adds or drops."""
        spans = tuple(words(text))
        lengths = np.array([end - start for start, end in spans], int)
        owner = np.repeat(np.arange(len(spans)), lengths)  # the word of each character that is no space
        info, size = np.zeros(len(spans), np.float32), np.zeros(len(spans), np.float32)
        at = 0
        for group, characters in self._groups(tokens):
            share = owner[at : at + characters]
            at += characters
            if len(share):
                np.add.at(info, share, nats[group].sum() / len(share))
                np.add.at(size, share, (group.stop - group.start) / len(share))
        return WordInformation(spans, info, size)

    def _groups(self, tokens: list[int]) -> list[tuple[slice, int]]:
        """Tokens that make whole characters together, and how many of these are no spaces."""
        groups, begin = [], 0
        for place, token in enumerate(tokens):
            if begin == place:
                characters = self._characters_of(token)
                if characters is None:
                    continue
            else:
                text = self._engine.detokenize(tokens[begin : place + 1])
                if text.endswith(_BROKEN) and place - begin < _LONGEST_CHARACTER:
                    continue
                characters = _visible(text)
            groups.append((slice(begin, place + 1), characters))
            begin = place + 1
        if begin < len(tokens):
            groups.append((slice(begin, len(tokens)), _visible(self._engine.detokenize(tokens[begin:]))))
        return groups

    def _characters_of(self, token: int) -> int | None:
        """Characters of a token that are no spaces; ``None``: it is part of one."""
        if token not in self._characters:
            text = self._engine.detokenize([token])
            self._characters[token] = None if text.endswith(_BROKEN) else _visible(text)
        return self._characters[token]


def _visible(text: str) -> int:
    return sum(not character.isspace() for character in text)
