"""Feature hashing keeps the contract of an embedder, and does what its paper says."""

import subprocess
import sys

import numpy as np
import pytest

from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings
from workbench.testing import EmbedderContract


class TestHashingContract(EmbedderContract):
    def make(self):
        return HashingEmbedder()


class TestSmallHashingContract(EmbedderContract):
    def make(self):
        return HashingEmbedder(256, ngrams=(2, 4), word_weight=2.0)


def similarity(embedder, one, two):
    first, second = embedder.embed([one, two])
    return float(first @ second)


def test_inflected_and_misspelt_words_are_near():
    embedder = HashingEmbedder()
    assert similarity(embedder, "compression", "compressions") > 0.35
    assert similarity(embedder, "temperature", "temprature") > 0.3
    assert similarity(embedder, "temperature", "quokka") < 0.2


def test_case_and_unicode_form_do_not_matter():
    embedder = HashingEmbedder()
    assert similarity(embedder, "CAFÉ", "cafe\u0301") == pytest.approx(1.0, abs=1e-6)


def test_unrelated_texts_are_near_orthogonal():
    """The sign makes the expected inner product of unrelated texts 0 (Weinberger 2009, lemma 2)."""
    embedder = HashingEmbedder(512)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 9)) for _ in range(400)]
    vectors = embedder.embed([" ".join(words[i : i + 4]) for i in range(0, 400, 4)])
    products = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    assert abs(products.mean()) < 0.005
    assert products.std() == pytest.approx(512**-0.5, rel=0.35)


def test_a_hash_is_the_same_in_another_process():
    code = (
        "from workbench.embedding import HashingEmbedder as E; e = E(16); "
        "print(e.fingerprint, e.embed(['one two'])[0].tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={
                "PYTHONHASHSEED": seed,
                "PATH": "",
            },
        ).stdout
        for seed in ("1", "2")
    }
    own = HashingEmbedder(16)
    assert outputs == {f"{own.fingerprint} {own.embed(['one two'])[0].tolist()}\n"}


def test_every_setting_is_in_the_fingerprint():
    made = [
        HashingEmbedder(),
        HashingEmbedder(256),
        HashingEmbedder(ngrams=(3, 4)),
        HashingEmbedder(ngrams=(2, 5)),
        HashingEmbedder(word_weight=0.5),
    ]
    assert len({embedder.fingerprint for embedder in made}) == len(made)


def test_texts_without_words_share_a_vector():
    empty, dots = HashingEmbedder().embed(["", "... !?"])
    assert (empty == dots).all()


@pytest.mark.parametrize("bad", [{"dimensions": 0}, {"ngrams": (4, 3)}, {"ngrams": (0, 3)}, {"word_weight": -1}])
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(InvalidSettings, match="at least 1"):
        HashingEmbedder(**bad)
