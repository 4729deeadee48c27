"""What embedding models share: batches of like length, order restored, unit length, fingerprints, closing."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.embedding.base import ModelEmbedder, clean, unit
from workbench.errors import InvalidSettings, UsageError


class Letters:
    """A "model" that reads characters and counts the a's; keeps the batches it was given."""

    def __init__(self, limit):
        self.limit, self.batches, self.closed = limit, [], False

    def prepared(self, texts):
        return [text[: self.limit] for text in texts]

    def forward(self, batch):
        self.batches.append([len(text) for text in batch])
        return np.array([[text.count("a"), len(text), 1.0] for text in batch], np.float32)

    def counts(self, texts):
        return [len(text) for text in texts]

    def close(self):
        self.closed = True


class LetterEmbedder(ModelEmbedder):
    opened = 0

    def __init__(self, **options):
        given = {"name": "letters", "dimensions": 3, "max_tokens": 100, "batch_size": 4, **options}
        super().__init__(**given)

    def _facts(self):
        return {"model": "letters"}

    def _open(self):
        self.opened += 1
        return Letters(self.max_tokens)


@given(st.lists(st.text("ab", max_size=90), max_size=40), st.integers(1, 9))
def test_vectors_come_in_the_order_of_their_texts_whatever_the_batches(texts, batch_size):
    embedder = LetterEmbedder(batch_size=batch_size)
    expected = unit(np.array([[text.count("a"), len(text), 1.0] for text in texts], np.float32).reshape(-1, 3))
    assert np.allclose(embedder.embed(texts), expected, atol=1e-6)


@given(st.lists(st.integers(0, 100), max_size=60))
def test_batches_hold_every_text_once_and_texts_of_like_length(lengths):
    embedder = LetterEmbedder(batch_size=8)
    batches = list(embedder._batches(["x" * length for length in lengths]))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= 8
        longest, shortest = max(lengths[place] for place in batch), min(lengths[place] for place in batch)
        assert longest <= 32 or 2 * shortest >= longest, "no text is padded to more than twice its length"


def test_the_longest_texts_are_computed_first():
    embedder = LetterEmbedder()
    embedder.embed(["a" * length for length in (3, 90, 60, 80, 5)])
    assert embedder.load().batches == [[90, 80, 60], [5, 3]]


def test_nothing_is_loaded_before_the_first_text_and_once_only():
    embedder = LetterEmbedder()
    assert embedder.embed([]).shape == (0, 3)
    assert embedder.truncated([]) == []
    assert embedder.opened == 0
    threads = [threading.Thread(target=embedder.embed, args=(["a"],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert embedder.opened == 1


def test_prefixes_are_put_before_queries_and_passages():
    embedder = LetterEmbedder(query_prefix="aaaa ", passage_prefix="b")
    assert np.allclose(embedder.embed_query("b"), unit(np.array([[4, 6, 1]]))[0])
    assert np.allclose(embedder.embed(["b"])[0], unit(np.array([[0, 2, 1]]))[0])
    assert embedder.truncated(["x" * 99, "x" * 100]) == [False, True], "a prefix takes its share of the tokens"


def test_every_setting_that_changes_vectors_is_in_the_fingerprint():
    made = [
        LetterEmbedder(),
        LetterEmbedder(max_tokens=99),
        LetterEmbedder(query_prefix="q"),
        LetterEmbedder(passage_prefix="q"),
    ]
    assert len({embedder.fingerprint for embedder in made}) == len(made)
    assert LetterEmbedder(batch_size=7, name="other").fingerprint == LetterEmbedder().fingerprint


def test_a_closed_embedder_says_so():
    embedder = LetterEmbedder()
    runner = embedder.load()
    embedder.close()
    embedder.close()
    assert runner.closed
    with pytest.raises(UsageError, match="is closed"):
        embedder.embed(["a"])


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_that_utf8_can_hold(text):
    cleaned = clean(text)
    cleaned.encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert cleaned == text


def test_a_lone_surrogate_becomes_the_replacement_character():
    assert clean("a\ud800b") == "a\ufffdb"


def test_a_row_of_zeros_gets_a_direction():
    rows = unit(np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert np.allclose(rows, [[1, 0], [0.6, 0.8]])


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"max_tokens": 2}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(InvalidSettings, match="at least"):
        LetterEmbedder(**bad)
