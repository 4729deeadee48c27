"""The conventions of an edge: direction, mutual types, negation, what holds now, who is meant."""

import pytest

from workbench.memory.relations import SENTIMENT, Relation, extract_relations

NAMES = ["Mira", "Jon", "Karl"]


def edges(text: str, names: list[str] = NAMES) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.target, edge.type) for edge in extract_relations(text, names)}


def both(a: str, b: str, kind: str) -> set[tuple[str, str, str]]:
    return {(a, b, kind), (b, a, kind)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Mira would stake her life on Jon's word.", "trust"),
        ("Jon is trusted by Mira.", "trust"),
        ("Mira no longer trusts Jon.", "distrust"),
        ("Mira smells a rat in Jon.", "distrust"),
        ("Jon has lost Mira's trust.", "distrust"),
        ("Jon has stolen Mira's heart.", "love"),
        ("Mira can't stand the sight of Jon.", "hate"),
        ("Jon frightens Mira out of her wits.", "fear"),
        ("Mira trembles at the sound of Jon's voice.", "fear"),
        ("Mira has sworn fealty to Jon.", "alliance"),
        ("Jon is Mira's liege lord.", "alliance"),
        ("Mira is up to her neck in debt to Jon.", "debt"),
        ("Forty crowns are owed to Jon by Mira.", "debt"),
        ("Jon has earned Mira's respect.", "respect"),
        ("Mira considers Jon a friend.", "friendship"),
        ("Mira sees Jon as her rival.", "rivalry"),
    ],
)
def test_the_edge_runs_from_the_holder_to_the_object(text: str, kind: str) -> None:
    assert edges(text) == {("Mira", "Jon", kind)}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Mira is Jon's sister.", "family"),
        ("Mira lives with her husband, Jon.", "family"),
        ("Mira and Jon are the best of friends.", "friendship"),
        ("A deep friendship binds Mira and Jon.", "friendship"),
        ("Mira has thrown in her lot with Jon.", "alliance"),
        ("There is a long rivalry between Mira and Jon.", "rivalry"),
        ("Mira and Jon despise each other.", "hate"),
    ],
)
def test_mutual_bonds_and_reciprocal_words_give_both_edges(text: str, kind: str) -> None:
    assert edges(text) == both("Mira", "Jon", kind)


@pytest.mark.parametrize(
    "text",
    [
        "Mira does not love Jon.",
        "Mira neither loves nor hates Jon.",
        "Mira and Jon are not related.",
        "Mira bears Jon no grudge.",
        "Mira owes Jon nothing.",
        "Mira does not distrust Jon.",
        "It is not true that Mira hates Jon.",
        "Mira used to fear Jon.",
        "Mira and Jon were friends until the harvest.",
        "Mira is Jon's former wife.",
        "If Mira loved Jon, she would tell him.",
        "Mira wants to befriend Jon.",
        "Mira pretends to love Jon.",
        "Does Mira trust Jon?",
        "Rumour has it that Mira hates Jon.",
        "Jon claims that Mira owes him money.",
        "Mira dreamt that Jon loved her.",
        "In the play, Mira fears Jon.",
        "Mira served Jon soup.",
        "Mira loves Jon's garden.",
        "Mira hates the rain, and Jon fears heights.",
        "Mira overcame her fear of Jon.",
    ],
)
def test_what_is_denied_past_supposed_or_hearsay_gives_no_edge(text: str) -> None:
    assert edges(text) == set()


def test_double_negation_and_facts_hold() -> None:
    assert edges("Mira never stopped loving Jon.") == {("Mira", "Jon", "love")}
    assert edges("Mira can't help admiring Jon.") == {("Mira", "Jon", "respect")}
    assert edges("Jon does not know that Mira loves him.") == {("Mira", "Jon", "love")}
    assert edges("Nobody fears Jon more than Mira.") == {("Mira", "Jon", "fear")}


def test_several_relations_of_one_sentence_keep_their_directions() -> None:
    assert edges("Mira trusts Jon but fears his brother Karl.") == {
        ("Mira", "Jon", "trust"),
        ("Mira", "Karl", "fear"),
        *both("Jon", "Karl", "family"),
    }
    assert edges("Mira, Jon and Karl, all bakers, are rivals.") == {
        *both("Mira", "Jon", "rivalry"),
        *both("Mira", "Karl", "rivalry"),
        *both("Jon", "Karl", "rivalry"),
    }
    assert edges("Karl, whom Mira fears, is loathed by Jon.") == {("Mira", "Karl", "fear"), ("Jon", "Karl", "hate")}


def test_a_left_out_verb_is_the_last_one() -> None:
    assert edges("Mira doesn't trust Karl; Jon does.") == {("Mira", "Karl", "distrust"), ("Jon", "Karl", "trust")}
    assert edges("Mira fears Karl, and so does Jon.") == {("Mira", "Karl", "fear"), ("Jon", "Karl", "fear")}
    assert edges("Mira adores Jon, and the feeling is mutual.") == both("Mira", "Jon", "love")


def test_speech_counts_when_the_speaker_speaks_of_himself() -> None:
    assert edges('"I trust you, Jon," said Mira.') == {("Mira", "Jon", "trust")}
    assert edges("'I am afraid of you,' Mira told Jon.") == {("Mira", "Jon", "fear")}
    assert edges('"Jon hates Karl," said Mira.') == set()


def test_the_record_carries_sentiment_strength_and_the_clause() -> None:
    (edge,) = extract_relations("Jon went home; Mira deeply loves Karl.", NAMES)
    assert edge.evidence == "Mira deeply loves Karl"
    assert 0.7 < edge.sentiment <= 1
    assert edge.strength > 0.7
    (weak,) = extract_relations("Mira is slightly afraid of Jon.", NAMES)
    assert weak.sentiment < 0
    assert weak.strength < 0.7
    assert isinstance(edge, Relation)
    assert all(-1 <= value <= 1 for value in SENTIMENT.values())


def test_the_spelling_given_is_the_spelling_returned() -> None:
    decomposed = "E\u0301lodie"
    (edge,) = extract_relations("Élodie trusts Søren.", [decomposed, "Søren", "Søren", ""])
    assert (edge.source, edge.target) == (decomposed, "Søren")
