"""Turns that are read when they are asked for; jobs that run in order, once."""

import threading
import time

import pytest

from workbench.conversation.jobs import EachTurn, Jobs
from workbench.conversation.log import TurnLog
from workbench.conversation.turn import Turn, turn_from_dict, turn_to_dict
from workbench.conversation.turns import Turns
from workbench.errors import StoreCorrupt
from workbench.interfaces import Message
from workbench.storage import Entry


def turn(number):
    return Turn(
        number=number, serial=number, asked=Message.user(str(number)), text="Yes.", ended="stop", at=float(number)
    )


class Shelf:
    """Turns 1 to ``count``, and how they were asked for."""

    def __init__(self):
        self.asked = []

    def older(self, first, count):
        self.asked.append((first, count))
        return [turn(number) for number in range(max(1, first - count), first)]


def test_only_what_is_asked_for_is_read():
    shelf = Shelf()
    turns = Turns(1000, shelf.older)
    assert len(turns) == 1000
    assert shelf.asked == []
    assert turns[-1].number == 1000
    assert [one.number for one in turns[-3:]] == [998, 999, 1000]
    assert len(shelf.asked) == 1
    assert turns[0].number == 1
    assert [one.number for one in turns] == list(range(1, 1001))
    assert turns[5:5] == []
    with pytest.raises(IndexError):
        turns[1000]


@pytest.mark.parametrize("seen", [0, 10, 1000])
def test_cut_short_and_gone_on_from_there(seen):
    turns = Turns(1000, Shelf().older)
    turns[1000 - seen :]
    turns.truncate(400)
    turns.append(turn(401))
    assert [one.number for one in turns] == list(range(1, 402))


def test_several_threads_may_page_at_once():
    class Slow(Shelf):
        def older(self, first, count):
            time.sleep(0.001)
            return super().older(first, count)

    def read(place):
        found.append([turns[one].number == one + 1 for one in range(place, -1, -37)])

    for _ in range(5):
        turns, found = Turns(2000, Slow().older), []
        threads = [threading.Thread(target=read, args=(place,)) for place in (1999, 1998, 1990, 1900)]
        for thread in threads:
            thread.start()
        turns.append(turn(2001))
        for thread in threads:
            thread.join()
        assert all(map(all, found))
        assert len(found) == 4
        assert [one.number for one in turns] == list(range(1, 2002))


def test_a_turn_survives_its_json():
    made = Turn(
        number=3,
        serial=5,
        asked=Message("user", "\ud800 ä", name="Ann"),
        text="🌍",
        ended="broken",
        at=1.5,
        options={"max_tokens": 3},
        route="slow: long",
    )
    assert turn_from_dict(turn_to_dict(made)) == made
    with pytest.raises(ValueError, match="ended"):
        turn_from_dict({**turn_to_dict(made), "ended": "lost"})


def test_a_log_with_something_else_in_it_says_so(tmp_path):
    log = TurnLog(tmp_path, "a")
    log.append([Entry("turn", {"number": "x"})])
    with pytest.raises(StoreCorrupt, match="no conversation"):
        log.read()
    log.close()


def test_a_turn_goes_through_the_jobs_in_order_and_each_says_how_far_it_came():
    seen, saved = [], []
    jobs = Jobs(
        [
            EachTurn("a", lambda one: seen.append(("a", one.number))),
            EachTurn("b", lambda one: seen.append(("b", one.number))),
        ],
        states={"a": {"upto": 1}},
        waiting=[turn(1), turn(2)],
        backlog=10,
        save=saved.append,
    )
    jobs.add(turn(3))
    jobs.flush()
    jobs.close()
    assert [one for one in seen if one[0] == "a"] == [("a", 2), ("a", 3)]
    assert [one for one in seen if one[0] == "b"] == [("b", 1), ("b", 2), ("b", 3)]
    assert all(seen.index(("a", number)) < seen.index(("b", number)) for number in (2, 3))
    assert {name: state["upto"] for name, state in saved[-1].items()} == {"a": 3, "b": 3}


def test_taking_back_waits_for_the_turn_at_work_and_for_no_other():
    gate, entered, seen = threading.Event(), threading.Event(), []

    def slow(one):
        entered.set()
        gate.wait(30)
        seen.append(one.number)

    jobs = Jobs([EachTurn("slow", slow)], states={}, waiting=[turn(1), turn(2), turn(3)], backlog=10, save=seen.append)
    assert entered.wait(30)
    back = threading.Thread(target=jobs.take_back, args=(lambda one: one.number == 3,))
    back.start()
    while not jobs._halted:
        time.sleep(0.001)
    gate.set()
    back.join(30)
    jobs.flush()
    jobs.close()
    assert [one for one in seen if isinstance(one, int)] == [1, 3]


def test_closing_does_what_waits_and_what_was_taken_back_is_not_done():
    gate, seen = threading.Event(), []

    def slow(one):
        gate.wait(10)
        seen.append(one.number)

    jobs = Jobs([EachTurn("slow", slow)], states={}, waiting=[], backlog=10, save=lambda _: None)
    for number in (1, 2, 3):
        jobs.add(turn(number))
    threading.Timer(0.05, gate.set).start()
    jobs.take_back(lambda one: one.number != 3)
    jobs.close()
    jobs.close()
    assert 1 in seen
    assert jobs.waiting == 0 or 3 in seen
