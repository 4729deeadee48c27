"""Conversations are saved and read back, and other programs' lists of messages are read too."""

import json

import pytest

from workbench.errors import StoreCorrupt, UnknownName, UsageError
from workbench.interfaces import Message
from workbench.memory import BufferMemory
from workbench.memory.transfer import export_session, import_session, load_conversation, save_conversation


def write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture
def memory():
    memory = BufferMemory()
    call = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        Message("user", "naïve 東京 \ud800", name="Ann"),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "42", tool_call_id="c1"),
    ]
    memory.add_many(messages, session="Ann's chat", at=[1.5, 2.0, 3.0])
    memory.feedback(0, 1.0, session="Ann's chat")
    return memory


def test_a_conversation_comes_back_as_it_was(tmp_path, memory):
    save_conversation(memory, "Ann's chat", tmp_path / "c.json")
    found = load_conversation(tmp_path / "c.json")
    assert found.name == "Ann's chat"
    assert list(found.messages) == [one.message for one in memory.recall("x", session="Ann's chat")]
    assert found.times == (1.5, 2.0, 3.0)


def test_a_person_can_read_the_file(tmp_path, memory):
    save_conversation(memory, "Ann's chat", tmp_path / "c.json")
    text = (tmp_path / "c.json").read_text("utf-8")
    assert "東京" in text
    assert json.loads(text)["messages"][2] == {"role": "tool", "content": "42", "tool_call_id": "c1", "at": 3.0}


def test_all_that_was_said_is_saved_even_where_a_buffer_recalls_less(tmp_path):
    memory = BufferMemory(2)
    memory.add_many([Message.user(str(number)) for number in range(9)])
    save_conversation(memory, "default", tmp_path / "c.json")
    assert len(load_conversation(tmp_path / "c.json").messages) == 9


def test_an_exported_session_is_a_conversation_and_a_conversation_a_session(tmp_path, memory):
    export_session(memory, "Ann's chat", tmp_path / "s.json")
    save_conversation(memory, "Ann's chat", tmp_path / "c.json")
    assert load_conversation(tmp_path / "s.json") == load_conversation(tmp_path / "c.json")
    other = BufferMemory()
    assert import_session(other, tmp_path / "c.json") == "Ann's chat"
    assert other.recall("x", session="Ann's chat") == memory.recall("x", session="Ann's chat")


def test_a_file_that_is_there_is_replaced_and_one_that_fails_is_kept(tmp_path, memory):
    path = write(tmp_path / "c.json", [])
    with pytest.raises(UnknownName):
        save_conversation(memory, "nobody", path)
    assert path.read_text() == "[]"
    save_conversation(memory, "Ann's chat", path)
    assert load_conversation(path).name == "Ann's chat"


OPENAI = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Six times"}, {"type": "text", "text": "seven?"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}], "refusal": None},
    {"role": "tool", "content": "42", "tool_call_id": "c1", "timestamp": "2024-05-01T12:00:00Z"},
]
SHAREGPT = {"id": "x", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]}


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"messages": x, "model": "m"}, lambda x: [{"messages": x}]])
def test_the_shape_of_openai(tmp_path, wrap):
    found = load_conversation(write(tmp_path / "chat.json", wrap(OPENAI)))
    assert found.name == "chat"
    assert found.messages == (
        Message.system("Be brief."),
        Message.user("Six times\nseven?"),
        Message("assistant", "", tool_calls=({"id": "c1"},)),
        Message("tool", "42", tool_call_id="c1"),
    )
    assert found.times == (None, None, None, 1714564800.0)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: x["conversations"]])
def test_the_shape_of_sharegpt(tmp_path, wrap):
    found = load_conversation(write(tmp_path / "chat.json", wrap(SHAREGPT)))
    assert found.messages == (Message.user("Hello"), Message.assistant("Hi"))


def test_a_list_becomes_a_session_said_now(tmp_path):
    memory = BufferMemory()
    (tmp_path / "Ünï.json").write_text("\ufeff" + json.dumps(SHAREGPT), encoding="utf-8")
    assert import_session(memory, tmp_path / "Ünï.json", session="mine") == "mine"
    first, second = memory.recall("x", session="mine")
    assert first.at == second.at
    assert first.at > 1.7e9


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (7, "neither a session nor a conversation"),
        ({"role": "user", "content": "x"}, "list of messages like"),
        ([SHAREGPT, SHAREGPT], "2 conversations"),
        ([{"role": "user", "content": "x"}, "y"], r"\[1\]: a message is wanted here, not 'y'"),
        ([{"role": "emperor", "content": "x"}], r"\[0\]\.role: 'emperor' is no role; known: assistant"),
        ([{"content": "x"}], r"\[0\]\.role: None is no role"),
        ([{"role": "user", "content": 5}], r"\[0\]\.content: a text is wanted here, not 5"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], r"\[0\]\.content\[0\]: only text"),
        ([{"role": "user", "content": "x", "at": "noon"}], r"\[0\]\.at: 'noon' is no time"),
        ([{"role": "user", "content": "x", "at": []}], r"\[0\]\.at: seconds since 1970"),
        ([{"role": "user", "content": "x", "name": 5}], r"messages\[0\]\.name: a text is wanted here, not 5"),
    ],
)
def test_what_is_no_conversation_is_named(tmp_path, value, says):
    with pytest.raises(StoreCorrupt, match=says) as caught:
        load_conversation(write(tmp_path / "c.json", value))
    assert "c.json" in str(caught.value)


def test_an_empty_conversation_makes_no_session(tmp_path):
    assert load_conversation(write(tmp_path / "c.json", [])).messages == ()
    memory = BufferMemory()
    with pytest.raises(UsageError, match="no messages"):
        import_session(memory, tmp_path / "c.json")
    assert memory.sessions() == ()
