"""The contract of :class:`workbench.interfaces.Embedder`."""
# ruff: noqa: D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from workbench.interfaces import Embedder, FloatArray
from workbench.testing.contracts.threads import at_once

TEXTS = (
    "The cat sits on the mat.",
    "A cat is sitting on the mat.",
    "Interest rates rose by two percent in March.",
    "東京は日本の首都です。 🌍",
    "",
    "a",
    "word " * 3000,
)
_ROUNDING = 1e-4


class EmbedderContract:
    """Inherit and override :meth:`make`."""

    def make(self) -> Embedder:
        """A new embedder. Override."""
        raise NotImplementedError("Override make() so that it returns a new embedder.")

    @pytest.fixture(scope="class")
    @classmethod
    def embedder(cls) -> Iterator[Embedder]:
        """One embedder for the tests that leave it as it was."""
        embedder = cls().make()
        yield embedder
        embedder.close()

    @pytest.fixture(scope="class")
    @classmethod
    def vectors(cls, embedder: Embedder) -> FloatArray:
        """Vectors of :data:`TEXTS`: (7, dimensions)."""
        return embedder.embed(TEXTS)

    def test_it_is_an_embedder(self, embedder: Embedder) -> None:
        assert isinstance(embedder, Embedder), "An embedder has every member of workbench.interfaces.Embedder."
        assert embedder.name, "An embedder has a name."
        assert embedder.dimensions > 0, "An embedder says how long its vectors are."

    def test_shapes(self, embedder: Embedder, vectors: FloatArray) -> None:
        assert vectors.shape == (len(TEXTS), embedder.dimensions), "embed gives (len(texts), dimensions)."
        assert vectors.dtype == np.float32, "Vectors are float32."
        none = embedder.embed([])
        assert none.shape == (0, embedder.dimensions), "embed of no texts gives (0, dimensions)."
        query = embedder.embed_query(TEXTS[0])
        assert query.shape == (embedder.dimensions,), "embed_query gives (dimensions,)."
        assert query.dtype == np.float32, "A query's vector is float32."

    def test_every_vector_has_length_one(self, embedder: Embedder, vectors: FloatArray) -> None:
        assert np.isfinite(vectors).all(), "No vector has a NaN, not even the empty text's."
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-3), "Every vector has L2 norm 1."
        assert np.linalg.norm(embedder.embed_query("")) == pytest.approx(1.0, abs=1e-3), "An empty query's too."

    def test_a_vector_depends_on_its_text_alone(self, embedder: Embedder, vectors: FloatArray) -> None:
        turned = embedder.embed(TEXTS[::-1])[::-1]
        assert np.abs(turned - vectors).max() < _ROUNDING, "Vectors come in the order of their texts."
        for place in (0, 3, 5):
            alone = embedder.embed([TEXTS[place]])[0]
            assert np.abs(alone - vectors[place]).max() < _ROUNDING, "A text's neighbours have no influence."

    def test_like_is_nearer_than_unlike(self, vectors: FloatArray) -> None:
        like, unlike = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
        assert like > unlike, "Two sentences about the same are nearer than two about different things."

    def test_a_query_finds_its_passage(self, embedder: Embedder, vectors: FloatArray) -> None:
        similarities = vectors[:4] @ embedder.embed_query("Where does the cat sit?")
        assert int(similarities.argmax()) in (0, 1), "A query is nearest to the passage that answers it."

    def test_truncated_says_which_texts_are_cut(self, embedder: Embedder) -> None:
        cut = embedder.truncated(TEXTS)
        assert len(cut) == len(TEXTS), "truncated has one answer a text."
        assert not any(cut[:6]), "Short texts are not cut."
        assert cut[6] == (embedder.max_tokens is not None), "3,000 words are cut, unless there is no limit."
        assert embedder.truncated([]) == [], "No texts, no answers."

    def test_what_is_cut_has_no_influence(self, embedder: Embedder) -> None:
        if embedder.max_tokens is None:
            pytest.skip("the embedder has no limit")
        one, two = embedder.embed([TEXTS[6], TEXTS[6] + "and an end that nobody reads"])
        assert np.abs(one - two).max() < _ROUNDING, "What is longer than max_tokens is cut."

    def test_embedders_made_alike_agree(self, embedder: Embedder, vectors: FloatArray) -> None:
        other = self.make()
        try:
            assert other.fingerprint == embedder.fingerprint, "Embedders made alike have the same fingerprint."
            assert other.fingerprint, "A fingerprint is not empty."
            assert np.abs(other.embed(TEXTS) - vectors).max() < _ROUNDING, "The same fingerprint, the same vectors."
        finally:
            other.close()

    def test_any_thread_may_embed(self, embedder: Embedder, vectors: FloatArray) -> None:
        for result in at_once(4, lambda _: embedder.embed(TEXTS)):
            assert np.abs(result - vectors).max() < _ROUNDING, "Calls from several threads do not disturb each other."

    def test_close_is_idempotent(self) -> None:
        embedder = self.make()
        embedder.close()
        embedder.close()
