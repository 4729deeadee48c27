"""Which relations a question is about."""

import pytest

from workbench.memory.relationships import TYPES
from workbench.memory.relationships.attitudes import asked_about, speaks_of_attitude


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Whom does Mira trust?", {"trust"}),
        ("Does she still distrust him?", {"distrust"}),
        ("Who owes Jon money?", {"debt"}),
        ("Who is Tom's brother?", {"family"}),
        ("Are they friends or enemies?", {"friendship", "rivalry"}),
        ("Where did Mira go?", set()),
        ("What do they know about gloves?", set()),
    ],
)
def test_a_question_hints_at_types(text, kinds):
    assert asked_about(text) == kinds
    assert speaks_of_attitude(text) == bool(kinds)


def test_a_general_question_is_about_all():
    assert asked_about("What is the relationship between Mira and Jon?") == set(TYPES)
    assert asked_about("How does Mira feel about Jon?") == set(TYPES)
