"""Without a query, what tells much in few words comes first."""

import numpy as np

from workbench.compression.information import information
from workbench.compression.reading import Reader
from workbench.ranking.facts import particulars
from workbench.ranking.words import words

CHAT = [
    "How nice, thanks a lot for telling me!",
    "The boiler was replaced on 14 March by Imre Halász.",
    "Yeah, I know, that is really so nice of you.",
    "Oh wow, that is nice, I am happy for you.",
]


def test_particulars_are_worth_more_than_pleasantries():
    scores = information(CHAT, Reader())
    assert scores.argmax() == 1
    assert abs(float(scores.mean())) < 1e-6


def test_length_alone_is_worth_nothing():
    padded = [*CHAT, CHAT[1] + " and so it was, as it is and was and will be for us all, if it may be so" * 3]
    scores = information(padded, Reader())
    assert scores[1] > scores[-1]


def test_what_everybody_says_tells_less_than_what_one_says():
    texts = ["the harbour opens", "the harbour opens", "the harbour opens", "the quarry opens"]
    scores = information(texts, Reader())
    assert scores[3] > scores[0] == scores[1]


def test_names_numbers_and_times_are_particulars():
    def count(text):
        return particulars(text, words(text))

    assert count("It rained.") == 0
    assert count("They met Anna in Oslo yesterday at 7.") == 4
    assert count("Anna came.") == 0, "a capital at the beginning of a sentence is no sign"


def test_no_texts_and_empty_texts():
    assert information([], Reader()).shape == (0,)
    assert np.array_equal(information(["", ""], Reader()), [0, 0])


def test_a_reader_reads_a_text_once():
    reader = Reader(remembered=10)
    for _ in range(3):
        information(CHAT, reader)
    assert reader.terms.cache_info().misses == len(CHAT)
    assert reader.particulars.cache_info().misses == len(CHAT)
    assert Reader().terms("Anna was camping") == ("anna", "camp")
