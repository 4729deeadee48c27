"""Names are found as they are meant, and learnt with care."""

import pytest

from workbench.errors import InvalidSettings
from workbench.memory.relationships.entities import NameIndex, NameLearner


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Does Mira trust Jon?", ["Mira", "Jon"]),
        ("does mira trust JON?", ["Mira", "Jon"]),
        ("Mira Stone's brother", ["Mira Stone"]),
        ("Mirabel and Jonathan", []),
        ("Jon, Jon and Mira", ["Jon", "Mira"]),
        ("Jean-Luc O'Neil met Chloe\u0301.", ["Jean-Luc O'Neil", "Chloé"]),
        ("", []),
        ("!?", []),
    ],
)
def test_names_are_found_by_words(text, found):
    assert NameIndex(["Mira", "Mira Stone", "Jon", "Jean-Luc O'Neil", "Chloé"]).mentioned(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I hope so, and I will.", []),
        ("Will you come? Hope so.", []),
        ("I asked Will about Hope.", ["Will", "Hope"]),
        ("It was Will's idea.", ["Will"]),
    ],
)
def test_a_name_that_is_a_word_counts_as_it_is_written(text, found):
    assert NameIndex(["Hope", "Will"]).mentioned(text) == found


def test_who_asks_for_all_gets_the_doubtful_ones_too():
    index = NameIndex(["Hope", "Will", "Eve"])
    assert index.mentioned("Will is here. Eve, too.") == ["Eve"]
    assert index.mentioned("Will is here. I hope so.", doubtful=True) == ["Will"]


def test_what_differs_in_case_only_is_two_names():
    index = NameIndex(["Rex", "REX"])
    assert index.mentioned("REX and Rex") == ["REX", "Rex"]
    assert list(index) == ["Rex", "REX"]


def test_a_name_without_letters_is_never_found():
    index = NameIndex(["***"])
    assert index.mentioned("*** and so on") == []


def test_no_name_is_refused():
    with pytest.raises(InvalidSettings, match="name"):
        NameIndex([""])


def learnt(*texts, given=()):
    learner = NameLearner(given)
    for index, text in enumerate(texts):
        learner.take(index, text)
    return list(learner.names)


def test_a_repeated_name_is_learnt():
    assert learnt("We met Mira there.", "Mira was late.") == ["Mira"]


def test_one_mention_is_not_enough():
    assert learnt("We met Mira there.") == []


def test_the_beginning_of_a_sentence_proves_nothing():
    assert learnt("Rain fell. Rain again.", '"Rain!" she said.') == []


def test_what_is_written_small_as_well_is_no_name():
    assert learnt("The Dragon came.", "a dragon!", "They saw the Dragon.") == []


def test_several_words_are_one_name():
    assert learnt("I saw Mira Stone.", "So Mira Stone it was.") == ["Mira Stone"]


def test_the_first_word_of_a_sentence_is_not_part_of_a_name():
    assert learnt("Yesterday Mira left.", "Suddenly Mira came.", "I saw Mira.") == ["Mira"]


@pytest.mark.parametrize("text", ["See you on Monday in March.", "I and I.", "He speaks French.", "THE END OF IT ALL"])
def test_what_is_always_capitalised_is_no_name(text):
    assert learnt(text, text, text) == []


def test_a_possessive_is_the_name():
    assert learnt("It is Mira's, not Jon\u2019s.", "Ask Mira or Jon.") == ["Jon", "Mira"]


def test_learning_says_where_it_was_mentioned_before():
    learner = NameLearner()
    assert learner.take(0, "We met Mira.") == []
    assert learner.take(1, "Nothing new.") == []
    assert learner.take(2, "Then Mira left.") == [0]
    assert learner.take(3, "And Mira came back.") == []


def test_who_turns_out_to_speak_was_perhaps_mentioned_before():
    learner = NameLearner()
    learner.take(0, "We met Mira.")
    assert learner.know("Mira") == [0]
    assert learner.know("Mira") == []
