"""Any text is read: nothing raised, nothing invented, the time grows with the length alone."""

import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.memory.relations import SENTIMENT, extract_relations

_TEXT = """
    Mira Jon Will trusts fears not never no nobody and or but , . ; : ? ! " ' 's — ( ) who whom that which to of by
    is was had does she he her his him they each other friend rivals sister owes love hatred if when I you said between
"""
_WORDS = st.sampled_from(_TEXT.split())
_NAMES = st.lists(
    st.sampled_from(["Mira", "Jon", "Will", "Mira Holt", "", " ", ".*", "(", "\x00", "é", "Jon"]), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(_WORDS, max_size=60).map(" ".join)), _NAMES)
@example("\x00😀 Mira\x00 trusts Jon", ["Mira", "Jon"])
@example("Mira trusts Mira.", ["Mira", "Jon"])
def test_any_text_gives_edges_between_the_given_names_only(text: str, names: list[str]) -> None:
    edges = extract_relations(text, names)
    assert edges == extract_relations(text, names)
    assert len({(edge.source, edge.target, edge.type) for edge in edges}) == len(edges)
    for edge in edges:
        assert edge.source in names
        assert edge.target in names
        assert edge.source != edge.target
        assert edge.type in SENTIMENT
        assert -1 <= edge.sentiment <= 1
        assert 0 <= edge.strength <= 1
        assert edge.evidence in unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "unit", ["Mira and ", "Mira's ", '"', "not ", "the ", "he ", "Mira trusts Jon. ", "'a,' ", "to trust ", "Mira, "]
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        begun = time.process_time()
        extract_relations(text, ["Mira", "Jon"])
        return time.process_time() - begun

    seconds(500)
    # the best of three: even processor time doubles now and then on a machine that is shared
    short, long = (min(seconds(length) for _ in range(3)) for length in (2_500, 10_000))
    assert long < 16 * max(short, 0.005)  # four times the text; quadratic would be sixteen


def test_fewer_than_two_names_give_nothing() -> None:
    assert extract_relations("Mira trusts Jon.", ["Mira"]) == []
    assert extract_relations("Mira trusts Jon.", []) == []
    assert extract_relations("", ["Mira", "Jon"]) == []
