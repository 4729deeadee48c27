import pytest

from workbench.interfaces import Message
from workbench.ranking.speakers import Speakers, in_first_person, speaker_of


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (Message("user", "hello", name="Ann"), "Ann"),
        (Message("user", "Ann: hello"), "Ann"),
        (Message("user", "Mary Ann Smith: hello"), "Mary Ann Smith"),
        (Message("user", "at 10:30 we met"), "(user)"),
        (Message("assistant", "hello"), "(assistant)"),
    ],
)
def test_a_name_a_prefix_or_a_role(message, name):
    assert speaker_of(message) == name


def _speakers(*messages):
    speakers = Speakers()
    for message in messages:
        speakers.add(message)
    return speakers


def test_whom_a_query_names():
    speakers = _speakers(Message("user", "a", name="Zoë Hill"), Message("user", "b", name="Will"))
    for query in ("What did Zoe buy?", "zoë's dog", "Did ZOË\u2019S dog bark?", "Ms Hill?"):
        said, count = speakers.named(query)
        assert said.tolist() == [1, 0], query
        assert count == 1
    assert speakers.named("Zoe and the dog")[1] == 1
    assert speakers.named("the dog")[0].tolist() == [0, 0]
    assert "zoe" in speakers.names()


def test_pronouns_stand_for_roles_only_where_there_is_no_name():
    nameless = _speakers(Message.user("a"), Message.assistant("b"))
    assert nameless.named("What did I say?")[0].tolist() == [1, 0]
    assert nameless.named("What did you say?")[0].tolist() == [0, 1]
    named = _speakers(Message("user", "a", name="Ann"))
    assert named.named("What did I say?")[0].tolist() == [0]


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("Where did Ann camp?", "Where did I camp?"),
        ("What is Ann's dog called?", "What is my dog called?"),
        ("What is ANN\u2019s dog called?", "What is my dog called?"),
        ("What did Zoë buy with Ann?", "What did I buy with I?"),
        ("Where is Anna?", "Where is Anna?"),
        ("What will Will do?", "What will I do?"),
        ("", ""),
    ],
)
def test_a_query_in_the_first_person(query, asked):
    assert in_first_person(query, frozenset({"ann", "zoe", "will"})) == asked
