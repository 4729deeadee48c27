"""What the ranker looks at: standardised, within a sitting, the same however the session grew."""

import numpy as np
import pytest

from workbench.embedding import HashingEmbedder
from workbench.interfaces import Message
from workbench.memory.ranking.features import FEATURES, RankedTranscript, features
from workbench.storage import Event

EMBEDDERS = (HashingEmbedder(64), HashingEmbedder(32))
SAID = [
    ("Ann", "Hello Bob! How was your holiday?", 0),
    ("Bob", "I went to Lisbon last week.", 0),
    ("Ann", "Which book did you read there?", 0),
    ("Bob", 'I read "Dune", all of it.', 0),
    ("Ann", "My cat has three kittens.", 90_000),
    ("Bob", "What are their names?", 90_000),
    ("Ann", "Tom, Tim and Tam.", 90_000),
]


def events(said=SAID):
    return [
        Event(n + 1, "s", "message", float(at), {"index": n, **Message("user", text, name=name).to_dict()})
        for n, (name, text, at) in enumerate(said)
    ]


def made(said=SAID, embedders=EMBEDDERS, pieces=1):
    snapshot = RankedTranscript("s", 0, [one.dimensions for one in embedders])
    for part in np.array_split(np.arange(len(said)), pieces):
        snapshot.update([events(said)[n] for n in part])
        snapshot.embed(embedders)
    return snapshot


def table(query, snapshot=None, embedders=EMBEDDERS):
    snapshot = snapshot or made(embedders=embedders)
    values = features(snapshot, query, snapshot.query_vectors(query, embedders))
    return dict(zip(FEATURES, values, strict=True))


def test_there_is_one_row_a_feature_and_every_number_is_one():
    for query in ("What did Bob read?", "", "?", "unicorn", "Ann Bob", "x " * 200):
        values = table(query)
        assert list(values) == list(FEATURES)
        assert all(np.isfinite(row).all() and row.shape == (7,) for row in values.values()), query


def test_a_session_of_one_message():
    snapshot = made(SAID[:1])
    assert all(np.isfinite(row).all() for row in table("holiday", snapshot).values())


def test_words_and_their_neighbours():
    values = table("Where was the holiday?")
    assert values["bm25"].argmax() == 0
    assert values["bm25-1"][1] == values["bm25"][0]
    assert values["bm25-1"][4] == 0, "The neighbour is in another sitting."
    assert values["coverage_nearby"][1] == values["coverage_nearby"][0]
    assert values["bm25_best_of_sitting"][:4] == pytest.approx(values["bm25"][0])


def test_scores_are_standardised():
    for name in ("bm25", "cosine", "cosine_second", "bm25_sitting"):
        row = table("kittens and holiday")[name]
        assert row.mean() == pytest.approx(0, abs=1e-5)
        assert row.std() == pytest.approx(1, abs=1e-4)


def test_the_speaker_counts_where_exactly_one_is_named():
    assert table("What did Bob read?")["speaker"].tolist() == [-1, 1, -1, 1, -1, 1, -1]
    assert not table("What did Ann and Bob read?")["speaker"].any()
    assert not table("What was read?")["speaker"].any()


def test_a_name_does_not_count_as_a_word():
    assert np.array_equal(table("the book of Bob")["bm25"], table("the book")["bm25"])
    assert table("How was Bob?")["bm25"].argmax() == 0, "Unless it is the only one."


def test_facts_and_what_is_asked_for():
    values = table("When did he go?")
    assert values["opens_sitting"].tolist() == [1, 0, 0, 0, 1, 0, 0]
    assert values["after_question"].tolist() == [0, 1, 0, 1, 0, 0, 1]
    assert values["asks_when_has_time"].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert not table("Who went?")["asks_when_has_time"].any()


def test_message_by_message_equals_all_at_once():
    one, many = table("Which book?", made()), table("Which book?", made(pieces=7))
    for name in FEATURES:
        assert one[name] == pytest.approx(many[name], abs=1e-5), name


def test_a_single_embedder_stands_for_both():
    alone = table("Which book?", embedders=EMBEDDERS[:1])
    assert np.array_equal(alone["cosine"], alone["cosine_second"])
