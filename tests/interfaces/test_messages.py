"""Messages and prompts: what they may be, and what is said of anything else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import InvalidSettings, UnknownName
from workbench.interfaces import ROLES, Message
from workbench.interfaces.messages import as_prompt

messages = st.builds(
    Message,
    role=st.sampled_from(ROLES),
    content=st.text(),
    name=st.none() | st.text(min_size=1),
    tool_calls=st.lists(st.fixed_dictionaries({"id": st.text()}), max_size=2).map(tuple),
    tool_call_id=st.none() | st.text(min_size=1),
)


@given(messages)
def test_a_message_goes_through_a_dictionary(message):
    assert Message.from_mapping(message.to_dict()) == message


def test_empty_fields_are_left_out_and_the_text_is_not():
    assert Message.user("").to_dict() == {"role": "user", "content": ""}


def test_the_short_forms():
    assert [make("x").role for make in (Message.system, Message.user, Message.assistant)] == list(ROLES[:3])


def test_openais_shape_of_a_tool_call_is_taken():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    made = Message.from_mapping({"role": "assistant", "content": None, "tool_calls": [call]})
    assert (made.content, made.tool_calls) == ("", (call,))


def test_an_unknown_role_lists_the_known():
    with pytest.raises(UnknownName, match=r"Unknown role 'usr'. Did you mean 'user'\?"):
        Message("usr", "x")


def test_an_unknown_field_lists_the_known():
    with pytest.raises(UnknownName, match=r"Unknown message field 'text'.*content"):
        Message.from_mapping({"role": "user", "text": "x"})


@pytest.mark.parametrize("values", [{"content": "x"}, {"role": None, "content": "x"}, {"role": "user", "content": 3}])
def test_a_message_needs_a_role_and_a_text(values):
    with pytest.raises(InvalidSettings, match="needs a role and a text"):
        Message.from_mapping(values)


@pytest.mark.parametrize("tokens", [[1, 2], (1, 2), np.array([1, 2]), np.array([1, 2], np.int32), range(1, 3)])
def test_tokens_become_plain_ints(tokens):
    made = as_prompt(tokens)
    assert made == (1, 2)
    assert all(type(token) is int for token in made)


@pytest.mark.parametrize(
    "prompt", [None, 3, b"bytes", 1.5, [1.5], [True], ["text"], [1, "a"], [Message.user("x"), 1], {"role": "user"}]
)
def test_anything_else_is_refused_with_an_example(prompt):
    with pytest.raises(InvalidSettings, match=r"Message.user\('…'\)"):
        as_prompt(prompt)
