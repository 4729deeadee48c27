"""The small data set is what it says it is; a file of one's own is read or refused with its place."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import StoreCorrupt, UsageError
from workbench.evaluation import read_conversations, small


def test_the_small_set_has_what_is_needed_to_try_everything() -> None:
    found = small()
    assert len(found.conversations) == 3
    for one in found.conversations:
        assert len(one.turns) >= 60
        assert len(one.sittings) >= 4
        assert list(one.times) == sorted(one.times)
        assert set(Counter(question.category for question in one.questions)) == {1, 2, 3, 4, 5}
        assert all(question.evidence for question in one.questions)
        assert all((question.answer is None) == (question.category == 5) for question in one.questions)
        assert all(len(question.evidence) > 1 for question in one.questions if question.category == 1)
    assert len({question.id for one in found.conversations for question in one.questions}) == 45
    assert len(found.pairs) == 60
    assert {round(pair.score) for pair in found.pairs} == {0, 1, 2, 3, 5}
    assert set(found.collection.relevance) == set(found.collection.queries)
    judged = {name for grades in found.collection.relevance.values() for name in grades}
    assert judged <= set(found.collection.documents)
    assert all(max(grades.values()) == 3 for grades in found.collection.relevance.values())


def mine() -> dict[str, Any]:
    return {
        "version": 1,
        "conversations": [
            {
                "id": "mine",
                "speakers": ["Ann", "Bo"],
                "sittings": [{"at": "2024-05-31T18:30+02:00", "turns": [["Ann", "Hello."], ["Bo", "The key is red."]]}],
                "questions": [{"text": "What is red?", "category": 4, "answer": "the key", "evidence": ["D1:2"]}],
            }
        ],
    }


def test_conversations_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(mine()))
    (found,) = read_conversations(path)
    assert found.turns[1].text == "The key is red."
    assert found.turns[0].at == 1717173000
    assert found.evidence_of(found.questions[0]) == {1}
    assert found.labelled == {1}


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("version",), 2, "version must be a whole number from 1 to 1"),
        (("conversations", 0, "speakers"), ["Ann", "Ann"], "two different names"),
        (("conversations", 0, "sittings", 0, "at"), "yesterday", r"sittings\[0\].at must be a time like"),
        (("conversations", 0, "sittings", 0, "turns", 0), ["Cy", "Hi"], r"turns\[0\] must be a speaker and a text"),
        (("conversations", 0, "questions", 0, "evidence"), ["D1:3"], "names 'D1:3', which is no turn"),
        (("conversations", 0, "questions", 0, "category"), True, "category must be a whole number"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, place: tuple[Any, ...], value: Any, said: str) -> None:
    made: Any = mine()
    inner = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(made))
    with pytest.raises(StoreCorrupt, match=said):
        read_conversations(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_conversations(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(StoreCorrupt, match="byte 7 is no UTF-8"):
        read_conversations(tmp_path / "latin.json")
