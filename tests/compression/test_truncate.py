"""Cutting every message to one length: who is cut, where, how far, and what an engine's own tokenizer says of it."""

import pytest

from workbench.compression import MiddleCompressor
from workbench.compression.truncate import MARK, TruncateCompressor
from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.testing import CompressorContract
from workbench.testing.contracts.compressor import count_words


class TestTruncateContract(CompressorContract):
    verbatim = False
    keep = "start"

    def make(self):
        return TruncateCompressor(count_words, keep=self.keep)


class TestTruncateBothEndsContract(TestTruncateContract):
    keep = "both"


class TestTruncateEndContract(TestTruncateContract):
    keep = "end"


def told(number, words):
    """A message of its own words, numbered."""
    return Message("user" if number % 2 == 0 else "assistant", " ".join(f"m{number}.{at}" for at in range(words)))


def test_one_limit_for_all_that_are_long_and_the_short_stay():
    messages = [told(0, 40), told(1, 3), told(2, 80), told(3, 20), told(4, 2)]
    compression = TruncateCompressor(count_words).compress(messages, 60)
    lengths = [len(message.content.split()) for message in compression.messages]
    assert compression.messages[1] == messages[1]
    assert compression.changed == (0, 2, 3)
    assert max(lengths[place] for place in (0, 2, 3)) - min(lengths[place] for place in (0, 2, 3)) <= 1
    assert 58 <= compression.tokens_after <= 60


@pytest.mark.parametrize(("keep", "starts", "ends"), [("start", 1, 0), ("end", 0, 1), ("both", 1, 1)])
def test_the_part_that_is_kept(keep, starts, ends):
    messages = [told(0, 60), told(2, 2)]
    cut = TruncateCompressor(count_words, keep=keep).compress(messages, 30).messages[0].content
    assert cut.startswith("m0.0 ") == starts
    assert cut.endswith(" m0.59") == ends
    assert cut.count(MARK) == 1
    assert set(cut.replace(MARK, " ").split()) <= set(messages[0].content.split()), "words stay whole"


def test_the_oldest_go_when_cutting_is_not_enough():
    messages = [told(number, 30) for number in range(41)]
    compression = TruncateCompressor(count_words).compress(messages, 120)
    assert compression.dropped == tuple(range(len(compression.dropped))), "the oldest"
    assert 0 < len(compression.dropped) < 40
    assert compression.tokens_after >= 0.95 * 120


def test_tool_calls_are_never_cut_and_one_that_is_too_long_alone_goes():
    call = Message("assistant", "", tool_calls=({"id": "c"},))
    short, long = (Message("tool", "row " * rows, tool_call_id="c") for rows in (10, 500))
    for answer, there in ((short, True), (long, False)):
        messages = [told(0, 90), call, answer, told(1, 90), told(2, 4)]
        kept = TruncateCompressor(count_words).compress(messages, 60).messages
        assert (answer in kept) == (call in kept) == there
        assert any(message.content.startswith("m0.0") for message in kept), "what is older than it stays"


def test_what_has_no_spaces_is_cut_anywhere():
    def characters(messages):
        return sum(len(message.content) + 2 for message in messages)

    messages = [Message.user("\u6c34" * 300), Message.assistant("x" * 300), Message.user("?")]
    compression = TruncateCompressor(characters).compress(messages, 200)
    assert compression.tokens_after >= 190
    assert all(message.content.endswith(MARK) for message in compression.messages[:2])


def test_a_long_conversation_is_counted_few_times():
    whole = []

    def count(messages):
        whole.extend([len(messages)] if len(messages) > 2 else [])
        return count_words(messages)

    messages = [told(number, 12) for number in range(5000)]
    compression = TruncateCompressor(count).compress(messages, 500)
    assert len(whole) < 60
    assert sum(whole) < 5 * len(messages)
    assert compression.tokens_after >= 475


@pytest.mark.parametrize(
    ("options", "words"), [({"keep": "middle"}, "start, end, both"), ({"least_tokens": 0}, "at least 1")]
)
def test_bad_options_name_the_remedy(options, words):
    with pytest.raises(InvalidSettings, match=words):
        TruncateCompressor(count_words, **options)


@pytest.mark.parametrize("share", [0.75, 0.5, 0.25, 0.1])
def test_the_budget_is_exact_and_used_by_a_real_tokenizer(engine, talk, share):
    budget = int(share * engine.count_tokens(talk))
    for keep in ("start", "both"):
        compression = TruncateCompressor(engine, keep=keep).compress(talk, budget)
        assert engine.count_tokens(compression.messages) == compression.tokens_after
        assert 0.95 * budget <= compression.tokens_after <= budget


def test_it_keeps_more_beginnings_than_dropping_does(engine, talk):
    budget = engine.count_tokens(talk) // 2
    cut = TruncateCompressor(engine).compress(talk, budget)
    dropped = MiddleCompressor(engine).compress(talk, budget)
    assert len(cut.dropped) < len(dropped.dropped)


def test_tool_calls_that_fit_cost_no_counts_of_their_own():
    counted = []

    def count(messages):
        counted.append(len(messages))
        return count_words(messages)

    messages = []
    for number in range(200):
        messages.append(Message("assistant", "", tool_calls=({"id": f"c{number}"},)))
        messages.append(Message("tool", "found it there", tool_call_id=f"c{number}"))
    messages.append(Message.user("go"))
    kept = TruncateCompressor(count).compress(messages, 300).messages
    assert len(kept) > 40
    assert len(counted) < 60, "of 200 tool calls"
