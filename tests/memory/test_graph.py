"""The graph memory keeps the contract of a memory, and knows who stands how to whom."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import workbench as wb
from workbench.errors import InvalidSettings, StoreInUse
from workbench.interfaces import Message
from workbench.memory.graph import GraphMemory, Relation, RelationshipGraph, extract_relations
from workbench.memory.relationships import EngineEnricher
from workbench.testing import MemoryContract, ScriptedEngine

NAMES = ("Mira", "Jon", "Tom", "Eve")
_SAYS = re.compile(r"(\w+) (trust|distrust|fear|hate|love)s (\w+)")


def plain(text, names):
    """ "X trusts Y", word for word: what is tested here is not how relations are read."""
    return [
        Relation(source, target, kind, 0.5, 0.5, f"{source} {kind}s {target}")
        for source, kind, target in _SAYS.findall(text)
        if source in names and target in names
    ]


def memory_of(*texts, folder=None, **options):
    memory = GraphMemory(folder, entities=NAMES, extractor=plain, **options)
    memory.add_many([Message.user(text) for text in texts], at=[float(at) for at in range(len(texts))])
    return memory


def triples(graph, at=None):
    return [(edge.source, edge.type, edge.target) for edge in graph.edges(at=at)]


def note(found):
    return "".join(one.message.content for one in found if one.index is None)


class TestGraphContract(MemoryContract):
    def make(self):
        return GraphMemory()


class TestGraphOnDiskContract(MemoryContract):
    @pytest.fixture(autouse=True)
    def folders(self, tmp_path_factory):
        self.folders_at = tmp_path_factory

    def make(self):
        return GraphMemory(self.folders_at.mktemp("graph") / "memory", base="full")

    def reopen(self, memory):
        folder = memory.journal.folder
        memory.close()
        return GraphMemory(folder, base="full")


class TestGraphOnABufferContract(MemoryContract):
    capacity = 3

    def make(self):
        return GraphMemory(base=("buffer", {"size": 3}))


def test_it_is_found_by_name():
    with wb.memories.create("graph", entities=["Ann"]) as memory:
        assert isinstance(memory, GraphMemory)


def test_what_is_said_is_in_the_graph_at_once():
    with memory_of("Mira trusts Jon.") as memory:
        assert triples(memory.graph()) == [("Mira", "trust", "Jon")]
        memory.add(Message.user("Mira distrusts Jon."))
        assert triples(memory.graph()) == [("Mira", "distrust", "Jon")]
        assert [edge.type for edge in memory.graph().history("Mira", "Jon")] == ["trust", "distrust"]


def test_the_rules_read_english():
    with GraphMemory(entities=["Mira", "Jon"]) as memory:
        memory.add(Message.user("Mira trusts Jon."))
        assert (
            triples(memory.graph())
            == [(one.source, one.type, one.target) for one in extract_relations("Mira trusts Jon.", ["Mira", "Jon"])]
            == [("Mira", "trust", "Jon")]
        )


def test_a_recall_begins_with_how_they_stand():
    with memory_of("Mira trusts Jon.", "Tom fears Eve.", "It rains.") as memory:
        found = memory.recall("Can Mira rely on Jon?", include_relationships=True)
        assert found[0].index is None
        assert found[0].message.role == "system"
        assert found[0].message.content == "Relationships: Mira trusts Jon (since 1970-01-01)."
        assert found[0].reason == "relationships of Mira, Jon"
        assert note(memory.recall("Can Mira rely on Jon?")) == ""


@pytest.mark.parametrize("query", ["What about the weather?", "Who is Bob?", ""])
def test_there_is_no_note_when_nobody_known_is_named(query):
    with memory_of("Mira trusts Jon.") as memory:
        assert note(memory.recall(query, include_relationships=True)) == ""


def test_the_note_keeps_its_length():
    texts = [f"Mira trusts {name}." for name in NAMES[1:]] + [f"{name} fears Mira." for name in NAMES[1:]]
    with memory_of(*texts, note_characters=100) as memory:
        told = note(memory.recall("Mira", include_relationships=True))
        assert 50 < len(told) <= 100


def test_a_note_is_as_of_the_time_asked_for():
    with memory_of("Mira trusts Jon.", "It rains.", "Mira distrusts Jon.") as memory:
        told = [
            note(memory.recall("Mira and Jon", until=until, include_relationships=True)) for until in (0.0, 2.0, 3.0)
        ]
        assert ["trusts" in text for text in told] == [False, True, True]
        assert ["distrusts" in text for text in told] == [False, False, True]


def test_messages_that_are_evidence_are_recalled():
    texts = ["Mira trusts Jon.", *["It rains."] * 30]
    with memory_of(*texts, base="full") as memory:
        memory.flush()
        found = memory.recall("Does Mira trust Jon?", k=4)
        assert [one.index for one in found] == [0, 28, 29, 30]
        assert found[0].reason == "evidence: Mira trusts Jon"
        assert [one.index for one in memory.recall("Where is Mira?", k=4)] == [27, 28, 29, 30]
    with memory_of(*texts, base="full", evidence=0.0) as memory:
        memory.flush()
        assert [one.index for one in memory.recall("Does Mira trust Jon?", k=4)] == [27, 28, 29, 30]


def test_evidence_keeps_to_the_time_asked_for():
    with memory_of("Mira trusts Jon.", *["It rains."] * 30, base="full") as memory:
        memory.flush()
        assert min(one.index for one in memory.recall("Does Mira trust Jon?", k=4, since=5.0)) == 27


def test_what_is_recalled_anyway_says_that_it_is_evidence():
    with memory_of("Mira trusts Jon.", base="full") as memory:
        [found] = memory.recall("Does Mira trust Jon?")
        assert found.reason == "everything; evidence: Mira trusts Jon"


def test_sessions_never_share_a_graph():
    with memory_of("Mira trusts Jon.") as memory:
        memory.add(Message.user("Jon hates Tom."), session="other")
        assert triples(memory.graph()) == [("Mira", "trust", "Jon")]
        assert triples(memory.graph("other")) == [("Jon", "hate", "Tom")]
        assert note(memory.recall("Mira", session="other", include_relationships=True)) == ""
        assert triples(memory.graph("nobody")) == []


def test_what_one_session_teaches_no_other_knows():
    with GraphMemory(extractor=plain) as memory:
        memory.add_many([Message.user(text) for text in ("I met Ann and Bob.", "Ann and Bob!", "Ann trusts Bob.")])
        memory.add(Message.user("Ann trusts Bob."), session="other")
        assert triples(memory.graph()) == [("Ann", "trust", "Bob")]
        assert triples(memory.graph("other")) == []


def test_a_forgotten_session_is_forgotten_altogether():
    with memory_of("Mira trusts Jon.") as memory:
        memory.flush()
        memory.forget("default")
        assert triples(memory.graph()) == []
        memory.add(Message.user("Tom fears Eve."))
        assert triples(memory.graph()) == [("Tom", "fear", "Eve")]


def test_a_replay_knows_what_had_been_said_by_then():
    texts = ["Mira trusts Jon.", "It rains.", "Mira distrusts Jon."]
    with memory_of(*texts) as memory:
        memory.flush()  # every statement now stands in the log after the last message
        for turn, kind in ((1, "trusts"), (2, "trusts"), (3, "distrusts")):
            found = memory.recall_at("Mira and Jon", turn=turn, include_relationships=True)
            assert f"Mira {kind} Jon" in note(found)
            assert len([one for one in found if one.index is not None]) == turn
        assert memory.recall_at("Mira and Jon", turn=0, include_relationships=True) == []


def test_a_replay_does_not_know_a_name_learnt_later():
    with GraphMemory(extractor=plain) as memory:
        memory.add_many([Message.user(text) for text in ("Ann trusts Bob.", "Poor Ann!", "I met Ann and Bob.")])
        memory.flush()
        told = [note(memory.recall_at("Ann", turn=turn, include_relationships=True)) for turn in (1, 2, 3)]
        assert ["trusts" in text for text in told] == [False, False, True]


def test_reopening_reads_nothing_again(tmp_path):
    with memory_of("Mira trusts Jon.", "It rains.", folder=tmp_path):
        pass

    def never(text, names):
        pytest.fail(f"{text!r} was read before")

    with GraphMemory(tmp_path, entities=NAMES, extractor=never) as memory:
        assert triples(memory.graph()) == [("Mira", "trust", "Jon")]
        assert [edge.index for edge in memory.graph().edges()] == [0]
        assert "trusts" in note(memory.recall("Mira", include_relationships=True))


def test_a_second_owner_is_refused(tmp_path):
    with GraphMemory(tmp_path), pytest.raises(StoreInUse):
        GraphMemory(tmp_path)


def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path):
    child = textwrap.dedent("""
        import sys
        from workbench.interfaces import Message
        from workbench.memory.graph import GraphMemory, Relation
        names = [f"N{number}" for number in range(100)]
        def plain(text, known):
            source, _, target = text.split()
            return [Relation(source, target, "trust", 0.5, 0.5, text)]
        memory = GraphMemory(sys.argv[1], entities=names, extractor=plain, base="full")
        first = memory.count()
        for number in range(first, first + 10_000):
            text = f"{names[number % 100]} trusts {names[(number + 1 + number // 100) % 100]}"
            print(memory.add(Message.user(text)), flush=True)
    """)
    acknowledged = -1
    for moment in (5, 40, 90):
        process = subprocess.Popen(
            [sys.executable, "-c", child, str(tmp_path)], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        for _ in range(moment):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        acknowledged = int(rest[-1]) if rest else acknowledged
    names = [f"N{number}" for number in range(100)]

    def again(text, known):
        source, _, target = text.split()
        return [Relation(source, target, "trust", 0.5, 0.5, text)]

    with GraphMemory(tmp_path, entities=names, extractor=again, base="full") as memory:
        said = memory.count()
        assert said >= acknowledged + 1
        stated = [statement.index for statement in memory.graph().statements()]
        assert sorted(stated) == [
            number for number in range(said) if number % 100 != (number + 1 + number // 100) % 100
        ]


def answer(*relations):
    return json.dumps({"relations": [dict(zip(("source", "type", "target"), one, strict=True)) for one in relations]})


UNCLEAR = "Mira has had her doubts about Jon since the fire."


def test_an_engine_reads_what_the_rules_could_not():
    engine = ScriptedEngine(answer(("Mira", "distrust", "Jon")))
    with memory_of(UNCLEAR, "Mira trusts Tom.", "Mira and Eve ate.", enricher=EngineEnricher(engine)) as memory:
        memory.flush()
        assert len(engine.requests) == 1
        [edge] = memory.graph().neighbours("Jon")
        assert (edge.type, edge.index, edge.statement.origin) == ("distrust", 0, "engine")
        assert "distrusts" in note(memory.recall("Mira and Jon", include_relationships=True))


def test_what_an_engine_said_is_not_asked_again(tmp_path):
    engine = ScriptedEngine([answer(("Mira", "distrust", "Jon"))])
    with memory_of(UNCLEAR, folder=tmp_path, enricher=EngineEnricher(engine)) as memory:
        memory.flush()
    with GraphMemory(tmp_path, entities=NAMES, extractor=plain, enricher=EngineEnricher(engine)) as memory:
        assert triples(memory.graph()) == [("Mira", "distrust", "Jon")]
        memory.flush()
    assert len(engine.requests) == 1


def test_what_an_engine_could_not_do_is_tried_after_a_restart(tmp_path, caplog):
    engine = ScriptedEngine([TimeoutError("no answer"), "nonsense", answer(("Mira", "distrust", "Jon"))])
    for expected in ([], [], [("Mira", "distrust", "Jon")]):
        with GraphMemory(tmp_path, entities=NAMES, extractor=plain, enricher=EngineEnricher(engine)) as memory:
            if not memory.count():
                memory.add(Message.user(UNCLEAR))
            memory.graph()
            memory.flush()
            assert triples(memory.graph()) == expected
            assert memory.count() == 1
    assert caplog.text.count("enrichment failed") == 2


def test_an_engine_comes_later_to_what_was_unclear_before(tmp_path):
    with memory_of(UNCLEAR, folder=tmp_path):
        pass
    engine = ScriptedEngine(answer(("Mira", "fear", "Jon")))
    with GraphMemory(tmp_path, entities=NAMES, extractor=plain, enricher=EngineEnricher(engine)) as memory:
        memory.graph()
        memory.flush()
        assert triples(memory.graph()) == [("Mira", "fear", "Jon")]


def test_a_slow_engine_holds_up_neither_recall_nor_reading_nor_closing():
    asked, go = threading.Event(), threading.Event()

    class Slow:
        def relations(self, text, names):
            asked.set()
            go.wait(30)
            return []

    with memory_of(UNCLEAR, UNCLEAR, enricher=Slow()) as memory:
        assert asked.wait(30)
        memory.add(Message.user("Mira trusts Tom."))
        assert triples(memory.graph()) == [("Mira", "trust", "Tom")]
        assert len(memory.recall("Mira", include_relationships=True)) == 4
        threading.Timer(0.1, go.set).start()  # closing waits for this one message, not for the other


def test_an_answer_about_a_forgotten_session_is_dropped():
    asked, go = threading.Event(), threading.Event()

    class Slow:
        def relations(self, text, names):
            asked.set()
            go.wait(30)
            return [Relation("Mira", "Jon", "hate", -0.9, 0.5, text)]

    with memory_of(UNCLEAR, enricher=Slow()) as memory:
        assert asked.wait(30)
        memory.forget("default")
        memory.add(Message.user("Mira and Jon begin anew."))
        go.set()
        memory.flush()
        assert triples(memory.graph()) == []


def test_it_can_be_part_of_another_memory(tmp_path):
    parts = ["buffer", ("graph", {"entities": NAMES, "extractor": plain, "base": "full"})]
    with wb.memories.create("composed", parts=parts, folder=tmp_path) as memory:
        memory.add(Message.user("Mira trusts Jon."))
        memory.flush()
        memory.add(Message.user("Mira distrusts Jon."))
        assert "Mira distrusts Jon" in note(memory.recall("Mira", include_relationships=True))
        assert "Mira trusts Jon" in note(memory.recall_at("Mira", turn=1, include_relationships=True))


@pytest.mark.parametrize("wrong", [{"evidence": 1.5}, {"note_characters": 3}, {"entities": "Mira"}, {"entities": [""]}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InvalidSettings):
        GraphMemory(**wrong)


def test_the_graph_is_the_one_documented():
    with memory_of("Mira trusts Jon.") as memory:
        assert isinstance(memory.graph(), RelationshipGraph)
        assert memory.graph() is memory.graph()
