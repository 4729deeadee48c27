"""Feedback: what it raises and lowers, what is learned from it, what it cannot do, and how it is taken back."""

import re
import zlib

import numpy as np
import pytest

from workbench.embedding import HashingEmbedder
from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.memory.adaptive import AdaptiveMemory, Version
from workbench.memory.base import LoggedMemory
from workbench.memory.buffer import BufferMemory
from workbench.memory.learning.policy import Weights
from workbench.memory.transcript import Transcript
from workbench.testing import MemoryContract
from workbench.testing.contracts.memory import indices_of, texts_of


class Words(LoggedMemory):
    """Ranks by the words a message shares with the query; of equals the newer."""

    name = "words"

    def _snapshot(self, session, epoch):
        return Transcript(session, epoch)

    def _rank(self, snapshot, query):
        asked = set(re.findall(r"\w+", query.text.casefold()))
        scored = [
            (len(asked & set(re.findall(r"\w+", snapshot.messages[index].content.casefold()))), index)
            for index in snapshot.within(query.since, query.until)
        ]
        best = sorted(scored)[-query.k :]
        return [snapshot.recollection(index, score + index * 1e-6, "words") for score, index in best]


class TestContract(MemoryContract):
    def make(self):
        return AdaptiveMemory(Words())

    def make_in(self, folder):
        return AdaptiveMemory(Words(), folder=folder)


class TestHybridContract(MemoryContract):
    examples = 8

    def make(self):
        return AdaptiveMemory(("hybrid", {"embedder": HashingEmbedder(64)}))


class TestLearningContract(MemoryContract):
    """Feedback is learned from as often as can be."""

    def make(self):
        return AdaptiveMemory(Words(), learn_every=1)

    def make_in(self, folder):
        return AdaptiveMemory(Words(), learn_every=1, folder=folder)


class TestBufferContract(MemoryContract):
    capacity = 20

    def make(self):
        return AdaptiveMemory(BufferMemory())


TOPICS, PER_TOPIC = 30, 8


class Noisy(LoggedMemory):
    """Knows a query's topic, and among its eight messages prefers the one that answers, but not by much."""

    name = "noisy"

    def _snapshot(self, session, epoch):
        return Transcript(session, epoch)

    def _rank(self, snapshot, query):
        topic = int(re.search(r"topic(\d+)", query.text)[1])
        scores = np.random.default_rng(zlib.crc32(query.text.encode())).normal(size=len(snapshot))
        scores[topic * PER_TOPIC : (topic + 1) * PER_TOPIC] += 2.0
        scores[topic * PER_TOPIC] += 0.5
        best = np.argsort(-scores)[: query.k]
        return [snapshot.recollection(int(index), float(scores[index]), "noisy") for index in best]


def simulate(judge, *, turns=6, k=4, memory=None, **options):
    """Ask about every topic in every turn, in varying words. Returns the memory and each turn's recall@k.

    ``judge(is_right)`` is the feedback on each message that comes, ``None``: none.
    """
    if memory is None:
        memory = AdaptiveMemory(Noisy(), **options)
        texts = (f"topic{number // PER_TOPIC} fact{number} word{number % 50}" for number in range(TOPICS * PER_TOPIC))
        memory.add_many([Message.user(text) for text in texts])
    draws, rates = np.random.default_rng(0), []
    for _ in range(turns):
        hits = 0
        for topic in range(TOPICS):
            words = ("what about", "tell me of", "remember", "explain")[draws.integers(4)]
            found = indices_of(memory.recall(f"{words} topic{topic} please", k=k))
            hits += topic * PER_TOPIC in found
            for index in found:
                value = judge(index == topic * PER_TOPIC)
                if value is not None:
                    memory.feedback(index, value)
            memory.flush()
        rates.append(hits / TOPICS)
    return memory, rates


def honest(is_right):
    return 1.0 if is_right else -1.0


def told(memory, session="default"):
    """Of the first two messages the first is praised and the second blamed, for a query about tea."""
    memory.recall("tea", session=session, k=3)
    memory.feedback(0, 1.0, session=session)
    memory.feedback(1, -1.0, session=session)


# -- feedback acts at once --------------------------------------------------------------------------------------------


def test_without_feedback_it_is_its_base():
    with Words() as base, AdaptiveMemory(Words()) as memory:
        for one in (base, memory):
            one.add_many([Message.user(f"tea {number} {number % 3}") for number in range(40)])
        for query, k in (("tea 1", 1), ("tea 2", 7), ("coffee", 30)):
            expected = [(one.index, one.message, one.reason) for one in base.recall(query, k=k)]
            assert [(one.index, one.message, one.reason) for one in memory.recall(query, k=k)] == expected


def test_praise_raises_and_blame_lowers_a_message():
    with AdaptiveMemory(Words(), base_share=0.0) as memory:
        memory.add_many([Message.user(f"tea {name}") for name in ("green", "black", "white", "red")])
        assert texts_of(memory.recall("tea", k=2)) == ["tea white", "tea red"]
        before = {one.index: one.score for one in memory.recall("tea", k=4)}
        memory.feedback(1, 1.0)
        memory.feedback(2, -1.0)
        found = {one.index: one for one in memory.recall("tea", k=4)}
        assert found[1].reason == "words, raised by feedback"
        assert found[2].reason == "words, lowered by feedback"
        assert found[1].score - before[1] > 0.5 > -0.5 > found[2].score - before[2]
        assert texts_of(memory.recall("tea", k=2)) == ["tea black", "tea red"]


def test_feedback_counts_more_where_the_same_is_asked():
    with AdaptiveMemory(Words(), base_share=0.0) as memory:
        memory.add_many([Message.user(f"cup of {name}") for name in ("tea", "milk", "soup", "cocoa")])
        memory.recall("a cup in the morning", k=4)
        memory.feedback(0, 1.0)
        scores = [
            {one.index: one.score for one in memory.recall(query, k=4)}
            for query in ("a cup in the morning", "zebra cup zoology")
        ]
        gains = [each[0] - (each[1] + each[2]) / 2 for each in scores]
        assert gains[0] > gains[1] + 0.1


def test_a_message_like_a_praised_one_rises_a_little():
    with AdaptiveMemory(Words(), base_share=0.0) as memory:
        texts = ("the red bicycle stands in the yard", "the red bicycle stands in the barn", "many clouds came today")
        memory.add_many([Message.user(text) for text in texts])
        memory.feedback(0, 1.0)
        found = {one.index: one for one in memory.recall("nothing of it", k=3)}
        assert found[1].reason.endswith("raised by feedback")
        assert found[2].reason == "words"


def test_feedback_and_what_was_learned_survive_a_restart(tmp_path):
    memory, _ = simulate(honest, folder=tmp_path, turns=4)
    queries = [f"about topic{topic}" for topic in range(TOPICS)]
    before = memory.versions(), [memory.recall(query, k=4) for query in queries]
    memory.close()
    assert len(before[0]) > 1
    with AdaptiveMemory(Noisy(), folder=tmp_path) as memory:
        assert (memory.versions(), [memory.recall(query, k=4) for query in queries]) == before


def test_feedback_in_one_session_is_none_in_another():
    with AdaptiveMemory(Words(), base_share=0) as memory:
        for session in ("a", "b"):
            memory.add_many([Message.user(f"tea {name}") for name in ("green", "black", "white")], session=session)
        before = memory.recall("tea", session="b", k=2)
        told(memory, session="a")
        assert indices_of(memory.recall("tea", session="a", k=2)) == [0, 2]
        assert memory.recall("tea", session="b", k=2) == before


# -- what it is worth -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def silent():
    """Recall@4 of each turn without any feedback: the base's."""
    memory, rates = simulate(lambda is_right: None)
    memory.close()
    return rates


def test_honest_feedback_improves_on_the_base(silent):
    memory, rates = simulate(honest)
    with memory:
        assert np.mean(rates[-2:]) > np.mean(silent[-2:]) + 0.08
        first, *learned = memory.versions()
        assert first == Version(0, Weights())
        assert learned
        for version in learned:
            assert version.gain > 0
            assert version.bound >= 0
            assert version.recalls >= 4


def test_random_feedback_costs_little_and_teaches_nothing(silent):
    draws = np.random.default_rng(1)
    memory, rates = simulate(lambda is_right: float(draws.choice([-1, 1])), turns=4)
    with memory:
        assert np.mean(rates) > np.mean(silent[:4]) - 0.08
        assert memory.version().number == 0, "the gate lets nothing through"


@pytest.mark.parametrize("exploration", [0.0, 0.3])
def test_no_feedback_displaces_the_first_choices_of_the_base(exploration):
    memory, _ = simulate(lambda is_right: -honest(is_right), turns=2, exploration=exploration)
    with Noisy() as base, memory:
        base.add_many([Message.user("x")] * (TOPICS * PER_TOPIC))
        for topic in range(TOPICS):
            query = f"lies about topic{topic}"
            first = set(indices_of(base.recall(query, k=3)))
            assert first <= set(indices_of(memory.recall(query, k=6)))


def test_with_all_places_sure_feedback_moves_nothing():
    memory, rates = simulate(honest, turns=3, base_share=1.0, exploration=0.5)
    with memory:
        assert memory.version().number == 0
    _, silent = simulate(lambda is_right: None, turns=3)
    assert rates == silent


# -- versions ---------------------------------------------------------------------------------------------------------


def test_rollback_returns_to_an_earlier_weighting_for_good(tmp_path):
    memory, _ = simulate(honest, turns=4, folder=tmp_path)
    with memory:
        learned = memory.versions()
        assert len(learned) > 1
        assert memory.version() == learned[-1]
        assert memory.rollback(to=0) == learned[0]
        with pytest.raises(InvalidSettings, match="earlier"):
            memory.rollback()
        simulate(honest, turns=3, memory=memory)
        again = memory.versions()[1:]
        assert not {one.weights for one in again} & {one.weights for one in learned[1:]}, "what was taken back stays so"
        present = memory.version()
    with AdaptiveMemory(Noisy(), folder=tmp_path) as memory:
        assert memory.version() == present


@pytest.mark.parametrize("to", [1, 5, -1])
def test_there_is_no_rolling_forward(to):
    with AdaptiveMemory(Words()) as memory:
        memory.add(Message.user("a"))
        with pytest.raises(InvalidSettings, match="version 0"):
            memory.rollback(to=to)


def test_replay_knows_no_later_feedback():
    with AdaptiveMemory(Words(), base_share=0) as memory:
        memory.add_many([Message.user(f"tea {name}") for name in ("green", "black", "white")])
        memory.recall("tea", k=3)
        memory.add(Message.user("anything"))
        told(memory)
        assert indices_of(memory.recall("tea", k=2)) == [0, 2]
        assert indices_of(memory.recall_at("tea", turn=3, k=2)) == [1, 2]
        assert indices_of(memory.recall_at("tea", turn=4, k=2)) == [0, 2]


def test_the_event_of_a_recall_has_what_learning_needs():
    with AdaptiveMemory(Words(), exploration=0.25) as memory:
        memory.add_many([Message.user(f"tea {number}") for number in range(10)])
        found = indices_of(memory.recall("tea", k=4))
        (event,) = (event for event in memory.journal.read_since(0, "default") if event.kind == "recall")
        rows = event.data["candidates"]
        assert [row[0] for row in rows] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], "best first by the base"
        assert [row[-1] for row in rows] == pytest.approx([1, 1, 1, 0.75, *[0.25 / 6] * 6], abs=1e-6)
        assert event.data["version"] == 0
        assert sorted(index for index, _ in event.data["found"]) == found


def test_exploration_brings_what_was_passed_over():
    with AdaptiveMemory(Words(), exploration=0.5) as memory:
        memory.add_many([Message.user(f"tea {number}") for number in range(10)])
        seen = [tuple(indices_of(memory.recall("tea", k=4))) for _ in range(60)]
        assert 15 <= seen.count((6, 7, 8, 9)) <= 45
        assert {index for found in seen for index in found} == set(range(10))
        assert all({7, 8, 9} <= set(found) for found in seen)


@pytest.mark.parametrize(
    "options",
    [
        {"base_share": -0.1},
        {"base_share": 1.1},
        {"exploration": 1.0},
        {"exploration": -0.1},
        {"half_life": 0},
        {"half_life": float("nan")},
        {"learn_every": 0},
        {"risk": 0},
        {"risk": 1},
    ],
)
def test_what_cannot_work_is_refused(options):
    with pytest.raises(InvalidSettings, match=next(iter(options))):
        AdaptiveMemory(Words(), **options)
