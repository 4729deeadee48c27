"""Constructions that put a relation out of its usual place, and those that look like one but are none."""

import pytest

from workbench.memory.relations import extract_relations

NAMES = ["Mira", "Jon", "Karl"]


def edges(text: str) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.target, edge.type) for edge in extract_relations(text, NAMES)}


def both(a: str, b: str, kind: str) -> set[tuple[str, str, str]]:
    return {(a, b, kind), (b, a, kind)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("For Jon Mira feels nothing but contempt.", "hate"),
        ("To Jon, Mira owes her freedom.", "debt"),
        ("It is to Jon that Mira owes her freedom.", "debt"),
        ("If there is anyone Mira trusts, it is Jon.", "trust"),
        ("Loved by Mira, unknown to everybody else, the poet Jon carries on.", "love"),
        ("Jon is feared by the whole yard, and by Mira most of all.", "fear"),
        ("Mira distrusts, in this order, the weather, her horoscope, and Jon.", "distrust"),
        ("Karl hired Mira, who fears Jon.", "fear"),
        ("That Mira despises Jon is plain to everyone.", "hate"),
        ("Not until the third lie did Mira stop trusting Jon.", "distrust"),
    ],
)
def test_fronted_cleft_and_interrupted_clauses(text: str, kind: str) -> None:
    assert edges(text) == {("Mira", "Jon", kind)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Between Mira and Jon runs a rivalry that began over a desk.", "rivalry"),
        ("The feud between Mira and Jon has outlived two kings.", "rivalry"),
        ("A friendship as old as the mill joins Mira and Jon.", "friendship"),
        ("Sworn allies, Mira and Jon keep one fire.", "alliance"),
        ("Married since June, Mira and Jon live on separate floors.", "family"),
        ("Mira and Jon, brother and sister, share the farm.", "family"),
    ],
)
def test_bonds_of_two_in_any_place(text: str, kind: str) -> None:
    assert edges(text) == both("Mira", "Jon", kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Fear of Jon keeps Mira awake.", "fear"),
        ("Nothing could shake Mira's faith in Jon.", "trust"),
        ("Out of loyalty to Jon, Mira kept silent.", "alliance"),
        ("The respect Mira has for Jon is no secret.", "respect"),
        ("The oath Mira swore to Jon still binds her.", "alliance"),
        ("Mira has a debt of honour to Jon.", "debt"),
    ],
)
def test_nouns_of_feeling_that_move_somebody(text: str, kind: str) -> None:
    assert edges(text) == {("Mira", "Jon", kind)}


def test_a_shared_feeling_and_a_contrast() -> None:
    assert edges("Mira's admiration for Karl is boundless, and Jon shares it.") == {
        ("Mira", "Karl", "respect"),
        ("Jon", "Karl", "respect"),
    }
    assert edges("Mira is no longer Jon's ally but his rival.") == both("Mira", "Jon", "rivalry")
    assert edges('"I hate you, Jon," said the ghost of Mira.') == {("Mira", "Jon", "hate")}


@pytest.mark.parametrize(
    "text",
    [
        "Mira hates Jon no longer.",
        "Mira owes Jon not a penny.",
        "It is not Jon whom Mira loves.",
        "What Mira felt for Jon was neither fear nor love.",
        "Mira hates the rain, Jon hates the tent, and Karl hates both.",
        "Nobody believes the tale that Mira hates Jon.",
        "That Mira hates Jon is a tale the cook invented.",
        "Whoever said that Mira and Jon were brother and sister was wrong; they are no kin at all.",
        "Until the shipwreck Mira was Jon's sworn man.",
        "Gone are the days when Mira feared Jon.",
        "Mira did, in the last age, hold Jon in great esteem.",
        "Mira was Jon's ally. Today they are strangers.",
        "Talks of an alliance between Mira and Jon failed.",
        "The rivalry between Mira and Jon is a thing of the past.",
        "Mira and Jon have settled their feud.",
        "Mira, once a vassal of Jon, now rules alone.",
        "Mira has broken with her old ally, Jon.",
        "Mira handed Jon the last of what she owed him.",
        "The love Mira felt for Jon has faded.",
        "The money Mira owed Jon has been repaid.",
        "Mira hired Jon, her cousin's friend.",
        "With her own children Mira would visit Jon.",
    ],
)
def test_what_only_looks_like_a_relation(text: str) -> None:
    assert edges(text) == set()
