"""LoCoMo: labels in one form, errors corrected, and whatever is wrong told with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from workbench.errors import StoreCorrupt, UnknownName, UsageError
from workbench.evaluation import locomo
from workbench.settings import data_dir


def conversation(name: str = "conv-1") -> dict[str, Any]:
    return {
        "sample_id": name,
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bo",
            "session_1_date_time": "12:05 am on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "Hello Bo."},
                {"speaker": "Bo", "dia_id": "D1:2", "text": "Look!", "blip_caption": "a photo of a red bicycle"},
            ],
            "session_2_date_time": "7:55 pm on 9 June, 2023",
            "session_2": [{"speaker": "Ann", "dia_id": "D2:1", "text": "I sold it."}],
            "session_3_date_time": "1:00 pm on 1 July, 2023",
        },
        "qa": [
            {"question": f"What is red in {name}?", "answer": "a bicycle", "evidence": ["D1:2"], "category": 4},
            {"question": "When was it sold?", "answer": 2023, "evidence": ["D:1:02; D2:1"], "category": 2},
            {"question": "Who bought it?", "evidence": ["D2:1", "D2:1", "D", "D9:9"], "category": 5},
        ],
    }


def error(number: str, question: str, evidence: list[str], answer: str = "right") -> dict[str, Any]:
    return {
        "question_id": number,
        "question": question,
        "correct_evidence": evidence,
        "correct_answer": answer,
    }


def test_turns_have_their_times_and_captions(folder: Any) -> None:
    folder.write("locomo/locomo1.json", [conversation()])
    (found,) = locomo()
    assert found.id == "conv-1"
    assert found.speakers == ("Ann", "Bo")
    assert [turn.id for turn in found.turns] == ["D1:1", "D1:2", "D2:1"]
    assert found.turns[0].at == datetime(2023, 5, 8, 0, 5, tzinfo=UTC).timestamp()
    assert found.turns[2].at == datetime(2023, 6, 9, 19, 55, tzinfo=UTC).timestamp()
    assert found.turns[1].content == "Look! [shares a photo of a red bicycle]"
    assert [(message.role, message.name) for message in found.messages] == [
        ("user", "Ann"),
        ("assistant", "Bo"),
        ("user", "Ann"),
    ]
    assert found.sittings == (range(2), range(2, 3))


def test_evidence_is_brought_to_one_form(folder: Any) -> None:
    folder.write("locomo/locomo1.json", [conversation()])
    first, second, third = locomo()[0].questions
    assert (first.evidence, first.answer, first.category) == (("D1:2",), "a bicycle", 4)
    assert (second.evidence, second.answer) == (("D1:2", "D2:1"), "2023")
    assert (third.evidence, third.unusable, third.answer) == (("D2:1",), ("D", "D9:9"), None)
    assert locomo()[0].evidence_of(second) == {1, 2}


def test_every_file_is_read_and_a_conversation_counts_once(folder: Any) -> None:
    folder.write("locomo/locomo_a.json", [conversation("conv-2"), conversation("conv-1")])
    folder.write("locomo/locomo_b.json", [conversation("conv-2"), conversation("conv-3")])
    assert [one.id for one in locomo()] == ["conv-1", "conv-2", "conv-3"]
    assert [one.id for one in locomo(["conv-3"])] == ["conv-3"]
    with pytest.raises(UnknownName, match="conv-1, conv-2, conv-3"):
        locomo(["conv-4"])


def test_the_error_list_finds_its_conversation_by_the_questions(folder: Any) -> None:
    folder.write("locomo/locomo.json", [conversation("conv-7"), conversation("conv-8")])
    fixes = [
        error("locomo_6_qa0", "What is red in conv-8?", ["D1:1"]),
        error("locomo_6_qa1", "When was it sold?", ["D2:1"], "in June"),
        error("locomo_9_qa0", "What is red in conv-99?", ["D1:1"]),
    ]
    folder.write("locomo/errors.json", fixes)
    untouched, fixed = locomo()
    assert not any(question.corrected for question in untouched.questions)
    assert [question.evidence for question in fixed.questions] == [("D1:1",), ("D2:1",), ("D2:1",)]
    assert [question.corrected for question in fixed.questions] == [True, True, False]
    assert fixed.questions[1].answer == "in June"
    assert not any(question.corrected for one in locomo(corrected=False) for question in one.questions)


def test_an_error_list_of_another_version_is_refused(folder: Any) -> None:
    folder.write("locomo/locomo.json", [conversation("conv-8")])
    fixes = [error("locomo_0_qa0", "What is red in conv-8?", []), error("locomo_0_qa1", "Who sold it?", [])]
    folder.write("locomo/errors.json", fixes)
    with pytest.raises(StoreCorrupt, match="other questions than conv-8 has"):
        locomo()
    folder.write("locomo/errors.json", [error("17", "What is red in conv-8?", [])])
    with pytest.raises(StoreCorrupt, match=r"\[0\].question_id must be like"):
        locomo()


def _break(change: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
    made = conversation()
    change(made)
    return [made]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda made: made.pop("qa"), r"\[0\] has no 'qa'"),
        (lambda made: made["conversation"].pop("speaker_b"), r"\[0\].conversation has no 'speaker_b'"),
        (lambda made: made["conversation"].update(session_1={}), "session_1 must be a list, not an object"),
        (lambda made: made["conversation"]["session_1"][1].update(text=3), r"session_1\[1\]"),
        (lambda made: made["conversation"]["session_1"][0].update(text=" "), r"session_1\[0\].text must not be empty"),
        (lambda made: made["conversation"]["session_1"][0].update(dia_id="D"), "must be one turn like"),
        (lambda made: made["conversation"]["session_2"][0].update(dia_id="D1:1"), "two turns of the same dia_id"),
        (lambda made: made["conversation"].update(session_1_date_time="8 May"), "must be a time like"),
        (
            lambda made: made["conversation"].update(session_1_date_time="1:00 pm on 31 June, 2023"),
            "session_1_date_time is no date",
        ),
        (lambda made: made["qa"][2].update(category=6), r"qa\[2\].category must be a whole number from 1 to 5"),
        (lambda made: made["qa"][0].update(evidence="D1:1"), r"qa\[0\].evidence must be a list, not a text"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Any, change: Any, said: str) -> None:
    path = folder.write("locomo/locomo.json", _break(change))
    with pytest.raises(StoreCorrupt, match=said) as caught:
        locomo()
    assert caught.value.path == path


def test_absent_data_name_the_remedy(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"no locomo/ in .*small\(\)"):
        locomo()
    (folder.root / "locomo").mkdir()
    with pytest.raises(UsageError, match=r"no locomo\*.json"):
        locomo()
    folder.write("locomo/locomo.json", "[{")
    with pytest.raises(StoreCorrupt, match="no JSON"):
        locomo()
    monkeypatch.delenv("WORKBENCH_DATA")
    with pytest.raises(UsageError, match="WORKBENCH_DATA is not set"):
        locomo()


@pytest.mark.skipif(data_dir() is None or not (data_dir() / "locomo").is_dir(), reason="no LoCoMo")  # type: ignore[operator]
def test_the_published_conversations() -> None:
    found = locomo()
    plain = {question.id: question for one in locomo(corrected=False) for question in one.questions}
    questions = [question for one in found for question in one.questions]
    assert set(Counter(question.category for question in questions)) == {1, 2, 3, 4, 5}
    assert all(list(one.times) == sorted(one.times) for one in found)
    fixed = [question for question in questions if question.corrected]
    assert len(fixed) > 10 * len(found)
    assert sum(question.evidence != plain[question.id].evidence for question in fixed) > len(fixed) / 4
    assert sum(not question.evidence for question in questions) < 0.01 * len(questions)
    assert all(question.answer for question in questions if question.category != 5)
