"""What every compressor shares: when a strategy is asked, what is refused, and a report that is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.compression import BaseCompressor, Kept
from workbench.compression.units import protected
from workbench.errors import ContextOverflow
from workbench.interfaces import Compressor, Message
from workbench.testing.contracts.compressor import conversations, count_words


class Chosen(BaseCompressor):
    """Keeps what it is told to, in the words it is told."""

    name = "chosen"

    def __init__(self, kept, count_tokens=count_words):
        super().__init__(count_tokens)
        self.kept, self.asked = kept, []

    def _shorten(self, messages, budget_tokens, query):
        self.asked.append((list(messages), budget_tokens, query))
        return self.kept


CHAT = [Message.system("be brief"), *(Message.user(f"m{n} m{n}") for n in range(5))]  # 4 tokens each


def report(*kept):
    return Chosen(kept).compress(CHAT, 20)


def test_a_strategy_is_asked_only_if_it_is_needed_and_possible():
    chosen = Chosen([Kept(0, CHAT[0]), Kept(5, CHAT[5])])
    assert isinstance(chosen, Compressor)
    chosen.compress(CHAT, 24)
    assert chosen.asked == []
    with pytest.raises(ContextOverflow, match="8 tokens do not fit into a context of 7"):
        chosen.compress(CHAT, 7)
    assert chosen.asked == []
    chosen.compress(CHAT, 23, query="who?")
    assert chosen.asked == [(CHAT, 23, "who?")]


def test_an_attempt_is_refused_like_a_compression():
    chosen = Chosen([Kept(0, CHAT[0]), Kept(5, CHAT[5])])
    assert chosen.attempt(CHAT, 12) == chosen.kept
    with pytest.raises(ContextOverflow):
        chosen.attempt(CHAT, 7)


def test_what_is_dropped_is_told():
    told = report(Kept(0, CHAT[0]), Kept(1, CHAT[1]), Kept(4, CHAT[4]), Kept(5, CHAT[5]))
    assert (told.dropped, told.changed) == ((2, 3), ())
    assert (told.kept_prefix, told.invalidated_tokens) == (2, 16)
    assert (told.tokens_before, told.tokens_after) == (24, 16)


def test_what_is_changed_is_told():
    told = report(Kept(0, CHAT[0]), Kept(1, Message.user("m0")), *(Kept(n, CHAT[n]) for n in (2, 3, 5)))
    assert (told.dropped, told.changed) == ((4,), (1,))
    assert (told.kept_prefix, told.invalidated_tokens) == (1, 20)


def test_what_is_new_is_neither():
    note = Message.system("they met")
    told = report(Kept(0, CHAT[0]), Kept(None, note), Kept(4, CHAT[4]), Kept(5, CHAT[5]))
    assert told.messages == (CHAT[0], note, CHAT[4], CHAT[5])
    assert (told.dropped, told.changed) == ((1, 2, 3), ())
    assert (told.kept_prefix, told.invalidated_tokens) == (1, 20)


def test_a_message_given_back_word_for_word_is_unchanged():
    told = report(
        *(Kept(place, Message(message.role, message.content)) for place, message in enumerate(CHAT) if place != 2)
    )
    assert told.changed == ()


def test_a_cut_at_the_end_invalidates_the_end_only():
    told = report(*(Kept(place, CHAT[place]) for place in range(5)))
    assert (told.kept_prefix, told.invalidated_tokens, told.dropped) == (5, 4, (5,))


def test_what_fits_invalidates_nothing():
    told = Chosen([]).compress(CHAT, 24)
    assert (told.invalidated_tokens, told.dropped, told.changed, told.kept_prefix) == (0, (), (), 6)


@given(conversations(), st.data())
def test_any_choice_is_reported_rightly(messages, data):
    fixed = protected(messages)
    places = [place for place in range(len(messages)) if place in fixed or data.draw(st.booleans())]
    told = (
        Chosen([Kept(place, messages[place]) for place in places]).compress(messages, count_words(messages) - 1)
        if (count_words([messages[place] for place in sorted(fixed)]) < count_words(messages))
        else None
    )
    if told is None:
        return
    assert told.dropped == tuple(place for place in range(len(messages)) if place not in places)
    assert told.changed == ()
    assert told.tokens_after == count_words(told.messages)
    assert told.invalidated_tokens == count_words(messages) - count_words(messages[: told.kept_prefix])
    assert told.messages[: told.kept_prefix] == tuple(messages[: told.kept_prefix])
