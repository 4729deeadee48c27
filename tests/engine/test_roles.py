"""Templates that are strict about roles get what they take, and say so once; all others get what was given."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.roles import LEFT_OUT, gentler
from workbench.engine.template import ChatTemplate
from workbench.errors import ChatTemplateError, SettingAdjusted
from workbench.interfaces import Message

STRICT = (
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}"
)
ALTERNATES = STRICT.replace("{% if m.role == 'system' %}", "{% if false %}").replace(
    "{% for m in messages %}",
    "{% if messages[0].role == 'system' %}<system>{{ messages[0].content }}{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}",
)
user, answer, system = Message.user, Message.assistant, Message.system


def test_system_and_doubled_roles_are_folded_in():
    template = ChatTemplate(STRICT, model="strict")
    with pytest.warns(SettingAdjusted, match="strict does not take these messages.*System role not supported"):
        text = template.render(
            [system("Be brief."), user("a"), answer("b"), user("c"), user("d"), system("e"), user("f")]
        )
    assert text == "<user>Be brief.\n\na<assistant>b<user>c\n\nd\n\ne\n\nf"


def test_the_least_change_that_does_it():
    with pytest.warns(SettingAdjusted):
        text = ChatTemplate(ALTERNATES).render([system("S"), user("a"), user("b")])
    assert text == "<system>S<user>a\n\nb", "the system message is taken, so it stays one"


def test_it_is_told_once_and_what_is_taken_is_not_touched():
    template = ChatTemplate(STRICT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert template.render([user("a"), answer("b"), user("c")]) == "<user>a<assistant>b<user>c"
    with pytest.warns(SettingAdjusted):
        template.render([system("S"), user("a")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        template.render([system("S"), user("a")])


def test_a_conversation_that_begins_with_an_answer():
    with pytest.warns(SettingAdjusted):
        text = ChatTemplate(STRICT).render([answer("b"), user("c")])
    assert text == f"<user>{LEFT_OUT.content}<assistant>b<user>c"


def test_what_is_refused_in_every_way_says_why():
    with pytest.raises(ChatTemplateError, match="never"):
        ChatTemplate("{{ raise_exception('never') }}").render([system("S"), user("a")])


def test_a_broken_template_is_not_tried_again():
    with pytest.raises(ChatTemplateError, match="ZeroDivisionError"):
        ChatTemplate("{{ 1 / 0 }}").render([system("S"), user("a")])


@given(st.lists(st.sampled_from(["system", "user", "assistant"]), min_size=1, max_size=12))
def test_the_last_way_alternates_and_loses_nothing(roles):
    messages = [Message(role, f"m{number};") for number, role in enumerate(roles)]
    ways = list(gentler(messages))
    last = ways[-1] if ways else messages
    found = [message.role for message in last]
    assert found == [("user", "assistant")[place % 2] for place in range(len(found))]
    for message in messages:
        assert any(message.content in one.content for one in last)


def test_tool_calls_stay_as_they_are():
    calls = [Message("assistant", "", tool_calls=({"id": "a"},)), Message("tool", "x", tool_call_id="a")]
    messages = [user("q"), *calls, Message("tool", "y", tool_call_id="b")]
    assert list(gentler(messages)) == []
