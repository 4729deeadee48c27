"""The word lists as data: every line can be read, and says what its file is for."""

from workbench.memory.relations import SENTIMENT, SYMMETRIC
from workbench.memory.relations.lexicon import nouns, rows
from workbench.memory.relations.templates import by_head, predicatives, templates


def test_every_type_has_many_ways_to_be_said() -> None:
    counts = {kind: sum(template.type == kind for template in templates()) for kind in SENTIMENT}
    assert min(counts.values()) >= 20, counts


def test_every_template_names_both_sides_or_holds_among_several() -> None:
    for template in templates():
        slots = {template.subject[0], *(str(part)[0] for part in template.rest if part in ("X", "Y", "X's", "Y's"))}
        assert {"X", "Y"} <= slots or (template.mutual and slots == {"X"}), template.text


def test_only_what_is_mutual_by_nature_is_marked_so() -> None:
    mutual = {template.type for template in templates() if template.mutual}
    assert mutual <= {*SYMMETRIC, "", "love", "hate"}
    assert set(nouns.MUTUAL_NOUNS.values()) <= SYMMETRIC


def test_templates_with_a_flag_are_tried_first() -> None:
    flags = [bool(template.flag) for template in by_head()["trust"]]
    assert flags == sorted(flags, reverse=True)
    assert flags[0]


def test_nouns_have_known_types_and_sides() -> None:
    assert set(nouns.FEELING_NOUNS.values()) <= set(SENTIMENT)
    assert {side for _, side in nouns.DIRECTED_NOUNS.values()} == {"owner", "holder"}
    assert nouns.SINGULAR["half-brothers"] == "half-brother"
    assert nouns.is_bond("vassals")


def test_an_idiom_is_never_shorter_than_its_word() -> None:
    idioms = [(idiom.strip(), word) for word, text in rows("idioms.txt") for idiom in text.split("|")]
    assert idioms
    assert all(len(idiom) >= len(word) for idiom, word in idioms)


def test_adjectives_are_found_by_their_first_word() -> None:
    assert {"afraid", "fond", "loyal", "indebted"} <= predicatives().keys()
