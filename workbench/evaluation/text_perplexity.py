"""Perplexity of a text longer than the context, in sliding windows. Needs no more of an engine than ``score``.

With N scored tokens t_i, natural logarithms, and P as the model sees it from the beginning of t_i's window::

    nll_i       = -ln P(t_i | the window before it)
    perplexity  = exp(mean nll)
    stderr      = perplexity × sd(nll) / √N          (delta method, as llama-perplexity states it)

Windows of ``window`` tokens begin every ``stride`` tokens, and only tokens not scored before count: each but the first
counts once (Hugging Face's guide "Perplexity of fixed-length models"). A smaller stride gives more context and a
lower perplexity, for more time. ``stride == window`` is disjoint chunks; with ``second_half`` they give the figure of
llama-perplexity (`tools/perplexity/perplexity.cpp`), which scores only tokens with half a window before them.
Where the model wants a BOS token, it takes the place of each window's first token, as it does there. Figures compare
only for the same text, tokenizer, window and stride.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.engine.quality.windows import Window, chunks, strided
from workbench.errors import UsageError
from workbench.evaluation.corpus import read_text
from workbench.interfaces import Engine

DEFAULT_WINDOW = 512
"""llama-perplexity's default context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Perplexity:
    """Perplexity of a text.

    Attributes:
        value: exp(mean nll).
        stderr: its standard error, the tokens taken for independent; NaN for one token.
        tokens: scored tokens.
        window: tokens of a window.
        stride: tokens from one window to the next.
        nll: (tokens,) float64, -ln P of each scored token in nats, in the order of the text.
    """

    value: float
    stderr: float
    tokens: int
    window: int
    stride: int
    nll: npt.NDArray[np.float64] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The figures, without the values of each token; NaN as ``None``."""
        stderr = None if math.isnan(self.stderr) else self.stderr
        figures = {"perplexity": self.value, "stderr": stderr, "tokens": self.tokens}
        return {**figures, "window": self.window, "stride": self.stride}


def perplexity(
    engine: Engine,
    text: str | Path,
    *,
    window: int | None = None,
    stride: int | None = None,
    limit_tokens: int | None = None,
    second_half: bool = False,
) -> Perplexity:
    """Perplexity of a text under a model, in sliding windows (see the module for the formulas).

    Args:
        engine: anything that scores.
        text: a text, or as a ``Path`` the UTF-8 file that holds it.
        window: most tokens seen at once, 2 or more; ``None``: 512, or the engine's ``n_ctx`` where that is less.
        stride: tokens from one window's begin to the next one's; ``None``: half a window.
        limit_tokens: only the first so many tokens; ``None``: all.
        second_half: disjoint windows, of which only the second halves are scored: llama-perplexity's figure.

    Raises:
        UsageError: no text, no UTF-8, a window or stride that scores nothing, or ``stride`` beside ``second_half``.
        ContextOverflow: the window is longer than the engine's context.
    """
    window = window or min(DEFAULT_WINDOW, engine.settings.n_ctx or DEFAULT_WINDOW)
    tokens, bos = _tokens(engine, _text(text), limit_tokens)
    plan = _plan(len(tokens), window, stride, second_half)
    if not plan:
        raise UsageError(f"The text comes to {len(tokens)} tokens, none of them to score. Give a longer text.")
    nll = -np.concatenate([_logprobs(engine, tokens, bos, one) for one in plan])
    value = float(np.exp(nll.mean()))
    return Perplexity(
        value=value,
        stderr=value * float(nll.std(ddof=1)) / math.sqrt(len(nll)) if len(nll) > 1 else math.nan,
        tokens=len(nll),
        window=window,
        stride=window if second_half else stride or max(1, window // 2),
        nll=nll,
    )


def _text(text: str | Path) -> str:
    if isinstance(text, Path):
        return read_text(text)
    if not text.strip():
        raise UsageError("There is no text to score. Give some, or a file as a Path.")
    return text


def _tokens(engine: Engine, text: str, limit: int | None) -> tuple[list[int], int | None]:
    """The text's tokens, BOS first where the model wants one, and that BOS."""
    if limit is not None and limit < 1:
        raise UsageError(f"limit_tokens must be at least 1, not {limit}.")
    tokens = engine.tokenize(text)
    special = engine.tokenize("", add_special=True)
    # a model that adds only an end token has a special token, but not in front
    has_bos = bool(special) and engine.tokenize(text[:1], add_special=True)[0] == special[0]
    return ([*special[:1], *tokens][:limit], special[0]) if has_bos else (tokens[:limit], None)


def _plan(n_tokens: int, window: int, stride: int | None, second_half: bool) -> Sequence[Window]:
    if not second_half:
        return strided(n_tokens, window, max(1, window // 2) if stride is None else stride)
    if stride not in (None, window):
        raise UsageError("second_half takes disjoint windows. Leave stride out, or set it to the window.")
    return chunks(n_tokens, window, second_half=True)


def _logprobs(engine: Engine, tokens: list[int], bos: int | None, window: Window) -> npt.NDArray[np.float64]:
    before = tokens[window.begin : window.first]
    if bos is not None:
        before[0] = bos
    return engine.score(tokens[window.first : window.end], context=before).logprobs.astype(np.float64)
