"""A newer statement closes what it replaces, and nothing is deleted."""

import pytest

from workbench.memory.relationships import EXCLUDES, TYPES, Statement
from workbench.memory.relationships.validity import Ties


def ties_of(*stated):
    """Ties from (type, at) or (type, at, strength)."""
    ties = Ties("Ann", "Bob")
    for index, (kind, at, *strength) in enumerate(stated):
        ties.add(Statement.of("Ann", "Bob", kind, at=at, index=index, strength=strength[0] if strength else 0.5))
    return ties


def spans(ties):
    return [(edge.type, edge.valid_from, edge.valid_until) for edge in ties.edges]


def test_exclusion_is_mutual():
    assert all(kind in EXCLUDES[other] for kind in TYPES for other in EXCLUDES[kind])
    assert all(kind not in EXCLUDES[kind] for kind in TYPES)


def test_a_newer_statement_of_the_type_closes_the_older():
    assert spans(ties_of(("trust", 1.0), ("trust", 2.0))) == [("trust", 1.0, 2.0), ("trust", 2.0, None)]


@pytest.mark.parametrize(
    ("one", "other"), [("trust", "distrust"), ("love", "hate"), ("friendship", "hate"), ("alliance", "rivalry")]
)
def test_opposites_close_each_other(one, other):
    assert spans(ties_of((one, 1.0), (other, 2.0))) == [(one, 1.0, 2.0), (other, 2.0, None)]
    assert spans(ties_of((other, 1.0), (one, 2.0))) == [(other, 1.0, 2.0), (one, 2.0, None)]


@pytest.mark.parametrize(("one", "other"), [("friendship", "rivalry"), ("alliance", "distrust"), ("family", "hate")])
def test_what_can_hold_together_does(one, other):
    assert {edge.type for edge in ties_of((one, 1.0), (other, 2.0)).current()} == {one, other}


def test_hate_ends_love_and_friendship_at_once():
    ties = ties_of(("love", 1.0), ("friendship", 2.0), ("hate", 3.0))
    assert [edge.type for edge in ties.current()] == ["hate"]


def test_restatement_strengthens_and_remembers_the_beginning():
    ties = ties_of(("trust", 1.0), ("trust", 2.0), ("trust", 3.0))
    strengths = [edge.strength for edge in ties.edges]
    assert strengths == [0.5, 0.75, 0.875]
    assert [(edge.since, edge.times) for edge in ties.edges] == [(1.0, 1), (1.0, 2), (1.0, 3)]


def test_after_the_opposite_it_begins_anew():
    last = ties_of(("trust", 1.0), ("distrust", 2.0), ("trust", 3.0)).edges[-1]
    assert (last.strength, last.since, last.times) == (0.5, 3.0, 1)


def test_no_strength_ends_and_opens_nothing():
    ties = ties_of(("fear", 1.0), ("fear", 2.0, 0.0))
    assert spans(ties) == [("fear", 1.0, 2.0)]
    assert not list(ties.current())
    assert len(ties.statements) == 2


def test_a_message_says_a_thing_once():
    ties = Ties("Ann", "Bob")
    statement = Statement.of("Ann", "Bob", "trust", at=1.0, index=7, strength=0.5)
    assert ties.add(statement)
    assert not ties.add(Statement.of("Ann", "Bob", "trust", at=1.0, index=7, strength=0.9, origin="engine"))
    assert [edge.strength for edge in ties.edges] == [0.5]


def test_a_late_statement_takes_its_place_in_time():
    late = ties_of(("trust", 1.0), ("distrust", 3.0), ("trust", 2.0))
    assert spans(late) == spans(ties_of(("trust", 1.0), ("trust", 2.0), ("distrust", 3.0)))
    assert [edge.times for edge in late.edges] == [1, 2, 1]


def test_at_one_moment_the_later_message_counts():
    ties = ties_of(("trust", 1.0), ("distrust", 1.0))
    assert [edge.type for edge in ties.at(1.0)] == ["distrust"]
    assert spans(ties)[0] == ("trust", 1.0, 1.0)


def test_as_of_a_moment():
    ties = ties_of(("trust", 1.0), ("distrust", 2.0))
    assert [[edge.type for edge in ties.at(moment)] for moment in (0.9, 1.0, 1.9, 2.0, 99.0)] == [
        [],
        ["trust"],
        ["trust"],
        ["distrust"],
        ["distrust"],
    ]
