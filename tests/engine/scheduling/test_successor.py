"""The next context: made once, taken once, given back if nobody wants it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from workbench.engine.scheduling.room import Room
from workbench.engine.scheduling.successor import Successor
from workbench.errors import OutOfMemory


class Made:
    def __init__(self, room: Room) -> None:
        self.room, self.freed = room, 0

    def free(self) -> None:
        self.freed += 1


@pytest.fixture
def made() -> list[Any]:
    return []


@pytest.fixture
def successor(made: list[Any]) -> Successor:
    def make(room: Room) -> Any:
        made.append(Made(room))
        return made[-1]

    return Successor(make)


SMALL, LARGE = Room(4096, unified=True), Room(8192, unified=True)


def test_what_was_prepared_is_taken_once(successor: Successor, made: list[Any]) -> None:
    successor.prepare(SMALL, 9000)
    successor.prepare(SMALL, 9000)
    prepared = successor.take(SMALL)
    assert prepared is not None
    assert prepared.context is made[0]
    assert prepared.buffer.nbytes == 9000
    assert successor.take(SMALL) is None
    assert len(made) == 1
    successor.discard()
    assert made[0].freed == 0, "What was taken is its taker's."


def test_what_does_not_fit_is_given_back(successor: Successor, made: list[Any]) -> None:
    successor.prepare(SMALL, 9000)
    successor.prepare(LARGE, 9000)
    assert made[0].freed == 1
    assert successor.take(SMALL) is None
    assert [one.freed for one in made] == [1, 1]


def test_discard_waits_for_what_is_in_the_making(made: list[Any]) -> None:
    may = threading.Event()

    def make(room: Room) -> Any:
        assert may.wait(10)
        made.append(Made(room))
        return made[-1]

    successor = Successor(make)
    successor.prepare(SMALL, 9000)
    threading.Timer(0.05, may.set).start()
    successor.discard()
    successor.discard()
    assert [one.freed for one in made] == [1]


def test_a_retired_context_is_gone_when_all_is_given_back(successor: Successor) -> None:
    old: Any = Made(SMALL)
    successor.retire(old)
    successor.discard()
    assert old.freed == 1


def test_without_memory_there_is_none() -> None:
    def make(room: Room) -> Any:
        raise OutOfMemory("A context", 2, 1, "Close something.")

    successor = Successor(make)
    successor.prepare(SMALL, 9000)
    assert successor.take(SMALL) is None
