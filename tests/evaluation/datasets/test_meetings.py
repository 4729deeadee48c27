"""QMSum's files are read as conversations, and what is wrong in them is told with its place."""

import json

import pytest

from workbench.errors import StoreCorrupt, UnknownName, UsageError
from workbench.evaluation.datasets import qmsum


def meeting(**changes):
    said = [{"speaker": name, "content": f" {name} speaks. "} for name in ("Chair", "Clerk", "Chair", "Guest")]
    asked = {"query": "What did the clerk say?", "answer": "Something.", "relevant_text_span": [["1", "2"], ["2", "3"]]}
    whole = {"query": "Summarise.", "answer": "They spoke."}
    return {"meeting_transcripts": said, "specific_query_list": [asked], "general_query_list": [whole], **changes}


def write(folder, *meetings):
    return folder.write("qmsum/test.jsonl", "\n".join(json.dumps(one) for one in meetings))


def test_a_meeting_is_a_conversation(folder):
    write(folder, meeting(), meeting())
    first, second = qmsum()
    assert (first.id, second.id) == ("test-1", "test-2")
    assert first.speakers == ("Chair", "Clerk", "Guest")
    assert [message.role for message in first.messages] == ["user", "assistant", "user", "assistant"]
    assert first.messages[3].name == "Guest"
    assert first.messages[3].content == "Guest speaks."


def test_spans_are_turns_from_0_the_last_included(folder):
    write(folder, meeting())
    (one,) = qmsum()
    asked, whole = one.questions
    assert one.evidence_of(asked) == {1, 2, 3}
    assert asked.evidence == ("1", "2", "3"), "each once, in order"
    assert (asked.id, asked.answer) == ("test-1/0", "Something.")
    assert whole.evidence == ()


def test_only_some(folder):
    write(folder, meeting(), meeting())
    assert [one.id for one in qmsum(["test-2"])] == ["test-2"]
    with pytest.raises(UnknownName, match="Known: test-1, test-2"):
        qmsum(["test-3"])


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        (["0", "4"], "turns 0 to 3"),
        (["2", "1"], "the first and the last"),
        (["1"], "the first and the last"),
        (["a", "2"], "the first and the last"),
    ],
)
def test_a_wrong_span_is_told_with_its_place(folder, span, problem):
    asked = {"query": "q", "answer": "a", "relevant_text_span": [["0", "1"], span]}
    write(folder, meeting(), meeting(specific_query_list=[asked]))
    with pytest.raises(StoreCorrupt, match=problem) as caught:
        qmsum()
    assert "line 2" in str(caught.value)
    assert "relevant_text_span[1]" in str(caught.value)


def test_a_meeting_has_turns(folder):
    write(folder, meeting(meeting_transcripts=[]))
    with pytest.raises(StoreCorrupt, match="must have turns"):
        qmsum()


def test_without_data_the_remedy_is_named(folder, monkeypatch):
    (folder.root / "qmsum").mkdir()
    with pytest.raises(UsageError, match=r"no \*\.jsonl"):
        qmsum()
    monkeypatch.delenv("WORKBENCH_DATA")
    with pytest.raises(UsageError, match="WORKBENCH_DATA is not set"):
        qmsum()
