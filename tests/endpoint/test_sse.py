"""Server-sent events, however the bytes are cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.endpoint import sse
from workbench.endpoint.sse import EventReader, EventTooLarge

WORDS = ["plain", "wörld 🙂 東京", "a\nb", "  blanks  ", "{}"]
STREAM = "".join(
    f": keep-alive\n\nevent: message\nid: 7\ndata: {json.dumps(word, ensure_ascii=False)}\n\n" for word in WORDS
)


def read(pieces):
    reader, found = EventReader(), []
    for piece in pieces:
        found += reader.feed(piece)
    return found + reader.finish()


@given(st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 400), max_size=40), st.booleans())
def test_cuts_and_line_ends_change_nothing(end, cuts, bom):
    data = (b"\xef\xbb\xbf" if bom else b"") + STREAM.replace("\n", end).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    assert [json.loads(event) for event in read(pieces)] == WORDS


def test_byte_by_byte():
    data = STREAM.replace("\n", "\r\n").encode()
    assert [json.loads(event) for event in read([data[i : i + 1] for i in range(len(data))])] == WORDS


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_read_the_same_in_one_piece_and_in_two(data, cut):
    assert read([data]) == read([data[:cut], data[cut:]])


def test_an_event_is_told_with_the_byte_that_ends_it():
    reader = EventReader()
    assert reader.feed(b"data: 1\n") == []
    assert reader.feed(b"\n") == [b"1"]
    reader = EventReader()
    assert reader.feed(b"data: 1\r\r") == [b"1"], "a CR ends a line; nobody waits for the LF that may follow"
    assert reader.feed(b"\ndata: 2\r\n\r\n") == [b"2"]


def test_several_data_lines_are_one_event():
    assert read([b'data: {"a":\ndata:1}\n\n']) == [b'{"a":\n1}']


def test_one_blank_after_the_colon_is_no_data():
    assert read([b"data:x\n\ndata:  y\n\n"]) == [b"x", b" y"]


def test_what_has_no_data_is_no_event():
    assert read([b": only a comment\n\nevent: ping\n\nretry: 10\n\n"]) == []


def test_a_forgotten_last_line_end_is_forgiven():
    assert read([b"data: 1\n\ndata: [DONE]"]) == [b"1", b"[DONE]"]


def test_an_error_line_counts_as_data():
    assert read([b'error: {"code": 500}\n\n']) == [b'{"code": 500}']


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_an_event_without_end_is_refused(monkeypatch, end):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    reader = EventReader()
    for _ in range(9):
        reader.feed(b"data:" + b"x" * 100 + end)
    with pytest.raises(EventTooLarge, match="1,000"):
        reader.feed(b"x" * 100 if not end else b"data:" + b"x" * 100 + end)
