import math

import numpy as np
import pytest

from workbench.errors import InvalidSettings
from workbench.ranking.bm25 import Bm25Index

DOCUMENTS = [["cat", "mat"], ["dog"], [], ["cat", "cat", "dog", "mat", "fish"]]


def _index(documents, **settings):
    index = Bm25Index(**settings)
    for document in documents:
        index.add(document)
    return index


def _by_hand(query, documents, k1, b):
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        score = 0.0
        for term in query:
            holding = sum(term in other for other in documents)
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            count = document.count(term)
            if count:
                score += idf * count / (count + k1 * (1 - b + b * len(document) / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.9, 0.4), (2.0, 0.0), (0.5, 1.0)])
def test_the_formula_as_published(k1, b):
    query = ["cat", "fish", "unicorn", "cat"]
    found = _index(DOCUMENTS, k1=k1, b=b).scores(query)
    assert found == pytest.approx(_by_hand(query, DOCUMENTS, k1, b), abs=1e-5)


def test_message_by_message_equals_all_at_once():
    random = np.random.default_rng(0)
    documents = [[f"w{n}" for n in random.zipf(1.5, random.integers(0, 20)) if n < 50] for _ in range(200)]
    index = Bm25Index()
    for number, document in enumerate(documents, 1):
        index.add(document)
        if number % 50 == 0:
            assert np.array_equal(index.scores(["w1", "w7"]), _index(documents[:number]).scores(["w1", "w7"]))


@pytest.mark.parametrize("sizes", [(3, 200), (200, 3), (70, 130, 1), (0, 64)])
def test_many_at_once_equal_one_by_one(sizes):
    draw = np.random.default_rng(5)
    documents = [[f"t{n}" for n in draw.integers(0, 40, draw.integers(0, 9))] for _ in range(sum(sizes))]
    together, start = Bm25Index(), 0
    for size in sizes:
        together.extend(documents[start : start + size])
        start += size
    alone = _index(documents)
    terms = [f"t{n}" for n in range(41)]
    assert np.array_equal(together.frequencies(terms), alone.frequencies(terms))
    assert np.array_equal(together.lengths(), alone.lengths())
    assert np.array_equal(together.scores(terms), alone.scores(terms))


def test_a_document_that_goes_on_equals_one_that_came_whole():
    index = Bm25Index()
    for document in DOCUMENTS:
        index.add(document[:1])
        index.add_to_last(document[1:])
    for term in ("cat", "mat", "fish"):
        assert np.array_equal(index.scores([term]), _index(DOCUMENTS).scores([term]))
    assert index.lengths().tolist() == [2, 1, 0, 5]


def test_no_score_exceeds_the_bound():
    index = _index([["rare"] * 1000, ["common"], ["common"]])
    assert 0 < index.scores(["rare", "common"]).max() < index.most(["rare", "common"])


def test_an_empty_index_and_an_unknown_term():
    assert Bm25Index().scores(["x"]).shape == (0,)
    assert _index(DOCUMENTS).idf("unicorn") == 0
    assert not _index([[], []]).scores(["x"]).any()


def test_frequencies_and_lengths():
    index = _index(DOCUMENTS)
    assert index.frequencies(["cat", "unicorn"]).tolist() == [[1, 0, 0, 2], [0, 0, 0, 0]]
    assert index.lengths().tolist() == [2, 1, 0, 5]


def test_documents_can_come_after_a_search():
    index = _index(DOCUMENTS)
    kept = index.scores(["cat"]), index.frequencies(["cat"]), index.lengths()
    index.add(["cat"])
    assert [len(one[0]) if one.ndim == 2 else len(one) for one in kept] == [4, 4, 4]
    assert len(index.scores(["cat"])) == 5


@pytest.mark.parametrize("settings", [{"k1": -0.1}, {"b": 1.1}, {"b": -0.1}, {"k1": math.nan}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidSettings):
        Bm25Index(**settings)
