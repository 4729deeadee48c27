"""The extractive compressor keeps what answers the query, word for word, and keeps the contract."""

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.compression.extractive import ExtractiveCompressor
from workbench.compression.pieces import pieces
from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import InvalidSettings, UnknownName
from workbench.evaluation.counting import CountingEmbedder
from workbench.evaluation.memory_bench import talk
from workbench.interfaces import Message
from workbench.testing import CompressorContract, ScriptedEngine
from workbench.testing.contracts.compressor import conversations, count_words, unbreakable


class TestWordsContract(CompressorContract):
    verbatim = False  # a message that is long for the budget is kept in part

    def make(self):
        return ExtractiveCompressor(count_words, rank="words")


class TestHybridContract(CompressorContract):
    verbatim = False
    embedder = HashingEmbedder()

    def make(self):
        return ExtractiveCompressor(count_words, embedder=self.embedder)


class TestGraphContract(CompressorContract):
    verbatim = False
    embedder = HashingEmbedder()

    def make(self):
        return ExtractiveCompressor(count_words, embedder=self.embedder, rank="graph")


CHAT = [
    *talk(30).messages,
    Message("user", "Where did your sister find the heron?", name="Ann"),
    Message("assistant", "By the weir, behind the old paper factory.", name="Bob"),
    *talk(30, seed=1).messages,
    Message.user("Tell me, where was the heron found?"),
]


def texts(compression):
    return [message.content for message in compression.messages]


@pytest.mark.parametrize("rank", ["words", "hybrid", "embedding", "graph"])
def test_what_answers_the_query_is_kept_with_its_question(rank):
    compressor = ExtractiveCompressor(count_words, embedder=HashingEmbedder(), rank=rank)
    kept = texts(compressor.compress(CHAT, count_words(CHAT) // 6, "Where was the heron found?"))
    assert CHAT[30].content in kept
    assert CHAT[31].content in kept or rank in ("embedding", "graph"), "it shares no word with the query"


def test_without_a_query_it_is_not_kept_for_it():
    compressor = ExtractiveCompressor(count_words, rank="words")
    budget = count_words(CHAT) // 6
    assert compressor.compress(CHAT, budget).messages == compressor.compress(CHAT, budget, "  ").messages
    assert compressor.compress(CHAT, budget).messages != compressor.compress(CHAT, budget, "the heron").messages


def test_a_speaker_the_query_names_is_preferred():
    said = [Message("user" if n % 2 else "assistant", "word again", name="Ann" if n % 2 else "Bob") for n in range(40)]
    compressor = ExtractiveCompressor(count_words, rank="words")
    kept = compressor.compress([*said, Message.user("And?")], 44, "What did Bob mean?").messages
    assert {message.name for message in kept[:-1]} == {"Bob"}


def test_of_equals_the_newest_stay():
    compressor = ExtractiveCompressor(count_words, rank="words")
    said = [Message("user" if n % 2 else "assistant", "the same", name=f"N{n}") for n in range(20)]
    scores = compressor.scores(said, pieces(said), "the same")
    order = np.lexsort((-np.arange(len(scores)), -scores))
    assert list(order[:2]) == sorted(order[:2], reverse=True) or scores[order[0]] > scores[order[1]]


def test_a_long_message_is_kept_in_sentences():
    page = " ".join(f"Sentence number {n} speaks of nothing." for n in range(60))
    page = page.replace("number 41 speaks of nothing", "41 says that the heron stood in the reeds")
    messages = [Message.user(page), Message.assistant("I see."), Message.user("Where did the heron stand?")]
    compression = ExtractiveCompressor(count_words, rank="words").compress(messages, 60, "Where did the heron stand?")
    assert 57 <= compression.tokens_after <= 60
    assert compression.changed == (0,)
    assert "Sentence 41 says that the heron stood in the reeds." in compression.messages[0].content


def test_a_message_without_sentences_is_kept_in_words():
    words = [f"w{n}" for n in range(500)]
    words[321] = "heron"
    messages = [Message.user(" ".join(words)), Message.user("heron?")]
    compression = ExtractiveCompressor(count_words, rank="words").compress(messages, 100, "heron")
    assert 95 <= compression.tokens_after <= 100
    kept = compression.messages[0].content.split()
    assert "heron" in kept
    assert kept == [word for word in words if word in set(kept)], "in their order"


@settings(max_examples=40, deadline=None)
@given(said=conversations(), share=st.floats(0.2, 0.95), query=st.sampled_from([None, "w3 w5"]))
def test_nothing_is_put_into_words_of_its_own(said, share, query):
    budget = max(count_words(unbreakable(said)), int(share * count_words(said)))
    kept = ExtractiveCompressor(count_words, rank="words").compress(said, budget, query).messages
    left = iter(said)
    for message in kept:
        assert any(shortened(one, message) for one in left), "only its text is shorter"


def shortened(given_, kept):
    """Whether ``kept`` is the message itself with some of its words."""
    return dataclasses.replace(given_, content=kept.content) == kept and in_order(kept.content, given_.content)


def in_order(part, whole):
    words = iter(whole.split())
    return all(word in words for word in part.split())


@pytest.mark.parametrize("query", [None, "In which note is the lantern?"])
@pytest.mark.parametrize("share", [0.5, 0.25, 0.1, 0.03])
def test_the_budget_is_used(share, query):
    messages = talk(300).messages
    budget = int(share * count_words(messages))
    compression = ExtractiveCompressor(count_words, rank="words").compress(messages, budget, query)
    assert 0.95 * budget <= compression.tokens_after <= budget


def test_every_text_is_embedded_once():
    counting = CountingEmbedder(HashingEmbedder())
    compressor = ExtractiveCompressor(count_words, embedder=counting)
    budget = count_words(CHAT) // 3
    compressor.compress(CHAT, budget, "Where was the heron found?")
    first = counting.passages
    assert 0 < first <= len(CHAT)
    compressor.compress(CHAT, budget, "Who sold the ledger?")
    assert counting.passages == first
    compressor.compress([*CHAT[:-1], Message.user("Something new."), CHAT[-1]], budget, "Who sold the ledger?")
    assert counting.passages == first + 1


def test_no_embedder_is_made_before_it_is_needed(monkeypatch):
    made = []

    def create(name):
        made.append(name)
        return HashingEmbedder()

    monkeypatch.setattr("workbench.compression.extractive.embedders.create", create)
    compressor = ExtractiveCompressor(count_words)
    budget = count_words(CHAT) // 3
    compressor.compress(CHAT, count_words(CHAT), "heron")
    compressor.compress(CHAT, budget)
    assert made == []
    threads = [threading.Thread(target=compressor.compress, args=(CHAT, budget, "heron")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["all-minilm-l6-v2"], "once, however many ask at once"
    compressor.close()
    compressor.close()
    compressor.compress(CHAT, budget, "heron")
    assert len(made) == 2


def test_words_need_no_embedder():
    budget = count_words(CHAT) // 3
    without = ExtractiveCompressor(count_words, embedder=None)
    assert without.rank == "words"
    by_words = ExtractiveCompressor(count_words, embedder="no such embedder", rank="words")
    assert without.compress(CHAT, budget, "heron").messages == by_words.compress(CHAT, budget, "heron").messages
    with pytest.raises(InvalidSettings, match="embedder=None"):
        _ = without.embedder


def test_a_given_embedder_stays_open():
    embedder = HashingEmbedder()
    compressor = ExtractiveCompressor(count_words, embedder=embedder)
    compressor.compress(CHAT, 100, "heron")
    compressor.close()
    assert embedder.embed(["still there"]).shape[0] == 1


def test_wrong_settings_are_refused():
    with pytest.raises(UnknownName, match="Known: embedding, graph, hybrid, words"):
        ExtractiveCompressor(count_words, rank="best")
    for rank in ("embedding", "graph"):
        with pytest.raises(InvalidSettings, match="needs an embedder"):
            ExtractiveCompressor(count_words, embedder=None, rank=rank)
    with pytest.raises(UnknownName, match="embedder"):
        ExtractiveCompressor(count_words, embedder="no such").compress(CHAT, 100, "heron")


def test_an_engine_counts_its_own_tokens():
    engine = ScriptedEngine()
    compression = ExtractiveCompressor(engine, rank="words").compress(CHAT, 200, "heron")
    assert compression.tokens_after == engine.count_tokens(compression.messages) <= 200


def test_a_long_conversation_is_counted_few_times():
    calls = []

    def count(messages):
        calls.append(len(messages))
        return count_words(messages)

    messages = talk(3000).messages
    ExtractiveCompressor(count, rank="words").compress(messages, count_words(messages) // 10, "Who sold the ledger?")
    assert len(calls) <= 40
