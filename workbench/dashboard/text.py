"""Text from outside, made harmless for plotly.

Plotly reads a subset of HTML (``<b>``, ``<a href>``, ``<br>``) and entities in every text it draws, ``%{…}`` in
templates and, where MathJax is loaded, ``$…$``. Labels, levels, titles and error messages are data: every one that
goes into a figure goes through :func:`plain` or :func:`wrapped`. HTML pages escape on their own (jinja2).
"""

from __future__ import annotations

import html
import re
import textwrap
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


def plain(text: Any) -> str:
    """Text that plotly draws letter by letter."""
    escaped = html.escape(one_line(text), quote=False)
    return "".join(_SPECIAL.get(letter, letter) for letter in escaped)


def wrapped(text: Any, width: int) -> str:
    """As :func:`plain`, broken into lines of at most ``width`` characters."""
    lines = textwrap.wrap(one_line(text), width) or [""]
    return "<br>".join(plain(line) for line in lines)


def lines_of(text: str) -> int:
    """Lines a text made by :func:`wrapped` takes."""
    return text.count("<br>") + 1
