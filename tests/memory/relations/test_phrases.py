"""What a sentence is cut into: noun phrases with their owners, verb groups with their subjects."""

from workbench.memory.relations.clauses import Clauses
from workbench.memory.relations.mentions import find_mentions
from workbench.memory.relations.normal import merged
from workbench.memory.relations.phrases import Chunk
from workbench.memory.relations.tokens import sentences, tokenise

NAMES = ["Mira", "Jon", "Karl"]


def read(text: str) -> Clauses:
    return Clauses(sentences(merged(tokenise(text, find_mentions(text, NAMES))))[0].tokens)


def words(clauses: Clauses, chunk: Chunk) -> str:
    return " ".join(token.text for token in clauses.tokens[chunk.start : chunk.end])


def subjects(text: str) -> dict[str, list[str]]:
    clauses = read(text)
    return {verb.lemma: [words(clauses, chunk) for chunk in verb.subject] for verb in clauses.verbs}


def test_an_owner_and_what_it_owns_are_two_phrases() -> None:
    clauses = read("Jon's sworn enemy Karl fled.")
    owner, owned = clauses.chunks
    assert owner.possessive
    assert owned.owner is owner
    assert owned.noun == "enemy"
    assert owned.names == [2]


def test_a_short_is_is_no_possessive() -> None:
    assert [verb.lemma for verb in read("Jon's afraid of Karl.").verbs] == ["be"]


def test_subjects_across_commas_relatives_and_conjunctions() -> None:
    assert subjects("Karl, who hates Mira, fears Jon.") == {"hate": ["Karl"], "fear": ["Karl"]}
    assert subjects("Mira met Jon and fears Karl.")["fear"] == ["Mira"]
    assert subjects("Mira trusts Jon and Karl fears Mira.")["fear"] == ["Karl"]
    assert subjects("Mira and Jon fear Karl.")["fear"] == ["Mira", "Jon"]
    assert subjects("The captain of the guard fears Karl.")["fear"] == ["The captain"]
    assert subjects("A month taught Mira to admire Jon.")["admire"] == ["Mira"]


def test_a_verb_group_knows_its_negation_mood_and_voice() -> None:
    (verb,) = read("Mira could never have been trusted.").verbs
    assert (verb.lemma, verb.modal, verb.negations, verb.passive) == ("trust", "could", 1, True)


def test_nouns_are_not_taken_for_verbs() -> None:
    clauses = read("They are bitter rivals over the mill.")
    assert [verb.lemma for verb in clauses.verbs] == ["be"]
    assert subjects("The old guard trusts Mira.") == {"trust": ["The old guard"]}


def test_the_missing_object_of_a_relative_clause() -> None:
    clauses = read("Karl, whom Mira fears, left.")
    fear = next(verb for verb in clauses.verbs if verb.lemma == "fear")
    assert [words(clauses, chunk) for chunk in clauses.gap_of(fear)[0]] == ["Karl"]


def test_lists_end_where_a_clause_begins() -> None:
    clauses = read("Mira trusts Jon and Karl fears Mira.")
    jon = next(chunk for chunk in clauses.chunks if chunk.names == [1])
    assert clauses.chain_right(jon) == [jon]
