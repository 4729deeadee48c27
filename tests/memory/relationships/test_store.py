"""The graph beside a plain list of statements; queries about one entity; export."""

import itertools
import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from workbench.errors import InvalidSettings, UnknownName
from workbench.memory.relationships import EXCLUDES, TYPES, RelationshipGraph, Statement
from workbench.testing.contracts.threads import at_once

NAMES = st.sampled_from(["Ann", "Bob", "Cid"])
MOMENTS = st.integers(0, 6).map(float)


class GraphMachine(RuleBasedStateMachine):
    """Whatever is stated in whatever order: what the list says is what the graph says."""

    def __init__(self):
        super().__init__()
        self.graph, self.said = RelationshipGraph(), []

    @rule(
        ends=st.tuples(NAMES, NAMES).filter(lambda ends: ends[0] != ends[1]),
        kind=st.sampled_from(["trust", "distrust", "love", "hate", "friendship", "debt"]),
        at=MOMENTS,
        strength=st.sampled_from([0.0, 0.5, 1.0]),
        index=st.none() | st.integers(0, 4),
    )
    def state(self, ends, kind, at, strength, index):
        statement = Statement.of(*ends, kind, at=at, strength=strength, index=index)
        known = index is not None and any(key(one) == key(statement) for one in self.said)
        assert self.graph.add(statement) == (not known)
        if not known:
            self.said.append(statement)

    @rule()
    def through_json(self):
        again = RelationshipGraph.from_json(json.loads(json.dumps(self.graph.to_json())))
        assert again.history() == self.graph.history()
        assert sorted(again.entities) == sorted(self.graph.entities)

    @rule(at=st.none() | MOMENTS)
    def as_of(self, at):
        expected = [span for span in self.spans() if holds(span, at)]
        assert sorted(map(span_of, self.graph.edges(at=at)), key=repr) == sorted(expected, key=repr)

    @rule(name=NAMES, at=st.none() | MOMENTS)
    def neighbours(self, name, at):
        for direction, end in (("out", 0), ("in", 1)):
            expected = [span for span in self.spans() if holds(span, at) and span[end] == name]
            found = self.graph.neighbours(name, at=at, direction=direction)
            assert sorted(map(span_of, found), key=repr) == sorted(expected, key=repr)

    @invariant()
    def the_history_is_complete(self):
        assert sorted(map(repr, self.graph.statements())) == sorted(map(repr, self.said))
        assert sorted(map(span_of, self.graph.history()), key=repr) == sorted(self.spans(), key=repr)

    @invariant()
    def validity_never_overlaps(self):
        by_key = {}
        for source, target, kind, start, end in map(span_of, self.graph.history()):
            by_key.setdefault((source, target, kind), []).append((start, end))
        for spans in by_key.values():
            ordered = sorted(spans, key=lambda span: (span[0], float("inf") if span[1] is None else span[1]))
            for (_, end), (start, _) in itertools.pairwise(ordered):
                assert end is not None
                assert end <= start

    def spans(self):
        """(source, target, type, from, until) of each edge, straight from the definition: O(n²)."""
        ordered = sorted(self.said, key=lambda one: (one.at, -1 if one.index is None else one.index))
        spans = []
        for place, one in enumerate(ordered):
            closers = {one.type, *EXCLUDES[one.type]}
            later = [
                other.at
                for other in ordered[place + 1 :]
                if (other.source, other.target) == (one.source, one.target) and other.type in closers
            ]
            if one.strength:
                spans.append((one.source, one.target, one.type, one.at, later[0] if later else None))
        return spans


def key(statement):
    return (statement.index, statement.source, statement.target, statement.type)


def span_of(edge):
    return (edge.source, edge.target, edge.type, edge.valid_from, edge.valid_until)


def holds(span, at):
    return span[4] is None if at is None else span[3] <= at and (span[4] is None or at < span[4])


TestGraphAgainstAList = GraphMachine.TestCase
TestGraphAgainstAList.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.fixture
def graph():
    graph = RelationshipGraph()
    graph.state("Mira", "Jon", "trust", at=1.0, strength=0.5)
    graph.state("Jon", "Mira", "debt", at=2.0, strength=0.9)
    graph.state("Mira", "Tom", "fear", at=3.0, strength=0.7)
    return graph


def test_neighbours_are_the_strongest_first(graph):
    assert [edge.other("Mira") for edge in graph.neighbours("Mira")] == ["Jon", "Tom", "Jon"]


def test_neighbours_by_type_and_direction(graph):
    assert [edge.type for edge in graph.neighbours("Mira", ["trust", "debt"])] == ["debt", "trust"]
    assert [edge.type for edge in graph.neighbours("Mira", direction="in")] == ["debt"]
    assert [edge.target for edge in graph.neighbours("Mira", {"fear"}, direction="out")] == ["Tom"]


def test_an_unknown_entity_has_nothing(graph):
    assert graph.neighbours("Nobody") == []
    assert graph.summary("Nobody") == ""
    assert "Nobody" not in graph
    assert "Mira" in graph


def test_what_cannot_be_asked_is_refused(graph):
    with pytest.raises(UnknownName, match="relation type 'trusty'"):
        graph.neighbours("Mira", ["trusty"])
    with pytest.raises(InvalidSettings, match="direction"):
        graph.neighbours("Mira", direction="sideways")


def test_history_by_end_and_type(graph):
    graph.state("Mira", "Jon", "distrust", at=9.0)
    assert [edge.type for edge in graph.history("Mira", "Jon")] == ["trust", "distrust"]
    assert [edge.valid_until for edge in graph.history(type="trust")] == [9.0]
    assert [edge.source for edge in graph.history(target="Mira")] == ["Jon"]


def test_entities_whose_relations_ended_stay(graph):
    graph.state("Mira", "Tom", "fear", at=4.0, strength=0.0)
    assert "Tom" in graph.entities
    assert graph.neighbours("Tom") == []


def test_networkx_has_what_holds(graph):
    exported = graph.to_networkx()
    assert sorted(exported.edges(keys=True)) == [
        ("Jon", "Mira", "debt"),
        ("Mira", "Jon", "trust"),
        ("Mira", "Tom", "fear"),
    ]
    assert exported["Mira"]["Jon"]["trust"]["strength"] == 0.5
    assert graph.to_networkx(at=1.5).number_of_edges() == 1


def test_networkx_has_the_history(graph):
    graph.state("Mira", "Jon", "trust", at=5.0)
    assert graph.to_networkx(history=True).number_of_edges("Mira", "Jon") == 2
    assert graph.to_networkx().number_of_edges("Mira", "Jon") == 1


def test_communities_are_bound_by_what_is_positive():
    graph = RelationshipGraph()
    for one, other in (("a", "b"), ("b", "c"), ("a", "c"), ("x", "y")):
        graph.state(one, other, "friendship")
    graph.state("c", "x", "hate")
    assert graph.communities() == [{"a", "b", "c"}, {"x", "y"}]
    assert RelationshipGraph().communities() == []


@pytest.mark.parametrize(
    "values",
    [None, {}, {"format": "workbench relationships", "version": 99, "statements": []}, {"format": "x", "version": 1}],
)
def test_other_json_is_refused(values):
    with pytest.raises(InvalidSettings, match="to_json"):
        RelationshipGraph.from_json(values)


def test_damaged_json_is_refused(graph):
    values = graph.to_json()
    values["statements"][0]["type"] = "envy"
    with pytest.raises(UnknownName):
        RelationshipGraph.from_json(values)
    with pytest.raises(InvalidSettings, match="list"):
        RelationshipGraph.from_json({**values, "statements": {"a": 1}})


def test_repr_shows_a_little(graph):
    assert repr(RelationshipGraph()) == "RelationshipGraph(0 entities, 0 edges)"
    assert repr(graph).splitlines()[:2] == ["RelationshipGraph(3 entities, 3 edges):", "  Mira trusts Jon"]
    for number in range(40):
        graph.state("Mira", f"friend {number}", "friendship")
    assert repr(graph).splitlines()[-1] == "  and 31 more"


def test_every_type_has_words():
    graph = RelationshipGraph(Statement.of("A", "B", kind, at=float(number)) for number, kind in enumerate(TYPES))
    for number, kind in enumerate(TYPES):
        assert graph.summary("A", at=float(number), hints=[kind]).startswith("A ")


def test_any_thread_may_state_and_ask():
    graph = RelationshipGraph()

    def work(number):
        for other in range(60):
            graph.state("hub", f"{number}-{other}", "trust")
            graph.slice("hub")
            graph.edges()

    at_once(4, work)
    assert len(graph.edges()) == 240
