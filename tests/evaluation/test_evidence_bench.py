"""The bench records every figure it defines, and counts tokens as the engine does."""

import pytest

from workbench.embedding.cache import CachedEmbedder
from workbench.embedding.hashing import HashingEmbedder
from workbench.errors import UsageError
from workbench.evaluation.datasets import small
from workbench.evaluation.evidence_bench import definitions, evidence_figures, first_times, message_by_message
from workbench.interfaces import Message
from workbench.testing import ScriptedEngine
from workbench.testing.contracts.compressor import count_words


def test_every_figure_is_there():
    found = evidence_figures("small", count_words, HashingEmbedder(), ranks=["hybrid"], rates=[0.5, 0.25], seeds=2)
    times = first_times("small", ScriptedEngine(), HashingEmbedder(), ranks=["hybrid"], rates=[0.5, 0.25])
    meanings = definitions("small", ["hybrid"], [0.5, 0.25])
    assert {**found, **times}.keys() == meanings.keys()
    assert "in-sample" in meanings["small_hybrid_50_kept"]
    assert found["small_hybrid_50_kept"] >= found["small_hybrid_25_kept"] > 0
    for name in ("kept", "alone_ahead", "alone_words_ahead", "ratio"):
        low, value, high = (found[f"small_hybrid_50_{name}{end}"] for end in ("_low", "", "_high"))
        assert low <= value <= high
    assert found["small_hybrid_25_ratio"] > 1
    assert 0.9 < found["small_hybrid_50_filled"] <= 1


def test_a_first_time_remembers_nothing():
    """No vector, reading or count of one pass helps the next, though somebody keeps vectors."""
    counted, embedded = [], []

    class Embedder(HashingEmbedder):
        def embed(self, texts, **options):
            embedded.append(len(texts))
            return super().embed(texts, **options)

    class Engine(ScriptedEngine):
        def count_tokens(self, prompt):
            counted.append(prompt)
            return super().count_tokens(prompt)

    def once():
        counted.clear(), embedded.clear()
        options = {"ranks": ["hybrid"], "rates": [0.25], "conversations": 1}
        found = first_times("small", engine, kept, **options)
        return len(counted), sum(embedded), found.keys()

    engine, kept = Engine(), CachedEmbedder(Embedder())
    first = once()
    assert first[0] > 10
    assert first[1] > len(small().conversations[0].messages) / 2
    assert once() == first
    assert first[2] == {"small_hybrid_25_first_ms"}


def test_fewer_conversations_have_no_interval():
    found = evidence_figures("small", count_words, HashingEmbedder(), ranks=["words"], seeds=1, conversations=1)
    assert found["small_words_10_kept_low"] is None


def test_data_that_is_not_there(monkeypatch):
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    with pytest.raises(UsageError, match="WORKBENCH_DATA"):
        evidence_figures("qmsum", count_words, HashingEmbedder())


def test_messages_are_counted_once_each():
    engine = ScriptedEngine()
    messages = [*small().conversations[0].messages[:20], Message.user("And?")]
    count = message_by_message(engine)
    assert count(messages) == pytest.approx(engine.count_tokens(messages), abs=len(messages))
    assert count(messages) == sum(count([message]) for message in messages)
