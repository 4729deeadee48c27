"""Repetition and emptiness, told from the words."""

from __future__ import annotations

import pytest

from workbench.evaluation.waste import content_words, repeats, says_nothing


@pytest.mark.parametrize(
    "text", ["", "Thanks!", "Wow, that's great!", "Hi Mel, how are you?", "Yes.", "Oh no, I\u2019m sorry!"]
)
def test_pleasantries_say_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize("text", ["The boat is called Petrel.", "I sold the engine.", "Bo moved to 東京 in 2019."])
def test_facts_say_something(text: str) -> None:
    assert not says_nothing(text)


def test_content_words_are_what_is_left() -> None:
    assert content_words("Oh, I really love the RED bicycle!") == {"red", "bicycle"}


def test_a_repetition_is_told_whatever_its_case_and_punctuation() -> None:
    told = ["The boat is called Petrel.", "the boat is called petrel", "The boat is called Heron.", "Thanks!"]
    assert repeats(told) == [False, True, False, False]
    assert repeats(["", "…"]) == [False, True]
    assert repeats([]) == []
