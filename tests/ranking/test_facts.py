"""What a message is like, whatever is asked."""

import pytest

from workbench.ranking.facts import FACTS, facts
from workbench.ranking.words import words


def of(text):
    return dict(zip(FACTS, facts(text, words(text)), strict=True))


@pytest.mark.parametrize(
    ("fact", "yes", "no"),
    [
        ("ends_asking", "Did you go? [shares a photo of a dog]", "Really? I did not know."),
        ("asks", "Really? I did not know.", "I did not know."),
        ("time", "We went there last week.", "We may go there."),
        ("time", "It was in 1987.", "It was room 12345."),
        ("number", "I have three cats and 1 dog.", "I have cats."),
        ("names", "We met Sarah there.", "We met there. It was fun."),
        ("quotes", 'I read "Dune".', "I read a book."),
        ("first_person", "I've lost my keys.", "Keys get lost."),
        ("second_person", "Have you lost your keys?", "Keys get lost."),
    ],
)
def test_a_fact_holds_where_it_should_only(fact, yes, no):
    assert of(yes)[fact] > 0
    assert of(no)[fact] == 0


def test_an_empty_message_has_no_facts():
    assert set(of("").values()) == {0.0}


def test_longer_is_longer():
    assert of("a b c")["length"] > of("a b")["length"] > 0
