import html
import re

from hypothesis import given
from hypothesis import strategies as st

from workbench.dashboard.text import lines_of, one_line, plain, shortened, wrapped

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
