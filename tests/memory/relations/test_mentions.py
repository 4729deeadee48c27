import pytest

from workbench.memory.relations.mentions import find_mentions


def found(text: str, names: list[str]) -> list[tuple[str, str]]:
    return [(text[m.start : m.end], names[m.entity]) for m in find_mentions(text, names)]


def test_the_longest_name_wins_and_words_are_whole() -> None:
    names = ["Ann", "Anna", "Ann Marie"]
    assert found("Ann Marie met Ann and Anna in Annapolis.", names) == [
        ("Ann Marie", "Ann Marie"),
        ("Ann", "Ann"),
        ("Anna", "Anna"),
    ]


def test_a_part_of_a_name_counts_only_if_it_is_nobody_elses() -> None:
    assert found("Later Mira left.", ["Mira Holt", "Jon"]) == [("Mira", "Mira Holt")]
    assert found("Later Holt left.", ["Mira Holt", "Jon Holt"]) == []
    assert found("Tom Holt left.", ["Mira Holt"]) == []
    assert found("The King left.", ["King Aldric"]) == []


@pytest.mark.parametrize("text", ["Will she come?", "They sailed in May.", "Mark my words.", "the will of the people"])
def test_everyday_words_are_not_names(text: str) -> None:
    assert found(text, ["Will", "May", "Mark"]) == []


def test_the_same_words_as_names() -> None:
    assert found("Will will meet May.", ["Will", "May"]) == [("Will", "Will"), ("May", "May")]


def test_signs_in_a_name_are_only_signs() -> None:
    assert found("Brass-9 met A.I. (x) today", ["Brass-9", "A.I. (x)", "[", ".*"]) == [
        ("Brass-9", "Brass-9"),
        ("A.I. (x)", "A.I. (x)"),
    ]


def test_an_article_may_come_or_go() -> None:
    assert found("The Iron Guild met the smugglers of Hest.", ["Iron Guild", "The smugglers of Hest"]) == [
        ("The Iron Guild", "Iron Guild"),
        ("the smugglers of Hest", "The smugglers of Hest"),
    ]
