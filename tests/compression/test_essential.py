"""Numbers, names, negations and what is asked for are told from all other words."""

import pytest

from workbench.compression.essential import essential, names, negated, negates
from workbench.compression.pieces import words
from workbench.ranking import terms


def kept(text, query="", others=()):
    spans = words(text)
    flags = essential(text, spans, names([text, *others]), frozenset(terms(query)))
    return [text[start:end] for (start, end), stays in zip(spans, flags, strict=True) if stays]


def test_digits_names_and_negations_stay():
    assert kept("We did not meet Vera at 7:30, and the room 4b was empty.") == ["not", "Vera", "7:30,", "4b"]


def test_a_name_that_opens_a_sentence_is_known_from_elsewhere():
    assert kept("Vera came. The boat was there. The boat left.", others=["the boat"]) == ["Vera"]
    assert kept("Boats are slow.", others=["two boats"]) == []


def test_pronouns_and_articles_are_no_names():
    assert kept("Then I'm told that The Times and I agree.") == ["Times"]


def test_words_of_the_query_stay_in_any_inflection():
    assert kept("she was painting the old fence", query="What did she paint?") == ["painting"]
    assert kept("she was painting the old fence") == []


@pytest.mark.parametrize("word", ["not", "Never,", "don't", "won\u2019t.", "dont", "'no'", "cannot", "nothing!"])
def test_negations_are_told_with_their_punctuation(word):
    assert negates(word)


@pytest.mark.parametrize("word", ["note", "knot", "tent", "want", "noon", "ant", "--", ""])
def test_what_only_looks_like_one_is_none(word):
    assert not negates(word)


def test_no_text_has_no_names():
    assert names([]) == names([""]) == frozenset()
    assert essential("", [], frozenset()) == []


@pytest.mark.parametrize(
    ("text", "together"),
    [
        ("we did not see Vera", ["not see"]),
        ("he is not the captain of it", ["not the captain"]),
        ("I think not.", ["think not."]),
        ("she never, ever came", ["she never,"]),
        ("No, we stay. He left", ["No, we stay."]),
        ("No. We went home", []),
        ("they didn't go without a word", ["didn't go", "without a word"]),
        ("why not", ["not"]),
        ("", []),
    ],
)
def test_a_negation_stands_with_what_it_negates(text, together):
    spans, found, begin = words(text), [], 0
    for place, joined in enumerate(negated(text, spans)):
        if not joined:
            part = text[spans[begin][0] : spans[place][1]]
            found += [part] if begin < place or (negates(part) and part != "No.") else []
            begin = place + 1
    assert found == together
