"""Text from outside, made harmless for plotly.

Plotly reads a subset of HTML (``<b>``, ``<a href>``, ``<br>``) and entities in every text it draws, ``%{…}`` in
templates and, where MathJax is loaded, ``$…$``. Labels, levels, titles and error messages are data: every one that
goes into a figure goes through :func:`plain` or :func:`wrapped`. HTML pages escape on their own (jinja2).
"""

from __future__ import annotations

import functools
import html
import itertools
import re
import textwrap
from collections.abc import Sequence
from typing import Any

# Control characters break SVG; bidirectional overrides can make a label read as something else.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_SPECIAL = {"$": "&#36;", "%": "&#37;"}

_LONGEST = 600


def one_line(text: Any) -> str:
    """Text as one visible line: control characters become spaces, overlong text is cut with an ellipsis."""
    line = _UNSEEN.sub(" ", str(text))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def shortened(text: Any, width: int = 64) -> str:
    """As :func:`one_line`, at most ``width`` characters, for places that hold a single line."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def told_apart(texts: Sequence[Any], width: int) -> list[str]:
    """Texts cut to at most ``width`` characters where that leaves them different: what they share at the front goes.

    >>> told_apart(["smollm2-360m-instruct-q4_k_m", "smollm2-360m-instruct-q8_0"], 12)
    ['…q4_k_m', '…q8_0']
    """
    lines = [one_line(text) for text in texts]
    if all(len(line) <= width for line in lines):
        return lines
    shared = _shared(lines) if len(set(lines)) > 1 else 0
    while shared and lines[0][shared - 1].isalnum():  # not within a word
        shared -= 1
    if shared > 1:
        lines = [f"…{line[shared:]}" for line in lines]
    cut = [shortened(line, width) for line in lines]
    if len(set(cut)) == len(set(lines)):
        return cut
    return [line if len(line) <= width else f"…{line[-(width - 1) :]}" for line in lines]


def _shared(lines: Sequence[str]) -> int:
    """Characters that all lines begin with."""
    return sum(1 for _ in itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*lines, strict=False)))


def plain(text: Any) -> str:
    """Text that plotly draws letter by letter."""
    escaped = html.escape(one_line(text), quote=False)
    return "".join(_SPECIAL.get(letter, letter) for letter in escaped)


def wrapped(text: Any, width: int) -> str:
    """As :func:`plain`, broken into lines of at most ``width`` characters."""
    return _wrapped(str(text), width)


@functools.lru_cache(maxsize=4096)  # the same labels stand at every point of every figure
def _wrapped(text: str, width: int) -> str:
    lines = textwrap.wrap(one_line(text), width) or [""]
    return "<br>".join(plain(line) for line in lines)


def lines_of(text: str) -> int:
    """Lines a text made by :func:`wrapped` takes."""
    return text.count("<br>") + 1
