"""How many tokens there are, when it is compressed, and that the beginning of the prompt stays the same in between."""

import random

import pytest

from workbench.compression.middle import MiddleCompressor
from workbench.conversation.context import LEAST_ANSWER, Budget, Context, Tokens
from workbench.conversation.settings import ConversationSettings
from workbench.conversation.turn import Turn
from workbench.errors import ContextOverflow, InvalidSettings, UnknownName, UsageError
from workbench.interfaces import Compression, Message
from workbench.testing import ScriptedEngine

BUDGET = Budget(hard=190, room=160, high=128, low=80)


def turn(number, text="Yes, of course."):
    return Turn(
        number=number, serial=number, asked=Message.user(f"Question {number}."), text=text, ended="stop", at=number
    )


def context(compressor=None, system="Be kind."):
    engine = ScriptedEngine()
    return Context([Message.system(system)], Tokens(engine), compressor or MiddleCompressor(engine))


def test_a_bound_is_never_below_the_count_and_close_to_it_once_a_prompt_is_known():
    tokens, draw = Tokens(ScriptedEngine()), random.Random(1)
    messages = []
    for number in range(60):
        messages.append(Message("assistant" if number % 2 else "user", "word " * draw.randint(0, 30)))
        assert tokens.at_most(messages) >= ScriptedEngine().count_tokens(messages)
    exact = tokens.exactly(messages)
    assert tokens.at_most(messages) == exact
    more = [*messages, Message.user("one two three")]
    assert exact < tokens.at_most(more) <= ScriptedEngine().count_tokens(more) + 16
    other = [messages[0], Message.user("another way")]
    assert tokens.at_most(other) >= ScriptedEngine().count_tokens(other)


@pytest.mark.model
def test_the_bound_holds_for_a_real_tokenizer_and_template(smollm2):
    import workbench as wb

    with wb.load(smollm2, n_ctx=512, n_threads=1) as engine:
        tokens = Tokens(engine)
        messages = [
            Message.system("Be kind."),
            Message.user("Ça va? 🌍\n\n"),
            Message.assistant("  Yes.  "),
            Message.user(""),
        ]
        for count in range(1, 5):
            assert engine.count_tokens(messages[:count]) <= Tokens(engine).at_most(messages[:count])
        tokens.exactly(messages[:3])
        assert engine.count_tokens(messages) <= tokens.at_most(messages)


def test_the_budget_of_a_context():
    budget = Budget.of(2048, ConversationSettings(), None)
    assert (budget.room, budget.hard) == (2048 - 512, 2048 - LEAST_ANSWER)
    assert (budget.high, budget.low) == (int(0.8 * budget.room), int(0.5 * budget.room))
    assert Budget.of(2048, ConversationSettings(), 8).hard == 2040
    assert Budget.of(200, ConversationSettings(), None).room == 150
    with pytest.raises(ContextOverflow):
        Budget.of(100, ConversationSettings(), 100)


def test_between_two_compressions_every_prompt_begins_with_the_one_before():
    shown, compressions, last = context(), 0, ()
    for number in range(1, 40):
        asked = Message.user(f"Question {number}.")
        done = shown.fit(asked, BUDGET, number - 1)
        if done is None:
            assert shown.messages[: len(last)] == last
        else:
            compressions += 1
            assert done.tokens_after <= BUDGET.low
            assert shown.messages == done.messages[:-1]
        last = shown.messages
        shown.add(turn(number))
    assert 2 <= compressions <= 12, "not every turn compresses"


def test_what_has_to_stay_gets_the_room_it_needs():
    shown = context(system="rule " * 100)
    for number in range(1, 8):
        shown.fit(Message.user("And now?"), BUDGET, number - 1)
        shown.add(turn(number))
    assert shown.messages[0].content == "rule " * 100
    assert shown.messages[-1] == turn(7).answer
    with pytest.raises(ContextOverflow) as caught:
        shown.fit(Message.user("word " * 120), BUDGET, 7)
    assert caught.value.have_tokens == BUDGET.hard < caught.value.need_tokens


def test_a_compressor_that_counts_otherwise_is_not_believed():
    class Boastful(MiddleCompressor):
        def compress(self, messages, budget_tokens, query=None):
            return Compression(messages=tuple(messages), tokens_before=9, tokens_after=1, kept_prefix=0, elapsed_ms=0.0)

    shown = context(Boastful(ScriptedEngine()))
    for number in range(1, 30):
        shown.add(turn(number))
    with pytest.raises(ContextOverflow):
        shown.fit(Message.user("And now?"), BUDGET, 29)


def test_a_conversation_is_taken_up_with_its_view_or_with_what_may_fit():
    first, turns = context(), [turn(number) for number in range(1, 60)]
    for one in turns[:50]:
        first.fit(one.asked, BUDGET, one.number - 1)
        first.add(one)
    again = context()
    again.restore(turns[:50], first.view, 200)
    assert again.messages == first.messages
    other = context(system="Be brief.")
    other.restore(turns[:50], first.view, 200)
    assert other.messages[0].content == "Be brief."
    assert other.messages[-1] == turns[49].answer
    small = context()
    small.restore(turns, None, 10)
    assert 0 < len(small.messages) < 20, "no more than could ever fit is looked at"


@pytest.mark.parametrize(
    "bad", [{"compress_at": 1.2}, {"recall_share": 0}, {"backlog": 0}, {"n_ctx": 0}, {"recall_k": 1.5}]
)
def test_settings_out_of_their_range_are_refused(bad):
    with pytest.raises(InvalidSettings):
        ConversationSettings(**bad)
    with pytest.raises(UnknownName, match="backlog"):
        ConversationSettings().replace(backlogs=1)


class Estimating(ScriptedEngine):
    """Nobody knows its tokenizer; ``error`` is by what it estimates wrongly."""

    counts_exact = False

    def tokenize(self, text, **_):
        raise UsageError("Nobody here knows this model's tokenizer.")


def test_what_a_server_reports_is_believed_as_far_as_it_can_be():
    messages = [Message.user("one two three four"), Message.assistant("five six")]
    own = ScriptedEngine().count_tokens(messages)
    for reported, believed in ((0, own), (own - 3, own), (own + 5, own + 5)):
        tokens = Tokens(Estimating())
        tokens.exactly(messages)
        tokens.learn(messages, reported)
        assert tokens.at_most(messages) == believed
    known = Tokens(ScriptedEngine())
    known.learn(messages, own - 1)
    assert known.at_most(messages) == own - 1, "an engine that counts exactly says what its prompt took"


def test_of_an_earlier_answer_it_is_not_known_what_the_prompt_held():
    """As templates do that leave out an earlier answer's reasoning."""

    class Reasoning(ScriptedEngine):
        def count_tokens(self, prompt):
            if isinstance(prompt, str):
                return super().count_tokens(prompt)
            return super().count_tokens(
                [
                    Message(one.role, one.content.split("</think>")[-1] if at < len(prompt) - 1 else one.content)
                    for at, one in enumerate(prompt)
                ]
            )

    engine = Reasoning()
    tokens = Tokens(engine)
    answer = Message.assistant("hm " * 300 + "</think> Yes.")
    tokens.exactly([Message.user("a"), answer, Message.user("b")])
    other = [Message.user("a"), Message.assistant("No."), Message.user("b")]
    assert tokens.at_most(other) >= engine.count_tokens(other)


def test_a_server_is_asked_only_for_a_prompt_that_may_be_too_long():
    class Remote(ScriptedEngine):
        counts_remotely = True
        asked = 0

        def count_tokens(self, prompt):
            self.asked += 1
            return super().count_tokens(prompt)

    engine = Remote()
    tokens, messages = Tokens(engine), []
    for number in range(30):
        messages.append(Message.user(f"Tell me of {number}, and of the sea."))
        assert tokens.within(messages, 10_000)
        tokens.learn(messages, ScriptedEngine().count_tokens(messages))
        messages.append(Message.assistant("It is wide. " * 4))
    assert engine.asked == 0
    assert not tokens.within(messages, 40)
    assert engine.asked == 1
    assert tokens.at_most(messages[10:]) == ScriptedEngine().count_tokens(messages[10:])
    assert engine.asked == 2


def test_a_turn_that_comes_to_nothing_leaves_the_context_as_it_was():
    shown, number, done = context(), 0, None
    while done is None:
        number += 1
        before = shown.messages
        shown.begin()
        done = shown.fit(Message.user("And now?"), BUDGET, number - 1)
        if done is None:
            shown.add(turn(number))
    assert shown.messages != before
    shown.undo()
    assert shown.messages == before
    assert shown.view is None
