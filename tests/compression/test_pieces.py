"""Messages in pieces: none lost, none twice, and what is put together again reads as it did."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.compression.budget import TokenCounter
from workbench.compression.pieces import Piece, keep_best, pieces, rebuild, sentences, words
from workbench.interfaces import Message
from workbench.testing.contracts.compressor import conversations, count_words

TEXTS = st.text(alphabet="ab \n.!?\u2026\"')\u3002\t", max_size=40)


def told(text, split=sentences):
    return [text[slice(*span)] for span in split(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("It costs 3.50 a piece. Fine.", ["It costs 3.50 a piece.", "Fine."]),
        ("Dr. Amsel is in. So is e.g. Mr. Brandt.", ["Dr. Amsel is in.", "So is e.g. Mr. Brandt."]),
        ("- one\n- two\n\n three ", ["- one", "- two", "three"]),
        ("Well\u2026 yes", ["Well\u2026", "yes"]),
        ("\u4eca\u65e5\u306f\u3002\u306f\u3044\uff01", ["\u4eca\u65e5\u306f\u3002", "\u306f\u3044\uff01"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text, found):
    assert told(text) == found


@given(TEXTS)
@pytest.mark.parametrize("split", [sentences, words])
def test_between_pieces_is_nothing_but_space(split, text):
    spans = [(0, 0), *split(text), (len(text), len(text))]
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start
        assert text[end:start].strip() == ""
    assert all(one and one == one.strip() for one in told(text, split))


@given(conversations(), st.sampled_from([None, sentences, words]), st.data())
def test_all_pieces_make_the_conversation_and_none_what_is_protected(messages, split, data):
    all_of_it = pieces(messages, split)
    again = rebuild(messages, data.draw(st.permutations(all_of_it)))
    assert [one.place for one in again] == list(range(len(messages)))
    assert [one.message for one in again] == messages
    places = [one.place for one in rebuild(messages, [])]
    assert not set(places) & {place for piece in all_of_it for place in piece.places}
    assert len(places) + len({place for piece in all_of_it for place in piece.places}) == len(messages)


@given(TEXTS, st.data())
def test_some_pieces_are_their_text_in_order(text, data):
    messages = [Message.user(text), Message.user("last")]
    chosen = [piece for piece in pieces(messages, words) if data.draw(st.booleans())]
    first, *rest = rebuild(messages, reversed(chosen))
    if chosen and chosen[0].span is not None:
        assert first.message.content.split() == [piece.text(messages) for piece in chosen]
    assert (rest or [first])[-1].message is messages[1]


def test_what_was_between_stays_and_a_gap_is_one_space_or_one_line():
    messages = [Message.user("One.  Two.\n\nThree. Four.\nFive."), Message.user("last")]
    one, two, three, four, five = pieces(messages, sentences)

    def text(*kept):
        return rebuild(messages, kept)[0].message.content

    assert text(one, two) == "One.  Two."
    assert text(one, two, three) == "One.  Two.\n\nThree."
    assert text(three, five) == "Three.\nFive."
    assert text(one, four) == "One.\nFour."
    assert text(two, four) == "Two.\nFour."
    messages[0] = Message.user("One. Two. Three.")
    one, two, three = pieces(messages, sentences)
    assert text(one, three) == "One. Three."


def test_tools_and_single_sentences_are_never_divided():
    call = Message("assistant", "I look. Wait.", tool_calls=({"id": "c"},))
    answer = Message("tool", "One. Two.", tool_call_id="c")
    messages = [call, answer, Message.user("Only one."), Message.user(""), Message.user("last")]
    assert pieces(messages, sentences) == [Piece((0, 1)), Piece((2,)), Piece((3,))]
    assert pieces(messages, sentences)[0].text(messages) == "I look. Wait.\nOne. Two."


@given(conversations(), st.sampled_from([None, sentences, words]), st.data())
def test_the_best_that_fit_are_kept(messages, split, data):
    ordered = data.draw(st.permutations(pieces(messages, split)))
    least = count_words([one.message for one in rebuild(messages, [])])
    budget = data.draw(st.integers(least, max(least, count_words(messages))))
    kept = [one.message for one in keep_best(messages, ordered, budget, TokenCounter(count_words))]
    assert count_words(kept) <= budget
    if ordered and count_words([one.message for one in rebuild(messages, ordered[:1])]) <= budget:
        first = [one.message for one in rebuild(messages, ordered[:1])]
        assert {message.content.split()[0] for message in first if message.content.split()} <= {
            word for message in kept for word in message.content.split()
        }, "the best first"


def test_where_one_does_not_fit_the_next_are_tried():
    messages = [Message.user("a " * 3), Message.user("b " * 50), Message.user("c " * 4), Message.user("last")]
    ordered = [Piece((0,)), Piece((1,)), Piece((2,))]
    kept = keep_best(messages, ordered, 5 + 6 + 3, TokenCounter(count_words))
    assert [one.place for one in kept] == [0, 2, 3]


def test_many_pieces_are_counted_a_handful_of_times():
    calls = []

    def count(messages):
        calls.append(len(messages))
        return count_words(messages)

    messages = [Message.user(f"m{n} and some words. And some more of them.") for n in range(2000)]
    keep_best(messages, pieces(messages, sentences), 2000, TokenCounter(count))
    assert len(calls) < 40
