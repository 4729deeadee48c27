import numpy as np
import pytest

from workbench.embedding import HashingEmbedder
from workbench.interfaces import Message
from workbench.memory.ranking.snapshot import IndexedTranscript, shifted
from workbench.storage import Event

EMBEDDERS = [HashingEmbedder(32), HashingEmbedder(16)]


def _snapshot(texts, gap_s=0.0):
    snapshot = IndexedTranscript("s", 0, [one.dimensions for one in EMBEDDERS])
    snapshot.update(
        [
            Event(place + 1, "s", "message", place * gap_s, {"index": place, **Message.user(text).to_dict()})
            for place, text in enumerate(texts)
        ]
    )
    return snapshot


def test_words_come_at_once_and_vectors_when_they_are_made():
    snapshot = _snapshot(["red bicycle", "blue car", "green boat"])
    assert snapshot.lexical.scores(["bicycl"]).argmax() == 0
    assert snapshot.unembedded(2) == ["red bicycle", "blue car"]
    snapshot.embed(EMBEDDERS, 2)
    assert snapshot.unembedded(2) == ["green boat"]
    snapshot.embed(EMBEDDERS)
    assert snapshot.unembedded(2) == []
    for index, embedder in zip(snapshot.dense, EMBEDDERS, strict=True):
        assert index.scores(embedder.embed_query("blue car")).argmax() == 1


def test_what_is_embedded_is_not_embedded_again():
    snapshot = _snapshot(["a", "b"])
    snapshot.embed(EMBEDDERS)
    snapshot.embed(EMBEDDERS)
    assert [len(index) for index in snapshot.dense] == [2, 2]


def test_where_sittings_start():
    assert _snapshot(["a", "b", "c"], gap_s=3600).starts().tolist() == [0, 1, 2]
    assert _snapshot(["a", "b", "c"]).starts().tolist() == [0]


@pytest.mark.parametrize(
    ("by", "moved"),
    [(1, [2, 0, 4, 5, 0]), (-1, [0, 1, 0, 3, 4]), (2, [0, 0, 5, 0, 0]), (-2, [0, 0, 0, 0, 3]), (9, [0] * 5)],
)
def test_neighbours_are_of_the_same_sitting(by, moved):
    values, sittings = np.array([1, 2, 3, 4, 5], np.float32), np.array([0, 0, 1, 1, 1])
    assert shifted(values, sittings, by).tolist() == moved
    assert shifted(values[None], sittings, by).tolist() == [moved]
