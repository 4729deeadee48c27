"""What memories are measured with measures what it says, in miniature."""

import time

import pytest

from workbench.errors import InvalidSettings
from workbench.evaluation.memory_bench import (
    Talk,
    add_times,
    fill,
    interleave,
    percentiles,
    questions,
    recall_times,
    talk,
)
from workbench.interfaces import Message
from workbench.memory import BufferMemory


def test_a_talk_is_the_same_for_the_same_seed_and_repeats_nothing():
    said = talk(200, seed=3)
    assert said == talk(200, seed=3)
    assert said != talk(200, seed=4)
    assert len({message.content for message in said.messages}) == 200
    assert [message.role for message in said.messages[:4]] == ["user", "assistant", "user", "assistant"]
    gaps = [after - before for before, after in zip(said.times, said.times[1:], strict=False)]
    assert sum(gap > 3600 for gap in gaps) == 3, "a new sitting after every fifty"
    assert min(gaps) > 0
    assert talk(20, seed=3).messages == said.messages[:20], "a longer one begins as a shorter one does"


def test_no_two_questions_are_alike():
    assert len(set(questions(100))) == 100
    assert questions(3, seed=1) != questions(3, seed=2)


class SlowMemory(BufferMemory):
    """Takes its time for whatever it is asked the first time."""

    def __init__(self):
        super().__init__(10_000)
        self.seen = set()

    def add_many(self, messages, **options):
        time.sleep(0.003)
        return super().add_many(messages, **options)

    def recall(self, query, **options):
        if query not in self.seen:
            time.sleep(0.01)
        self.seen.add(query)
        return super().recall(query, **options)


def test_adding_is_timed_message_by_message():
    memory, said = SlowMemory(), talk(10)
    taken = add_times(memory, said)
    assert len(taken) == memory.count() == 10
    assert min(taken) >= 3
    assert [found.at for found in memory.recall("x")] == said.times


def test_a_pause_is_not_part_of_the_time():
    memory = BufferMemory()
    started = time.perf_counter()
    taken = add_times(memory, talk(5), pause_s=0.02)
    assert time.perf_counter() - started >= 0.1
    assert percentiles(taken)["p50"] < 20


def test_filling_adds_in_batches_everything_in_order():
    memory, said = BufferMemory(10_000), talk(25)
    fill(memory, said, batch=10)
    assert [found.message for found in memory.recall("x", k=100)] == said.messages


def test_a_known_query_is_told_from_a_new_one():
    memory = SlowMemory()
    fill(memory, talk(5))
    taken = recall_times(memory, questions(6))
    assert min(taken["new_ms"]) >= 10
    assert percentiles(taken["known_ms"])["p50"] < percentiles(taken["new_ms"])["p50"]


def test_percentiles():
    assert percentiles(range(101)) == {"p50": 50.0, "p99": 99.0, "max": 100.0}
    with pytest.raises(InvalidSettings, match="at least once"):
        percentiles([])


def test_sessions_apart_are_found_apart():
    memory = BufferMemory()
    seen = interleave(memory, sessions=11, messages=6, recalls=2, k=4)
    assert (seen["isolated"], seen["complete"]) == (1.0, 1.0)
    assert seen["recalled"] >= 11 * 4
    assert len(memory.sessions()) == 11


class Leaky(BufferMemory):
    """Keeps names apart that differ in more than case only: the fault that the measure is there for."""

    def add_many(self, messages, *, session="default", at=None):
        return super().add_many(messages, session=session.lower(), at=at)

    def recall(self, query, *, session="default", **options):
        return super().recall(query, session=session.lower(), **options)

    def count(self, session="default"):
        return super().count(session.lower())


def test_a_leak_between_sessions_is_seen():
    seen = interleave(Leaky(), sessions=10, messages=6, recalls=2)
    assert 0 < seen["isolated"] < 1
    assert seen["complete"] < 1


class Hoarder(BufferMemory):
    """Opens a file with every message and never closes it."""

    def __init__(self, path):
        super().__init__()
        self.path, self.files = path, []

    def add_many(self, messages, **options):
        self.files.append(self.path.open("a"))
        return super().add_many(messages, **options)

    def close(self):
        super().close()
        for file in self.files:
            file.close()


def test_open_handles_are_counted(tmp_path):
    with Hoarder(tmp_path / "f") as memory:
        assert interleave(memory, sessions=4, messages=5, recalls=1)["handles"] == 20
    with BufferMemory(folder=tmp_path / "m") as memory:
        assert interleave(memory, sessions=4, messages=5, recalls=1)["handles"] <= 3


def test_a_talk_can_be_cut():
    said = talk(4)
    part = Talk(said.messages[2:], said.times[2:])
    memory = BufferMemory()
    fill(memory, part)
    assert memory.recall("x")[0].message == Message("user", said.messages[2].content)
