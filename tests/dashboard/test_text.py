import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.dashboard.text import lines_of, one_line, plain, shortened, told_apart, wrapped

EVIL = "<b>x</b> <a href='javascript:1'>y</a> $z$ %{x} &lt; &#60;\x00\u202e\ud800\n"


def test_nothing_plotly_would_interpret_is_left() -> None:
    text = plain(EVIL)
    assert not re.search(r"[<>$%\x00\u202e\ud800\n]", text)
    assert html.unescape(text) == one_line(EVIL)


@given(st.text())
def test_escaped_text_reads_as_the_text_given(text: str) -> None:
    assert html.unescape(plain(text)) == one_line(text)
    assert "<" not in plain(text)


@given(st.text(), st.integers(4, 60))
def test_lines_are_no_wider_than_asked_and_only_broken_by_br(text: str, width: int) -> None:
    broken = wrapped(text, width)
    lines = broken.split("<br>")
    assert len(lines) == lines_of(broken)
    assert all("<" not in line and len(html.unescape(line)) <= width for line in lines)


def test_overlong_text_is_cut_visibly() -> None:
    assert len(one_line("x" * 10_000)) == 600
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("texts", "width", "expected"),
    [
        (["a", "b"], 3, ["a", "b"]),
        (["model-long-q4", "model-long-q8"], 8, ["…q4", "…q8"]),
        (["the-same-long-name"], 8, ["the-sam…"]),
        (["0123456789-tail-a", "9876543210-tail-b"], 6, ["01234…", "98765…"]),
        (["xx-1234567890-a", "xx-1234567890-b-123456"], 6, ["…a", "…b-12…"]),
    ],
)
def test_shortened_names_stay_different(texts: list[str], width: int, expected: list[str]) -> None:
    assert told_apart(texts, width) == expected
    assert all(len(text) <= width for text in told_apart(texts, width))
