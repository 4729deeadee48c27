"""What a piece has in common with a query: words, meaning, and who is named."""

import numpy as np
import pytest

from workbench.compression.reading import Reader
from workbench.compression.relevance import Relevance, Said
from workbench.embedding.hashing import HashingEmbedder
from workbench.interfaces import Message

MESSAGES = [
    Message("user", "I went camping by the lake.", name="Ann"),
    Message("assistant", "My boat needs paint.", name="Bob"),
    Message("user", "Ann is a name I like.", name="Ann"),
]
SAID = [Said(message.content, message) for message in MESSAGES]


@pytest.fixture
def relevance():
    return Relevance(SAID, Reader())


def test_inflected_words_match(relevance):
    scores = relevance.by_words("Where do they camp?")
    assert scores.argmax() == 0
    assert float(scores.mean()) == pytest.approx(0, abs=1e-6)


def test_a_speakers_name_tells_who_and_not_what_about(relevance):
    assert relevance.by_words("Did Ann paint?").argmax() == 1
    assert relevance.by_words("Ann?").argmax() == 2, "unless there is nothing else to go by"
    assert list(relevance.by_speaker("Did Ann paint?")) == [1, 0, 1]


def test_a_query_is_embedded_as_a_speaker_would_put_it(relevance):
    asked = []

    class Listening(HashingEmbedder):
        def embed_query(self, text):
            asked.append(text)
            return super().embed_query(text)

    scores = relevance.by_meaning("Where is Bob's boat?", Listening())
    assert asked == ["Where is my boat?"]
    assert scores.argmax() == 1


def test_a_query_without_words_prefers_nothing(relevance):
    assert np.array_equal(relevance.by_words("???"), [0, 0, 0])
