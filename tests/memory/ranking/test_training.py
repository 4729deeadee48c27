"""Learning on a tiny data set of its own: better than before, the same every time, and on what it has not seen."""

import numpy as np
import pytest

from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.memory.ranking.features import FEATURES
from workbench.memory.ranking.model import Ranker
from workbench.memory.ranking.training import Labelled, Lesson, lessons_of, recall_at, train_on, train_ranker

THINGS = ["violin", "canoe", "kite", "lamp", "drum", "piano", "rope", "tent", "clock", "globe", "ladder", "mirror"]
EMBEDDERS = (HashingEmbedder(128),)


def conversation(seed):
    """Somebody mentions each thing twice; the answer, by whoever is asked about, stands after the question."""
    random, said, questions = np.random.default_rng(seed), [], []
    for thing in random.permutation(THINGS):
        said += [
            Message("user", f"The {thing} and the {thing}!", name="Ann"),
            Message("user", f"Where do you keep the {thing}?", name="Ann"),
            Message("assistant", f"In room {random.integers(100)}.", name="Bob"),
        ]
        questions.append((f"Where does Bob keep the {thing}?", frozenset({len(said) - 1})))
    return Labelled(said, [0.0] * len(said), questions)


def mean_recall(ranker, k=1):
    return np.mean([recall_at(ranker, lesson, k) for lesson in lessons_of(conversation(9), EMBEDDERS)])


def test_it_learns_what_transfers_to_another_conversation():
    ranker = train_ranker([conversation(1), conversation(2)], EMBEDDERS)
    assert mean_recall(ranker) == 1.0
    assert mean_recall(Ranker({"bm25": 1.0, "cosine": 1.0})) == 0.0, "What is learned is not in words alone."


def test_the_same_data_give_the_same_weights():
    first, second = (train_ranker([conversation(1)], EMBEDDERS).weights for _ in range(2))
    assert first == second


def test_more_penalty_makes_smaller_weights():
    lessons = list(lessons_of(conversation(1), EMBEDDERS))
    sizes = [np.linalg.norm(list(train_on(lessons, penalty=p).weights.values())) for p in (1e-3, 1e-1, 10)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_weights_are_at_a_minimum():
    """A feature that marks the evidence alone, three to one: the slope of the loss is 0 at the closed form's weight."""
    table = np.zeros((len(FEATURES), 2), np.float32)
    table[0] = [1, 0]
    right, wrong = (Lesson(table, np.array(marks, np.float32)) for marks in ([1, 0], [0, 1]))
    ranker = train_on([right, right, right, wrong], penalty=0)
    assert ranker.weights[FEATURES[0]] == pytest.approx(np.log(3), abs=1e-3)


def test_recall_is_the_share_of_the_evidence():
    table = np.zeros((len(FEATURES), 4), np.float32)
    table[0] = [4, 3, 2, 1]
    lesson = Lesson(table, np.array([0, 1, 0, 1], np.float32))
    assert [recall_at(Ranker({FEATURES[0]: 1.0}), lesson, k) for k in (1, 2, 4)] == [0, 0.5, 1]


def test_nothing_to_learn_from_is_refused():
    nothing = Labelled([Message.user("a")], [0.0], [("b?", frozenset())])
    for conversations in ([], [nothing]):
        with pytest.raises(InvalidSettings, match="nothing to learn"):
            train_ranker(conversations, EMBEDDERS)


@pytest.mark.parametrize("settings", [{"penalty": -1}, {"candidates": 1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvalidSettings):
        train_ranker([conversation(1)], EMBEDDERS, **settings)
