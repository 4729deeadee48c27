"""The buffer keeps the contract of a memory, and the last messages only."""

import pytest

from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.memory import BufferMemory
from workbench.testing import MemoryContract


class TestBufferContract(MemoryContract):
    capacity = 20

    def make(self):
        return BufferMemory()


class TestTinyBufferContract(MemoryContract):
    """A buffer so small that nearly everything falls out of it."""

    capacity = 3

    def make(self):
        return BufferMemory(3)


def messages(count):
    return [Message.user(str(number)) for number in range(count)]


def test_older_messages_go_and_indices_stay():
    memory = BufferMemory(2)
    memory.add_many(messages(5))
    assert [(found.index, found.message.content) for found in memory.recall("x")] == [(3, "3"), (4, "4")]
    assert memory.count() == 2
    assert memory.add(Message.user("5")) == 5


def test_k_takes_the_newest():
    memory = BufferMemory()
    memory.add_many(messages(10))
    assert [found.message.content for found in memory.recall("x", k=3)] == ["7", "8", "9"]


def test_a_later_message_scores_higher():
    memory = BufferMemory()
    memory.add_many(messages(4))
    scores = [found.score for found in memory.recall("x")]
    assert scores == sorted(scores)
    assert len(set(scores)) == 4


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused(size):
    with pytest.raises(InvalidSettings, match="at least 1"):
        BufferMemory(size)


def test_adding_nothing_makes_no_session():
    memory = BufferMemory()
    memory.add_many([], session="ghost")
    assert memory.sessions() == ()
