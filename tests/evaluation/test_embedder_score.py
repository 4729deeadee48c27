"""Scores of embedding models: a perfect one, a blind one, a real one without weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings
from workbench.evaluation import CountingEmbedder, score_embedder, small
from workbench.evaluation.datasets import Collection, Pair
from workbench.interfaces.generation import FloatArray


class Circle(HashingEmbedder):
    """Texts are degrees on a circle."""

    def embed(self, texts: Sequence[str]) -> FloatArray:
        angles = np.radians([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def embed_query(self, text: str) -> FloatArray:
        return self.embed([text])[0]

    def truncated(self, texts: Sequence[str]) -> list[bool]:
        return [len(text) > 2 for text in texts]


PAIRS = [Pair("0", str(angle), 5 - angle / 20) for angle in (10, 20, 40, 80)]
COLLECTION = Collection(
    documents={"near": "12", "far": "80", "off": "170"},
    queries={"a": "10", "b": "85", "c": "5"},
    relevance={"a": {"near": 2, "off": 1}, "b": {"far": 1}, "c": {"near": 0}},
)


def test_figures_by_hand() -> None:
    found = score_embedder(Circle(), pairs=PAIRS, collection=COLLECTION, k=2)
    assert found.spearman is not None
    assert found.spearman.value == pytest.approx(1)
    assert found.recall is not None
    assert found.recall.value == 0.75
    assert found.recall.n == 2, "A query without a relevant document is left out."
    assert found.ndcg is not None
    assert found.ndcg.value == pytest.approx((2 / (2 + 1 / 1.5849625) + 1) / 2)
    assert found.texts == 8 - 1, "0, 10, 20, 40, 80 and 12, 170: a text that comes twice is embedded once."
    assert found.truncated == pytest.approx(1 / 7)
    assert (found.metrics()["spearman"], found.metrics()["retrieval_recall"]) == (pytest.approx(1), 0.75)


def test_a_model_without_weights_still_tells_something() -> None:
    data = small()
    embedder = CountingEmbedder(HashingEmbedder())
    found = score_embedder(embedder, pairs=data.pairs, collection=data.collection)
    assert found.spearman is not None
    assert 0.3 < found.spearman.value < 1
    assert found.ndcg is not None
    assert 0.2 < found.ndcg.value < 1
    assert embedder.queries == 12
    assert embedder.passages == found.texts + 1, "One text warms up."


def test_one_of_both_is_enough_and_none_is_refused() -> None:
    assert score_embedder(Circle(), pairs=PAIRS).metrics()["ndcg_at_k"] is None
    assert score_embedder(Circle(), collection=COLLECTION).spearman is None
    with pytest.raises(InvalidSettings, match="nothing to score on"):
        score_embedder(Circle())
