"""The weights' file: readable, checked, and read back as it was written."""

import json

import numpy as np
import pytest

from workbench.errors import StoreCorrupt
from workbench.memory.ranking.features import FEATURES
from workbench.memory.ranking.model import BUNDLED, Ranker, bundled


def test_what_is_saved_is_read_back(tmp_path):
    ranker = Ranker({"bm25": 1.25, "cosine": -0.5}, {"data": "mine"})
    ranker.save(tmp_path / "w.json")
    assert Ranker.load(tmp_path / "w.json") == ranker
    assert list(json.loads((tmp_path / "w.json").read_text())["weights"]) == ["bm25", "cosine"]


def test_scores_are_a_weighted_sum():
    table = np.random.default_rng(0).normal(size=(len(FEATURES), 5)).astype(np.float32)
    expected = 2 * table[FEATURES.index("cosine")] - table[FEATURES.index("date")]
    assert Ranker({"cosine": 2.0, "date": -1.0}).scores(table) == pytest.approx(expected, abs=1e-5)


def test_the_bundled_weights_say_where_they_come_from():
    facts = json.loads(BUNDLED.read_text())["facts"]
    assert "LoCoMo" in facts["data"]
    assert facts["leave_one_conversation_out"]["recall_at_10"] >= 0.83
    assert set(bundled().weights) == set(FEATURES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        '{"format": 1}',
        '{"format": 2, "weights": {"bm25": 1}}',
        '{"format": 1, "weights": {"no_such_feature": 1}}',
        '{"format": 1, "weights": {"bm25": NaN}}',
        '{"format": 1, "weights": {"bm25": "heavy"}}',
    ],
)
def test_another_file_is_refused_with_a_remedy(tmp_path, text):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(StoreCorrupt, match="train_ranker"):
        Ranker.load(tmp_path / "w.json")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(StoreCorrupt, match="train_ranker"):
        Ranker.load(tmp_path / "none.json")
