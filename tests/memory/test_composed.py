"""Several memories as one: shares, fusion, notes, one log, and the parts' own work on it."""

import re

import pytest

import workbench as wb
from workbench.embedding import HashingEmbedder
from workbench.embedding.cache import CachedEmbedder
from workbench.errors import InvalidSettings, StoreInUse, UnknownName
from workbench.interfaces import Message, Recollection
from workbench.memory.base import LoggedMemory
from workbench.memory.baselines import FullMemory, NoMemory, RandomMemory
from workbench.memory.buffer import BufferMemory
from workbench.memory.composed import ComposedMemory, by_rank, by_score, by_shares
from workbench.memory.summary import HEADER, SummaryMemory
from workbench.memory.transcript import Transcript
from workbench.testing import MemoryContract, ScriptedEngine
from workbench.testing.contracts.memory import indices_of, said, texts_of


class Words(LoggedMemory):
    """Ranks by the words a message shares with the query: a small strategy with scores."""

    name = "words"

    def _snapshot(self, session, epoch):
        return Transcript(session, epoch)

    def _rank(self, snapshot, query):
        asked = set(re.findall(r"\w+", query.text.casefold()))
        scored = [
            (len(asked & set(re.findall(r"\w+", snapshot.messages[index].content.casefold()))), index)
            for index in snapshot.within(query.since, query.until)
        ]
        return [snapshot.recollection(index, float(score), "words") for score, index in sorted(scored)[-query.k :]]


class Notes(BufferMemory):
    """Makes notes beside what it recalls."""

    def __init__(self, *texts):
        super().__init__()
        self.texts = texts

    def _rank(self, snapshot, query):
        notes = [Recollection(message=Message.system(text), index=None, score=0, reason="n") for text in self.texts]
        return [*super()._rank(snapshot, query), *notes]


class TestSharesContract(MemoryContract):
    def make(self):
        return ComposedMemory([BufferMemory(5), Words()])

    def make_in(self, folder):
        return ComposedMemory(["buffer", Words()], folder=folder)


class TestFusionContract(MemoryContract):
    examples = 15

    def make(self):
        return ComposedMemory([FullMemory(), Words(), RandomMemory()], fusion="score", weights=[1, 3, 0.1])


class TestWithSummaryContract(MemoryContract):
    """A part that works in the background and makes events of its own."""

    examples = 15

    def make(self):
        return self.make_in(None)

    def make_in(self, folder):
        summary = SummaryMemory(ScriptedEngine("They talked."), keep_recent=2, every=3)
        return ComposedMemory([summary, Words()], fusion="rank", folder=folder)


class TestNestedContract(MemoryContract):
    capacity = 7
    examples = 15

    def make(self):
        return ComposedMemory([ComposedMemory([BufferMemory(7), NoMemory()]), BufferMemory(3)])


class TestHybridContract(MemoryContract):
    """With a part that searches, as it is used."""

    examples = 8

    def make(self):
        return ComposedMemory(embedder=HashingEmbedder(64))

    def make_in(self, folder):
        return ComposedMemory(embedder=HashingEmbedder(64), folder=folder)


def filled(memory, count=20):
    memory.add_many([Message.user(f"message {number}") for number in range(count)], at=range(count))
    return memory


def ranking(*pairs):
    return [
        Recollection(message=Message.user(str(index)), index=index, score=score, reason="r") for index, score in pairs
    ]


def test_each_part_is_sure_of_its_share():
    with filled(ComposedMemory([BufferMemory(), Words()], weights=[1, 2])) as memory:
        found = memory.recall("1 2 3 4 message", k=6)
        assert indices_of(found) == [1, 2, 3, 4, 18, 19]
        assert [one.reason for one in said(found)] == ["words"] * 4 + ["recent, words"] * 2


def test_places_a_part_cannot_fill_go_to_the_others():
    with filled(ComposedMemory([NoMemory(), BufferMemory(2), FullMemory()])) as memory:
        assert indices_of(memory.recall("x", k=9)) == list(range(11, 20))
        assert memory.count() == 20


def test_a_message_two_parts_recall_comes_once_with_both_reasons():
    with filled(ComposedMemory([BufferMemory(), FullMemory()])) as memory:
        found = memory.recall("x", k=4)
        assert indices_of(found) == [16, 17, 18, 19]
        assert {one.reason for one in found} == {"recent, everything"}


def test_shares_by_largest_remainder():
    one, two, three = (ranking(*((index, -index) for index in range(start, start + 9))) for start in (0, 10, 20))
    assert sorted(index for index, _ in by_shares([one, two, three], [5, 3, 2], 10)) == [
        *(0, 1, 2, 3, 4),
        *(10, 11, 12),
        *(20, 21),
    ]
    assert [index for index, _ in by_shares([one, two], [1, 1], 1)] == [0], "the earlier part, where all are equal"


def test_reciprocal_ranks():
    fused = dict(by_rank([ranking((7, 0.9), (8, 0.1)), ranking((8, 5.0))], [1, 2], 10))
    assert fused == pytest.approx({7: 1 / 61, 8: 1 / 62 + 2 / 61})


def test_scores_are_standardised_before_they_are_added():
    fused = dict(by_score([ranking((0, 1000.0), (1, 3000.0)), ranking((1, 0.1), (2, 0.3)), []], [1, 1, 1], 10))
    assert fused == pytest.approx({0: -1 - 1, 1: 1 - 1, 2: -1 + 1})
    assert dict(by_score([ranking((0, 5.0), (1, 5.0))], [1], 10)) == {0: 0, 1: 0}, "all alike is no division by 0"


def test_the_first_two_notes_are_kept_none_twice():
    with filled(ComposedMemory([Notes("a"), Notes("a", "b"), Notes("c")])) as memory:
        found = memory.recall("x", k=3)
        assert [one.message.content for one in found if one.index is None] == ["a", "b"]
        assert len(said(found)) == 3


def test_what_is_said_is_in_one_log(tmp_path):
    with ComposedMemory(["buffer", "full"], folder=tmp_path) as memory:
        filled(memory, 5)
        assert all(part.journal is memory.journal for part in memory.parts)
        assert [part.count() for part in memory.parts] == [5, 5]
    with BufferMemory(folder=tmp_path) as alone:
        assert texts_of(alone.recall("x", k=2)) == ["message 3", "message 4"]
        assert len(alone.journal.read_since(0, "default")) == 5 + 1, "five messages and this recall"


def test_parts_of_one_name_have_folders_of_their_own(tmp_path):
    with ComposedMemory(["buffer", "full", ("buffer", {"size": 3})], folder=tmp_path) as memory:
        assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["buffer", "buffer-2", "full"]
        assert [getattr(part, "size", None) for part in memory.parts] == [20, None, 3]
        with pytest.raises(StoreInUse):
            BufferMemory(folder=tmp_path / "parts" / "full")
    with ComposedMemory(["buffer", "full", ["buffer", {"size": 3}]], folder=tmp_path):
        pass


def test_a_part_works_in_the_background_on_the_common_log(tmp_path):
    def made(engine):
        return ComposedMemory([BufferMemory(3), SummaryMemory(engine, keep_recent=2, every=3)], folder=tmp_path)

    with made(ScriptedEngine("They greeted each other.")) as memory:
        filled(memory, 6)
        memory.flush()
        assert memory.recall("x")[0].message.content == HEADER + "They greeted each other."
        assert memory.recall_at("x", turn=2)[0].index == 0, "no note then"
    with made(ScriptedEngine(AssertionError("nothing was to be asked"))) as memory:
        assert memory.recall("x")[0].index is None
        memory.forget("default")
        filled(memory, 2)
        assert memory.recall("x")[0].index == 0, "a forgotten summary is no part of the new session"


def test_a_failing_part_is_told_by_flush_and_recall_goes_on():
    broken = SummaryMemory(ScriptedEngine(RuntimeError("no idea")), keep_recent=2, every=3)
    with ComposedMemory([broken, FullMemory()]) as memory:
        filled(memory, 6)
        with pytest.raises(wb.WorkbenchError, match="could not write"):
            memory.flush()
        assert len(memory.recall("x", k=6)) == 6


def test_one_embedder_serves_all_parts(tmp_path):
    class Counting(HashingEmbedder):
        embedded = 0

        def embed(self, texts):
            Counting.embedded += len(texts)
            return super().embed(texts)

        def embed_query(self, text):
            return super().embed([text])[0]

    parts = ["hybrid", ("hybrid", {"neighbour_weight": 0.0})]
    with ComposedMemory(parts, embedder=Counting(64), folder=tmp_path) as memory:
        assert memory.parts[0].embedders == memory.parts[1].embedders
        filled(memory, 10)
        memory.flush()
        before = memory.recall("message 3")
    embedded = Counting.embedded
    with ComposedMemory(parts, embedder=Counting(64), folder=tmp_path) as memory:
        assert memory.recall("message 3") == before
        assert Counting.embedded == embedded, "a restart embeds nothing again"


@pytest.mark.parametrize("part", ["hybrid", ("archive", {"short_term": 1, "batch": 2})])
def test_what_is_forgotten_leaves_the_parts_caches_too(part, tmp_path):
    embedder = CachedEmbedder(HashingEmbedder(64))
    with ComposedMemory(["buffer", part], embedder=embedder, folder=tmp_path) as memory:
        for session in ("kept", "gone"):
            memory.add_many([Message.user(f"{session} {number}") for number in range(5)], session=session)
            memory.flush()
            memory.recall("x", session=session)
        before = embedder.stats.misses
        memory.forget("gone")
        embedder.embed([f"kept {number}" for number in range(5)])
        assert embedder.stats.misses == before
        embedder.embed([f"gone {number}" for number in range(5)])
        assert embedder.stats.misses == before + 5


def test_closing_closes_the_parts(tmp_path):
    memory = ComposedMemory(["buffer"], folder=tmp_path)
    memory.close()
    memory.close()
    with BufferMemory(folder=tmp_path / "parts" / "buffer"):
        pass


def test_a_part_that_cannot_be_made_leaves_nothing_open(tmp_path):
    with pytest.raises(UnknownName, match="vektor"):
        ComposedMemory(["buffer", "vektor"], folder=tmp_path)
    ComposedMemory(["buffer"], folder=tmp_path).close()


def test_a_memory_in_use_cannot_become_a_part():
    with filled(BufferMemory()) as used, pytest.raises(InvalidSettings, match="sessions of its own"):
        ComposedMemory([used])


@wb.memories.register("test-stranger")
class Stranger:
    """A memory of somebody else's, with a log of its own."""

    def close(self):
        pass


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"parts": []}, "one memory or more"),
        ({"parts": "buffer"}, "one memory or more"),
        ({"parts": [7]}, "a pair"),
        ({"parts": [("buffer", 3)]}, "a pair"),
        ({"parts": ["test-stranger"]}, "LoggedMemory"),
        ({"parts": ["buffer"], "weights": [1, 2]}, "one a part"),
        ({"parts": ["buffer"], "weights": [0]}, "above 0"),
        ({"parts": ["buffer"], "weights": [float("nan")]}, "above 0"),
        ({"parts": ["buffer"], "fusion": "magic"}, "rank, score, shares"),
    ],
)
def test_what_cannot_work_is_refused(options, remedy):
    with pytest.raises((InvalidSettings, UnknownName), match=remedy):
        ComposedMemory(**options)


def test_a_session_forgotten_a_moment_ago_is_empty(monkeypatch):
    with filled(ComposedMemory(["hybrid"], embedder=HashingEmbedder(64))) as memory:
        memory.forget("default")
        monkeypatch.setattr(memory.journal, "count", lambda session: 20)  # what was counted before it was forgotten
        assert memory.recall("message 3") == []
