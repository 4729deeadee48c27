"""Counting once what is asked often, and finding how many fit in few trials."""

from threading import Barrier

from hypothesis import given
from hypothesis import strategies as st

from workbench.compression.budget import TokenCounter, most_that_fits
from workbench.interfaces import Message
from workbench.testing import ScriptedEngine
from workbench.testing.contracts.compressor import count_words
from workbench.testing.contracts.threads import at_once


def counting():
    calls = []

    def count(messages):
        calls.append(list(messages))
        return count_words(messages)

    return count, calls


def test_nothing_takes_no_tokens():
    count, calls = counting()
    assert TokenCounter(count)([]) == 0
    assert calls == []


def test_an_engine_counts():
    engine = ScriptedEngine()
    assert TokenCounter(engine)([Message.user("one two")]) == engine.count_tokens([Message.user("one two")])


def test_a_cost_is_counted_once():
    count, calls = counting()
    counter = TokenCounter(count)
    assert [counter.cost(Message.user("one two three")) for _ in range(3)] == [5, 5, 5]
    assert len(calls) == 2, "a conversation without it, once, and one with it"
    assert counter.cost(Message.assistant("one two three")) == 5
    assert len(calls) == 3, "a role may have a template of its own"


def test_a_cost_is_at_least_one():
    assert TokenCounter(lambda messages: 7).cost(Message.user("")) == 1


def test_the_cost_least_recently_asked_for_goes():
    count, calls = counting()
    counter = TokenCounter(count, remembered=2)
    one, two, three = (Message.user(text) for text in ("one", "two", "three"))
    for message in (one, two, one, three):
        counter.cost(message)
    before = len(calls)
    counter.cost(one)
    assert len(calls) == before
    counter.cost(two)
    assert len(calls) == before + 1


def test_costs_add_up_to_the_whole_with_a_real_tokenizer(engine, talk):
    counter = TokenCounter(engine)
    estimate = sum(map(counter.cost, talk))
    assert abs(estimate - counter(talk)) < 0.02 * counter(talk)


def test_any_thread_may_count():
    counter, together = TokenCounter(count_words, remembered=8), Barrier(4)

    def costs(start):
        together.wait()
        return [counter.cost(Message.user("w " * (n % 20))) for n in range(start, start + 200)]

    assert at_once(4, costs) == [[2 + n % 20 for n in range(start, start + 200)] for start in range(4)]


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(-5, 4000))
def test_the_most_that_fits_is_found(limit, edge, guess):
    asked = []

    def fits(count):
        asked.append(count)
        return count <= edge

    assert most_that_fits(limit, fits, guess) == min(limit, edge)
    assert all(1 <= count <= limit for count in asked), "0 is known to fit, and no more than the limit is tried"
    assert len(asked) == len(set(asked)) <= 26


def test_a_good_guess_needs_few_trials_and_long_ones_are_never_tried():
    asked = []

    def fits(count):
        asked.append(count)
        return count <= 1000

    assert most_that_fits(1_000_000, fits, 1000) == 1000
    assert asked == [1000, 1001]
    asked.clear()
    most_that_fits(1_000_000, fits)
    assert max(asked) < 2100


def test_what_a_message_calls_and_who_says_it_belong_to_its_cost():
    counter_of = TokenCounter(lambda messages: sum(len(str(message.to_dict())) for message in messages))
    short = ({"id": "c", "function": {"name": "look", "arguments": "{}"}},)
    long = ({"id": "c", "function": {"name": "look", "arguments": "{'where': '" + "under the bed " * 50 + "'}"}},)
    calls = [counter_of.cost(Message("assistant", "", tool_calls=one)) for one in ((), short, long)]
    assert calls[0] < calls[1] < calls[2] - 500
    answers = [counter_of.cost(Message("tool", "yes", tool_call_id=one)) for one in ("c", "c" * 40)]
    assert answers[1] == answers[0] + 39
    names = [counter_of.cost(Message("user", "yes", name=one)) for one in (None, "Ann")]
    assert names[0] < names[1]
