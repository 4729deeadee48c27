"""Incremental text: joined, the pieces are the whole, whatever the tokens cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.scheduling.text import TextAssembler


def join(pieces: list[bytes], stop: tuple[str, ...] = ()) -> str:
    assembler = TextAssembler(stop)
    parts = []
    for piece in pieces:
        parts.append(assembler.feed(piece))
        if assembler.stopped:
            break
    return "".join([*parts, assembler.finish()])


def test_character_split_across_tokens_comes_out_whole() -> None:
    assembler = TextAssembler()
    first, last = "🙂".encode()[:2], "🙂".encode()[2:]
    assert assembler.feed(first) == ""
    assert assembler.feed(last) == "🙂"


def test_stray_invalid_byte_delays_nothing() -> None:
    assembler = TextAssembler()
    assert assembler.feed(b"a\xff") == "a\ufffd"
    assert assembler.feed(b"b") == "b"


def test_character_cut_at_the_end_is_replaced_once() -> None:
    assembler = TextAssembler()
    assert assembler.feed("é".encode()[:1]) == ""
    assert assembler.finish() == "\ufffd"
    assert assembler.finish() == ""


def test_stop_string_split_across_tokens_is_cut_off() -> None:
    assembler = TextAssembler(("###",))
    assert assembler.feed(b"end #") == "end "
    assert assembler.feed(b"#") == ""
    assert assembler.feed(b"# more") == ""
    assert assembler.stopped
    assert assembler.finish() == ""


def test_almost_a_stop_string_is_given_back() -> None:
    assembler = TextAssembler(("###",))
    assert assembler.feed(b"a##") == "a"
    assert assembler.feed(b"b") == "##b"
    assert not assembler.stopped


def test_held_back_text_comes_out_at_the_end() -> None:
    assembler = TextAssembler(("###",))
    assembler.feed(b"tail ##")
    assert assembler.finish() == "##"


def test_earliest_of_several_stops_counts() -> None:
    assert join([b"one STOP two END"], ("END", "STOP")) == "one "


@pytest.mark.parametrize("stop", ["\n\n", "aab", "é"])
def test_stop_found_whatever_the_cut(stop: str) -> None:
    text = f"xx a aa aé {stop} rest"
    data = text.encode()
    whole = text[: text.find(stop)]
    for cut in range(len(data)):
        assert join([data[:cut], data[cut:]], (stop,)) == whole


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_any_bytes_in_any_pieces_give_what_decoding_at_once_gives(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert join(pieces) == data.decode("utf-8", "replace")


@given(
    st.text(alphabet="ab#é🙂", max_size=40),
    st.lists(st.integers(0, 120), max_size=6),
    st.sampled_from(["ab", "##", "é🙂"]),
)
def test_stop_strings_in_any_pieces(text: str, cuts: list[int], stop: str) -> None:
    data = text.encode()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    place = text.find(stop)
    assert join(pieces, (stop,)) == (text if place < 0 else text[:place])
