"""Everything, nothing, and a draw."""

import itertools
from collections import Counter

import pytest

import workbench as wb
from workbench.interfaces import Message
from workbench.memory.baselines import FullMemory, NoMemory, RandomMemory
from workbench.memory.buffer import BufferMemory
from workbench.testing import MemoryContract
from workbench.testing.contracts.memory import indices_of, texts_of


class TestFullContract(MemoryContract):
    def make(self):
        return FullMemory()

    def make_in(self, folder):
        return FullMemory(folder=folder)


class TestNoneContract(MemoryContract):
    capacity = 0
    relevant = False

    def make(self):
        return NoMemory()

    def make_in(self, folder):
        return NoMemory(folder=folder)


class TestRandomContract(MemoryContract):
    relevant = False

    def make(self):
        return RandomMemory()

    def make_in(self, folder):
        return RandomMemory(folder=folder)


def filled(memory, count=40):
    memory.add_many([Message.user(str(number)) for number in range(count)], at=range(count))
    return memory


def test_full_recalls_everything_and_the_newest_of_it_where_k_is_smaller():
    memory = filled(FullMemory(), 30)
    assert texts_of(memory.recall("x", k=30)) == [str(number) for number in range(30)]
    assert texts_of(memory.recall("x", k=2)) == ["28", "29"]
    assert texts_of(memory.recall("x", k=2, until=10)) == ["8", "9"]


def test_none_keeps_what_is_said_for_another_strategy(tmp_path):
    with NoMemory(folder=tmp_path) as memory:
        filled(memory, 5)
        assert memory.recall("x", k=5) == []
        memory.feedback(4, 1.0)
    with BufferMemory(folder=tmp_path) as memory:
        assert texts_of(memory.recall("x", k=2)) == ["3", "4"]


def test_a_draw_is_the_same_for_the_same_query_and_seed(tmp_path):
    first = indices_of(filled(RandomMemory(7)).recall("a query", k=5))
    with RandomMemory(7, folder=tmp_path) as memory:
        assert indices_of(filled(memory).recall("a query", k=5)) == first
    others = [
        indices_of(filled(RandomMemory(seed)).recall(query, k=5)) for seed, query in ((8, "a query"), (7, "a query!"))
    ]
    assert first not in others


def test_a_larger_k_draws_more_beside_the_same():
    memory = filled(RandomMemory())
    drawn = [set(indices_of(memory.recall("x", k=k))) for k in (1, 5, 20, 40)]
    assert all(fewer < more for fewer, more in itertools.pairwise(drawn))


def test_draws_are_uniform():
    memory = filled(RandomMemory(), 10)
    drawn = Counter(index for query in range(500) for index in indices_of(memory.recall(str(query), k=2)))
    # 1000 draws of 10 messages: chi-square with 9 degrees of freedom is above 33.7 once in 10,000 seeds
    assert sum((drawn[index] - 100) ** 2 / 100 for index in range(10)) < 33.7


@pytest.mark.parametrize("name", ["full", "none", "random", "window"])
def test_sweeps_make_them_by_name(name, tmp_path):
    with wb.memories.create(name, folder=tmp_path) as memory:
        assert memory.name == name
        memory.add(Message.user("a"))
    assert (tmp_path / "events.sqlite").exists()
