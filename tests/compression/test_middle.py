"""Dropping the middle keeps the contract of a compressor, one gap, and the budget well used."""

import pytest

from workbench.compression import MiddleCompressor
from workbench.errors import ContextOverflow
from workbench.interfaces import Message
from workbench.testing import CompressorContract, ScriptedEngine
from workbench.testing.contracts.compressor import count_words


class TestMiddleContract(CompressorContract):
    def make(self):
        return MiddleCompressor(count_words)


def chat(count, words=3):
    """``count`` messages of ``words + 2`` counted tokens each."""
    return [Message("user" if n % 2 == 0 else "assistant", f"m{n} " * words) for n in range(count)]


def kept_numbers(messages, compression):
    return [messages.index(message) for message in compression.messages]


def test_the_end_stays_and_the_middle_goes():
    messages = chat(9)
    compression = MiddleCompressor(count_words).compress(messages, 5 * 4)
    assert kept_numbers(messages, compression) == [5, 6, 7, 8]
    assert compression.tokens_after == 20
    assert compression.kept_prefix == 0


def test_what_the_end_leaves_goes_to_the_beginning():
    messages = [*chat(2, words=1), Message.assistant("long " * 30), *chat(5)[1:]]
    compression = MiddleCompressor(count_words).compress(messages, 28)
    assert kept_numbers(messages, compression) == [0, 1, 3, 4, 5, 6], "one gap, where the long message was"
    assert compression.kept_prefix == 2


def test_system_messages_stay_wherever_they_are():
    messages = [Message.system("be brief"), *chat(4), Message.system("be kind"), *chat(9)[4:]]
    compression = MiddleCompressor(count_words).compress(messages, 4 + 4 + 5 * 2)
    assert kept_numbers(messages, compression) == [0, 5, 9, 10]


def test_the_budget_is_used_well():
    messages = chat(60)
    for budget in range(5, count_words(messages)):
        if budget < 10:  # the last turn is a question and its answer
            continue
        left = budget - MiddleCompressor(count_words).compress(messages, budget).tokens_after
        assert 0 <= left < 5, f"{left} tokens of {budget} are left, and a message takes 5"


def test_an_engine_counts_its_own_tokens():
    engine = ScriptedEngine()
    messages = chat(20)
    compression = MiddleCompressor(engine).compress(messages, 60)
    assert compression.tokens_after == engine.count_tokens(compression.messages) <= 60
    assert compression.tokens_before == engine.count_tokens(messages)


def test_a_long_conversation_is_counted_few_times():
    calls = []

    def count(messages):
        calls.append(len(messages))
        return count_words(messages)

    messages = chat(4000)
    MiddleCompressor(count).compress(messages, 100)
    assert len(calls) < 20
    assert sum(calls) - len(messages) < 1000, "only the conversation itself is counted whole"


def test_an_empty_conversation_fits():
    compressor = MiddleCompressor(count_words)
    assert compressor.fits([], 0)
    assert compressor.compress([], 0).messages == ()


def test_the_error_names_figures_and_remedy():
    with pytest.raises(ContextOverflow, match=r"12 tokens do not fit into a context of 5.*system messages"):
        MiddleCompressor(count_words).compress([Message.user("w " * 10), *chat(1)[:0]], 5)


def test_an_answer_without_its_call_is_a_message_like_others():
    messages = [*chat(3), Message("tool", "orphan", tool_call_id="gone"), *chat(3)]
    for budget in range(10, count_words(messages)):
        assert MiddleCompressor(count_words).compress(messages, budget).tokens_after <= budget


def test_answers_that_come_late_stay_with_their_call():
    call = Message("assistant", "", tool_calls=({"id": "c"},))
    messages = [Message.user("a"), call, Message.user("b"), Message("tool", "found", tool_call_id="c")]
    with pytest.raises(ContextOverflow):
        MiddleCompressor(count_words).compress(messages, 7)
    kept = MiddleCompressor(count_words).compress(messages, 11).messages
    assert kept == tuple(messages[1:]), "the call is before the last turn, its answer within it"
