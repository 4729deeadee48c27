"""Names given by people are data: what becomes a file name is always safe, and different for different names."""

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from workbench.storage import safe_name

SAFE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{12}")
HOSTILE = [
    "../../etc/passwd", "..", ".", "", "/", "\\", "nul\0byte", "CON", "con", "aux.txt", "LPT1", "a" * 300, "  ", "-rf",
    "\u202egnp.exe", "caf\u00e9", "cafe\u0301", "東京", "🌍", "a:b|c*d?", "line\nbreak", "\ud800", "ﬁle", "file",
    "A", "a", "~", "$HOME", "%00", ".hidden", "name.", "name ", "'; DROP TABLE x; --",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_safe(name):
    made = safe_name(name)
    assert SAFE.fullmatch(made)
    assert len(made) <= 53


def test_hostile_names_are_told_apart():
    assert len({safe_name(name) for name in HOSTILE}) == len(HOSTILE)


def test_two_spellings_that_look_alike_are_two_names():
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert safe_name(composed) != safe_name(decomposed)


def test_a_person_can_still_read_it():
    assert safe_name("Ann's chat").startswith("ann-s-chat-")
    assert safe_name("Größe & Maß").startswith("groe-ma-") or safe_name("Größe & Maß").startswith("gro")


@given(st.text(max_size=400))
def test_any_name_is_safe_and_stays_the_same(name):
    made = safe_name(name)
    assert SAFE.fullmatch(made)
    assert len(made.encode()) <= 53
    assert made == made.lower(), "safe where file names ignore case"
    assert safe_name(name) == made


@given(st.text(max_size=50), st.text(max_size=50))
def test_different_names_are_different(one, two):
    assume(one != two)
    assert safe_name(one) != safe_name(two)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_of_that_name_can_be_made(tmp_path, name):
    path = tmp_path / safe_name(name)
    path.write_text("x")
    assert path.parent == tmp_path
    assert [found.name for found in tmp_path.iterdir()] == [safe_name(name)]
