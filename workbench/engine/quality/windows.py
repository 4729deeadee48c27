"""Which tokens of a long text are scored in which window. Knows numbers only: no model, no text.

A window is computed from its first token on; the first has nothing before it, so it is never scored.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens ``begin:end`` are computed, tokens ``first:end`` are scored.

    Attributes:
        begin: index of the window's first token in the text.
        first: index of the first scored token, above ``begin``.
        end: one past the last token.
    """

    begin: int
    first: int
    end: int


def strided(n_tokens: int, window: int, stride: int) -> list[Window]:
    """Sliding windows in which only tokens not scored before count.

    The method of Hugging Face's guide "Perplexity of fixed-length models": a smaller stride gives every token more
    context and takes more time. ``stride == window`` is disjoint chunks.

    Args:
        n_tokens: length of the text.
        window: most tokens of a window.
        stride: tokens from one window's begin to the next one's.

    Raises:
        UsageError: a window below 2 tokens, or a stride that is not within 1 and the window.
    """
    _check(window, stride)
    plan, scored = [], 0
    for begin in range(0, n_tokens, stride):
        end = min(begin + window, n_tokens)
        plan.append(Window(begin, max(scored, begin + 1), end))
        scored = end
        if end == n_tokens:
            break
    return _with_tokens(plan)


def chunks(n_tokens: int, window: int, *, second_half: bool) -> list[Window]:
    """Disjoint windows, of which by ``second_half`` only the second halves are scored, as llama-perplexity does.

    That way each scored token has at least half a window before it. The last, shorter window counts as far as it
    reaches beyond that half (llama-perplexity drops it); a text shorter than the window is its only one.

    Raises:
        UsageError: a window below 2 tokens.
    """
    _check(window, window)
    before = min(window, n_tokens) // 2 if second_half else 0
    ends = [(begin, min(begin + window, n_tokens)) for begin in range(0, n_tokens, window)]
    return _with_tokens([Window(begin, begin + before + 1, end) for begin, end in ends])


def _check(window: int, stride: int) -> None:
    if window < 2:
        raise UsageError(f"A window of {window} tokens scores none: the first has nothing before it. Take 2 or more.")
    if not 1 <= stride <= window:
        raise UsageError(f"stride ({stride}) must be from 1 to the window ({window}), or tokens would be left out.")


def _with_tokens(plan: list[Window]) -> list[Window]:
    return [one for one in plan if one.first < one.end]
