"""Each turn is in the memory once, whatever the log and the memory know of each other."""

import pytest

from workbench.conversation.remembering import Remember
from workbench.conversation.turn import Turn, messages_of
from workbench.interfaces import Message, Recollection
from workbench.memory.baselines import FullMemory, NoMemory
from workbench.memory.buffer import BufferMemory


def turns(start, stop):
    return [
        Turn(number=n, serial=n, asked=Message.user(f"Q{n}"), text=f"A{n}", ended="stop", at=float(n))
        for n in range(start, stop + 1)
    ]


def add(memory, some):
    memory.add_many(messages_of(some), session="s", at=[turn.at for turn in some for _ in turn.messages])


def go_on(memory, known, waiting):
    """As the background does: from the state on, batch by batch."""
    remember = Remember(memory, "s")
    state = remember.state(known)
    waiting = [turn for turn in waiting if turn.serial > state["upto"]]
    while waiting:
        batch, waiting = waiting[: remember.batch], waiting[remember.batch :]
        state = {**state, **remember(batch, state), "upto": batch[-1].serial}
    return state


def said(memory):
    return [event.data["content"] for event in memory.events("s") if event.kind == "message"]


def texts(some):
    return [message.content for message in messages_of(some)]


@pytest.mark.parametrize("has", [0, 1, 300, 512, 599, 600])
def test_a_memory_that_lost_its_end_gets_back_what_it_has_not_got(has):
    memory = FullMemory()
    add(memory, turns(1, has))
    state = go_on(memory, {"upto": 600, "index": 1200}, turns(1, 600))
    assert said(memory) == texts(turns(1, 600))
    again = go_on(memory, state, turns(1, 610))
    assert said(memory) == texts(turns(1, 610))
    assert again == {"upto": 610, "index": 1220}


@pytest.mark.parametrize("memory", [FullMemory, NoMemory, lambda: BufferMemory(size=4)])
@pytest.mark.parametrize("has", [0, 10, 1024])
def test_what_was_added_before_the_log_could_say_so_is_not_added_again(memory, has):
    made = memory()
    add(made, turns(1, 5 + has))
    go_on(made, {"upto": 5, "index": 10}, turns(1, 5 + 1030))
    assert said(made) == texts(turns(1, 5 + 1030))


def test_a_memory_the_log_knows_nothing_of_gets_what_it_has_not_got():
    memory = FullMemory()
    memory.add(Message.user("From elsewhere."), session="s", at=0.5)
    add(memory, turns(1, 2))
    go_on(memory, None, turns(1, 4))
    assert said(memory) == ["From elsewhere.", *texts(turns(1, 4))]


class Window:
    """A memory of the Protocol and no more, which lets all but the last six messages go."""

    def __init__(self):
        self.added = []

    def add_many(self, messages, *, session, at):
        self.added += zip(at, messages, strict=True)

    def count(self, session):
        return min(6, len(self.added))

    def recall(self, query, *, session, k, since, until):
        there = [(at, message) for at, message in self.added[-6:] if since <= at < until]
        return [Recollection(message=message, index=None, score=1.0, reason="recent", at=at) for at, message in there][
            :k
        ]


def test_of_a_memory_without_events_what_it_recalls_is_asked():
    memory = Window()
    add(memory, turns(1, 15))
    go_on(memory, {"upto": 5, "index": 6}, turns(1, 20))
    assert [message.content for _, message in memory.added] == texts(turns(1, 20))
