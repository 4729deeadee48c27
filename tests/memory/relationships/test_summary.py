"""A summary for a prompt: readable, the most relevant first, never over its budget."""

import pytest

from workbench.errors import InvalidSettings
from workbench.memory.relationships import RelationshipGraph

DAY = 86_400.0


@pytest.fixture
def graph():
    graph = RelationshipGraph()
    graph.state("Mira", "Jon", "trust", at=0.0, strength=0.5)
    graph.state("Jon", "Mira", "debt", at=DAY, strength=0.4)
    graph.state("Mira", "Tom", "fear", at=2 * DAY, strength=0.9)
    graph.state("Tom", "Eve", "love", at=3 * DAY, strength=1.0)
    return graph


def test_those_named_together_come_first(graph):
    assert graph.summary("Mira", "Jon") == (
        "Mira trusts Jon (since 1970-01-01); Jon owes Mira (since 1970-01-02); Mira fears Tom (since 1970-01-03)."
    )


def test_a_hint_comes_before_strength(graph):
    assert graph.summary("Mira", hints=["debt"]).startswith("Jon owes Mira")
    assert graph.summary("Mira").startswith("Mira fears Tom")


def test_nobody_named_is_everybody(graph):
    assert graph.summary().startswith("Tom loves Eve")


def test_two_that_answer_each_other_are_one_clause():
    graph = RelationshipGraph()
    graph.state("Ann", "Bob", "friendship", at=0.0)
    graph.state("Bob", "Ann", "friendship", at=0.0)
    assert graph.summary("Bob") == "Ann and Bob are friends (since 1970-01-01)."


def test_what_it_was_before(graph):
    graph.state("Mira", "Jon", "distrust", at=5 * DAY)
    graph.state("Mira", "Jon", "distrust", at=7 * DAY)
    assert "Mira distrusts Jon (since 1970-01-06, before that: trust)" in graph.summary("Mira")


def test_as_of_a_moment(graph):
    graph.state("Mira", "Jon", "distrust", at=5 * DAY)
    assert graph.summary("Mira", at=0.0) == "Mira trusts Jon (since 1970-01-01)."


@pytest.mark.parametrize("budget", [1, 30, 40, 75, 120, 800])
def test_the_budget_holds(graph, budget):
    text = graph.summary("Mira", budget=budget)
    assert len(text) <= budget
    assert text == "" or text.endswith(".")


def test_a_shorter_clause_takes_the_room_a_longer_one_cannot(graph):
    graph.state("Mira", "The Honourable Bartholomew of the Western Isles", "fear", strength=1.0)
    assert graph.summary("Mira", budget=40) == "Mira fears Tom (since 1970-01-03)."


def test_the_budget_is_counted_as_asked(graph):
    text = graph.summary("Mira", budget=10, count=lambda text: len(text.split()))
    assert 5 <= len(text.split()) <= 10


def test_a_budget_below_one_is_refused(graph):
    with pytest.raises(InvalidSettings, match="budget"):
        graph.summary("Mira", budget=0)


def test_a_moment_no_calendar_knows():
    graph = RelationshipGraph()
    graph.state("Ann", "Bob", "trust", at=1e300)
    assert graph.summary("Ann") == "Ann trusts Bob (since 1e+300 s)."
