"""Where the note stands, what it holds, and what it may cost."""

import pytest

from workbench.conversation.prompt import HEADER, assemble, choose, note_of, takes_notes
from workbench.errors import ChatTemplateError
from workbench.interfaces import Message, Recollection
from workbench.testing import ScriptedEngine

ASKED = Message.user("What is it called?")
BEFORE = (Message.system("Be kind."), Message.user("a"), Message.assistant("b"))


def said(index, text, score=0.0, role="user"):
    return Recollection(message=Message(role, text), index=index, score=score, reason="", at=float(index or 0))


def words(text):
    return len(text.split())


def test_the_best_are_chosen_as_they_fit_and_stand_in_their_order():
    found = [said(1, "one two three", 0.2), said(4, "four five", 0.9), said(7, "six " * 50, 2.0), said(9, "nine", 0.1)]
    chosen = choose(found, set(), words(HEADER) + 2 + 13, 10, words)
    assert [one.index for one in chosen] == [1, 4], "the longest does not fit, the worst has no room left"
    assert [one.index for one in choose(found, set(), 1000, 2, words)] == [4, 7], "so many at most"


def test_what_is_shown_is_left_out_and_notes_come_first():
    note = Recollection(message=Message.system("Ann trusts Bob."), index=None, score=0.0, reason="graph")
    chosen = choose([note, said(1, "shown"), said(3, "new")], {("user", "shown")}, 1000, 10, words)
    assert note_of(chosen) == f"Ann trusts Bob.\n{HEADER}\n- user: new"
    assert note_of([note]) == "Ann trusts Bob."
    assert note_of([]) == ""


def test_nothing_is_chosen_without_room():
    assert choose([said(1, "one")], set(), -5, 10, words) == []


def test_the_note_stands_right_before_what_is_asked():
    reads = [Message.system("The door is open.")]
    prompt = assemble(BEFORE, "A note.", reads, ASKED, as_messages=True)
    assert prompt == (*BEFORE, Message.system("A note."), *reads, ASKED)


def test_where_a_template_knows_no_late_system_message_the_note_stands_in_the_users():
    call = Message("tool", "42", tool_call_id="1")
    prompt = assemble(BEFORE, "A note.", [Message.system("The door is open."), call], ASKED, as_messages=False)
    assert prompt[:-1] == (*BEFORE, call)
    assert prompt[-1] == Message.user("A note.\n\nThe door is open.\n\nWhat is it called?")


def test_a_template_is_asked_whether_it_shows_a_late_system_message(monkeypatch):
    assert takes_notes(ScriptedEngine())

    class Strict(ScriptedEngine):
        def count_tokens(self, prompt):
            if any(message.role == "system" for message in prompt[1:]):
                raise ChatTemplateError("System role not supported")
            return super().count_tokens(prompt)

    class Silent(ScriptedEngine):
        def count_tokens(self, prompt):
            return super().count_tokens([message for message in prompt if message.role != "system"])

    assert not takes_notes(Strict())
    assert not takes_notes(Silent())


@pytest.mark.model
def test_the_bundled_model_shows_it(smollm2):
    import workbench as wb

    with wb.load(smollm2, n_ctx=256, n_threads=1) as engine:
        assert takes_notes(engine)
