"""Steps in order: who runs, who is passed over, what the report says of the whole."""

import logging

import pytest

import workbench as wb
from workbench.compression import MiddleCompressor, TruncateCompressor
from workbench.compression.chain import ChainCompressor
from workbench.compression.summary import HEADER
from workbench.errors import ContextOverflow, EngineError, InvalidSettings, UnknownName
from workbench.interfaces import Compression, Message
from workbench.testing import CompressorContract, ScriptedEngine
from workbench.testing.contracts.compressor import count_words


class TestChainContract(CompressorContract):
    verbatim = False
    steps = ("random", "truncate")

    def make(self):
        return ChainCompressor(count_words, steps=self.steps)


class TestSharedChainContract(TestChainContract):
    steps = ({"name": "random", "share": 0.4}, {"name": "truncate", "share": 0.5}, "middle")


class TestChainThatNeedsSystemMessagesContract(TestChainContract):
    rewrites_system = True
    steps = ("prompt",)


class TestSummaryThenTruncateContract(CompressorContract):
    verbatim = False

    def make(self):
        summary = {"name": "summary", "engine": ScriptedEngine("They spoke."), "section_tokens": 60}
        return ChainCompressor(count_words, summary, "truncate")


class Plain:
    """A compressor of somebody else's, which tells no more than the protocol asks for. Drops the first messages."""

    def fits(self, messages, budget_tokens):
        return count_words(messages) <= budget_tokens

    def compress(self, messages, budget_tokens, query=None):
        start = next(at for at in range(len(messages)) if count_words(messages[at:]) <= budget_tokens - 3)
        note = Message.system(f"query: {query}" if query else "left out")
        kept = (note, *messages[start:])
        return Compression(
            messages=kept,
            tokens_before=count_words(messages),
            tokens_after=count_words(kept),
            kept_prefix=0,
            elapsed_ms=0.0,
            dropped=tuple(range(start)),
        )


def chat(count, words=6):
    return [Message("user" if n % 2 == 0 else "assistant", f"m{n} " * words) for n in range(count)]


def test_a_step_runs_only_if_it_is_still_needed():
    unused = ScriptedEngine("Notes.")
    chain = ChainCompressor(count_words, "middle", {"name": "summary", "engine": unused})
    kept = chain.compress(chat(40), 100).messages
    assert kept == MiddleCompressor(count_words).compress(chat(40), 100).messages
    assert unused.requests == []


def test_the_summary_leaves_recent_messages_to_the_next_step():
    long = [*chat(20), *chat(6, words=40)]
    chain = ChainCompressor(
        count_words, {"name": "summary", "engine": ScriptedEngine("They met."), "keep_recent": 4}, "truncate"
    )
    compression = chain.compress(long, 120)
    assert compression.messages[0] == Message.system(HEADER + "They met.")
    cut = [place for place, message in enumerate(long) if place in compression.changed]
    assert cut == [20, 21, 22, 23], "the four recent ones, and not the last turn"
    assert compression.messages[-2:] == tuple(long[-2:])


def test_a_share_leaves_the_rest_to_the_next():
    counted = []

    class Last(MiddleCompressor):
        def _shorten(self, messages, budget_tokens, query):
            counted.append(count_words(messages))
            return super()._shorten(messages, budget_tokens, query)

    messages = chat(51)  # 408 tokens
    chain = ChainCompressor(count_words, {"name": "truncate", "share": 0.5}, Last(count_words))
    assert chain.compress(messages, 108).tokens_after <= 108
    assert 250 <= counted[0] <= 258, "half of the 300 that are too many"


def test_a_step_that_fails_is_logged_and_the_next_goes_on(caplog):
    broken = {"name": "summary", "engine": ScriptedEngine(TimeoutError("no answer"))}
    with caplog.at_level(logging.WARNING, "workbench.compression.chain"):
        compression = ChainCompressor(count_words, broken, "middle").compress(chat(40), 100)
    assert compression.messages == MiddleCompressor(count_words).compress(chat(40), 100).messages
    assert "'summary'" in caplog.text
    assert "no answer" in caplog.text


def test_the_error_of_the_last_step_is_raised():
    broken = {"name": "summary", "engine": ScriptedEngine(TimeoutError("no answer"))}
    with pytest.raises(EngineError, match="no answer"):
        ChainCompressor(count_words, broken).compress(chat(40), 100)


def test_a_mistake_of_the_program_is_not_passed_over():
    class Wrong(MiddleCompressor):
        def _shorten(self, messages, budget_tokens, query):
            raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        ChainCompressor(count_words, Wrong(count_words), "truncate").compress(chat(40), 100)


def test_what_may_not_be_broken_is_an_overflow_with_the_whole_chains_figures():
    with pytest.raises(ContextOverflow) as caught:
        ChainCompressor(count_words, "truncate", "middle").compress([Message.system("rule " * 50), *chat(4)], 30)
    assert (caught.value.need_tokens, caught.value.have_tokens) == (52 + 16, 30)


def test_the_report_is_of_the_conversation_that_was_given():
    messages = [Message.system("be brief"), *chat(30)]
    compression = ChainCompressor(count_words, {"name": "middle", "share": 0.6}, "truncate").compress(messages, 100)
    assert compression.kept_prefix == 1
    for place, message in enumerate(messages):
        number = message.content.split()[0]
        there = [one for one in compression.messages if one.content.split()[0].rstrip("\u2026") == number]
        assert (not there) == (place in compression.dropped)
        assert (bool(there) and there[0] != message) == (place in compression.changed)
    assert compression.dropped
    assert compression.changed


def test_a_compressor_of_somebody_else_is_a_step():
    chain = ChainCompressor(count_words, Plain(), TruncateCompressor(count_words))
    messages = chat(40)
    compression = chain.compress(messages, 100, query="who?")
    assert compression.messages[0] == Message.system("query: who?")
    assert compression.dropped == tuple(range(41 - len(compression.messages)))
    assert compression.changed == ()


def test_a_chain_is_a_step():
    inner = ChainCompressor(count_words, {"name": "middle", "share": 0.3})
    messages = chat(40)
    compression = ChainCompressor(count_words, inner, "truncate").compress(messages, 100)
    assert compression.dropped
    assert compression.changed
    assert compression.tokens_after <= 100


def test_it_is_made_by_name_with_an_engine(engine, talk):
    budget = engine.count_tokens(talk) // 2
    compression = wb.compressors.create("chain", engine, steps=["prompt", "middle"]).compress(talk, budget)
    assert engine.count_tokens(compression.messages) == compression.tokens_after
    assert 0.95 * budget <= compression.tokens_after <= budget


@pytest.mark.parametrize(
    ("steps", "error", "words"),
    [
        ([], InvalidSettings, "at least one step"),
        (["middel"], UnknownName, "Did you mean 'middle'"),
        ([{"share": 0.5}], InvalidSettings, "needs a name"),
        ([{"name": "middle", "share": 0}], InvalidSettings, "share of the step 'middle'"),
        ([3], InvalidSettings, "its name or a mapping"),
        (["summary", "truncate"], InvalidSettings, "engine="),
    ],
)
def test_bad_steps_name_the_remedy(steps, error, words):
    with pytest.raises(error, match=words):
        ChainCompressor(count_words, steps=steps)
