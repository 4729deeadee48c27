"""The window: the newest messages within a budget of tokens, counted by whoever knows how."""

import pytest

from workbench.errors import EngineClosed, InvalidSettings
from workbench.interfaces import Message
from workbench.memory.window import WindowMemory, estimate_tokens
from workbench.testing import MemoryContract, ScriptedEngine
from workbench.testing.contracts.compressor import count_words
from workbench.testing.contracts.memory import texts_of


class TestContract(MemoryContract):
    def make(self):
        return WindowMemory(10**9)

    def make_in(self, folder):
        return WindowMemory(10**9, folder=folder)


class TestNarrowWindowContract(MemoryContract):
    """A window through which most of a session has passed."""

    capacity = 3
    relevant = False  # what answers the query may be too long for it

    def make(self):
        return WindowMemory(3, count_tokens=len)

    def make_in(self, folder):
        return WindowMemory(3, count_tokens=len, folder=folder)


def messages(*texts):
    return [Message.user(text) for text in texts]


def window(budget, *texts):
    memory = WindowMemory(budget, count_tokens=count_words)
    memory.add_many(messages(*texts))
    return memory


def test_the_newest_that_fit_together_are_recalled():
    said = ["a b c d", "e f", "g", "h i j"]
    for budget in range(1, 40):
        found = texts_of(window(budget, *said).recall("a", k=10))
        assert found == said[len(said) - len(found) :], "what is recalled ends with the newest"
        assert not found or count_words(messages(*found)) <= budget
        more = said[len(said) - len(found) - 1 :]
        assert len(found) == len(said) or count_words(messages(*more)) > budget, "one more would not fit"


def test_the_count_is_what_a_large_k_recalls():
    memory = window(13, *"abcdefghij")
    assert 0 < memory.count() < 10
    assert memory.count() == len(memory.recall("x", k=100))
    assert memory.count("unknown") == 0


def test_a_message_that_does_not_fit_ends_the_window():
    long = "word " * 50
    assert texts_of(window(20, "a", long, "b", "c").recall("a", k=10)) == ["b", "c"]
    assert window(20, "a", long).recall("a", k=10) == []


def test_k_and_times_choose_before_the_budget_does():
    memory = WindowMemory(2, count_tokens=len)
    memory.add_many(messages(*"abcdef"), at=[1, 2, 3, 4, 5, 6])
    assert texts_of(memory.recall("x", until=4)) == ["b", "c"]
    assert texts_of(memory.recall("x", since=2, until=3)) == ["b"]
    assert texts_of(memory.recall("x", k=1)) == ["f"]


def test_a_long_past_is_not_counted_to_its_beginning():
    counted = []

    def count(some):
        counted.append(len(some))
        return len(some)

    memory = WindowMemory(10, count_tokens=count)
    memory.add_many(messages(*(str(number) for number in range(5000))))
    assert len(memory.recall("x", k=5000)) == 10
    assert max(counted) <= 20
    assert len(counted) <= 10


def test_an_engine_counts_exactly():
    with ScriptedEngine() as engine:
        memory = WindowMemory(30, count_tokens=engine.count_tokens)
        memory.add_many(messages(*("one two three",) * 9))
        found = [one.message for one in memory.recall("x", k=9)]
        assert engine.count_tokens(found) <= 30 < engine.count_tokens([*found, found[0]])
    with pytest.raises(EngineClosed):
        memory.recall("x")


def test_the_estimate_grows_with_the_text_and_counts_every_message():
    assert estimate_tokens([]) == 0
    assert estimate_tokens(messages("")) == 5
    assert estimate_tokens(messages("a" * 350)) == 105
    assert estimate_tokens(messages("東京")) > estimate_tokens(messages("ab")), "bytes, not characters"
    call = Message("assistant", "", tool_calls=({"function": {"name": "f", "arguments": "{}"}},))
    assert estimate_tokens([call]) > 5, "a call of a tool takes room"
    assert estimate_tokens(messages("a\ud800")) == 7, "half a character is no reason to fail"


@pytest.mark.model
def test_the_estimate_errs_on_the_safe_side_for_prose(smollm2):
    import workbench as wb

    prose = (
        "The lighthouse keeper counted the ships that came in before the storm, and wrote their names into his book. "
        "Nobody had asked him to, but his father had done it, and so the shelf was full."
    )
    conversation = messages(*(prose,) * 8)
    with wb.load(smollm2, n_ctx=1024, n_threads=1) as engine:
        assert engine.count_tokens(conversation) <= estimate_tokens(conversation)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_below_one_is_refused(budget):
    with pytest.raises(InvalidSettings, match="at least 1"):
        WindowMemory(budget)
