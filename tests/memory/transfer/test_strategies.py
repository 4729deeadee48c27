"""Any strategy goes on with a session where another was."""

import inspect
from importlib.metadata import entry_points

import pytest

from workbench.evaluation.memory_bench import questions, talk
from workbench.interfaces import Message
from workbench.memory.transfer import export_session, import_session
from workbench.registry import memories
from workbench.testing import ScriptedEngine

OWN = {"archive": {"short_term": 5, "batch": 10}, "random": {"seed": 3}}
STRATEGIES = sorted(point.name for point in entry_points(group="workbench.memories"))  # not what other tests register


def make(name):
    factory = memories.get(name)
    known = inspect.signature(factory).parameters
    options = dict(OWN.get(name, {}))
    if "embedder" in known:
        options["embedder"] = "hashing"
    if "engine" in known:
        options["engine"] = ScriptedEngine(["A summary."] * 50)
    return factory(**options)


def happened(memory):
    # what an archive notes of its own store stays with it
    return [(event.kind, event.at, event.data) for event in memory.events("s") if event.kind != "archive"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A session in which a memory with a graph, and one that learns, were at work."""
    folder, said = tmp_path_factory.mktemp("from"), talk(40)
    before = None
    for name in ("buffer", "graph", "adaptive"):
        with make(name) as memory:
            if before is not None:
                import_session(memory, before)
            first = memory.journal.count("s")
            memory.add_many(said.messages[first : first + 12], session="s", at=said.times[first : first + 12])
            memory.add(Message("user", "Alice trusts Bob.", name="Carol"), session="s", at=said.times[first + 12])
            for query in questions(3, seed=name):
                found = memory.recall(query, session="s", k=5, include_relationships=True)
                memory.feedback(next(one.index for one in found if one.index is not None), 1.0, session="s")
            memory.flush()
            before = folder / f"{name}.json"
            export_session(memory, "s", before)
    return before


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_takes_over_what_another_left_and_hands_it_on(tmp_path, path, name):
    with make(name) as here, make(name) as there:
        import_session(here, path)
        assert here.journal.count("s") == 39
        here.add(Message.user("The bicycle is red."), session="s", at=2e9)
        here.recall("Which colour is the bicycle?", session="s", k=5)
        here.feedback(39, 1.0, session="s")
        here.flush()
        export_session(here, "s", tmp_path / "s.json")
        import_session(there, tmp_path / "s.json")
        assert happened(there)[: len(happened(here))] == happened(here)
        there.flush()
        query = {"session": "s", "k": 8, "include_relationships": True}
        ours, theirs = (memory.recall("Who trusts Bob?", **query) for memory in (here, there))
        assert [(one.index, one.message) for one in ours] == [(one.index, one.message) for one in theirs]
        assert there.add(Message.user("on"), session="s") == 40


@pytest.mark.parametrize("name", STRATEGIES)
def test_replacing_leaves_nothing_of_the_old_session_in_its_recall(path, name):
    with make(name) as memory:
        said = talk(39, seed="other")
        memory.add_many(said.messages, session="s", at=said.times)
        memory.recall("anything", session="s")
        memory.flush()
        import_session(memory, path, on_conflict="replace")
        memory.flush()
        there = {event.data["content"] for event in memory.events("s") if event.kind == "message"}
        for query in (said.messages[0].content, said.messages[30].content):
            found = [one for one in memory.recall(query, session="s", k=50) if one.index is not None]
            assert {one.message.content for one in found} <= there
            assert not {message.content for message in said.messages} & {one.message.content for one in found}
