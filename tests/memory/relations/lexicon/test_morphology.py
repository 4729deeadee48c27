import pytest

from workbench.memory.relations.lexicon import morphology


@pytest.mark.parametrize(
    ("verb", "third", "past", "ing"),
    [
        ("trust", "trusts", "trusted", "trusting"),
        ("despise", "despises", "despised", "despising"),
        ("envy", "envies", "envied", "envying"),
        ("abhor", "abhors", "abhorred", "abhorring"),
        ("obey", "obeys", "obeyed", "obeying"),
        ("lie", "lies", "lied", "lying"),
        ("vex", "vexes", "vexed", "vexing"),
    ],
)
def test_regular_forms(verb: str, third: str, past: str, ing: str) -> None:
    assert (morphology.third_person(verb), morphology.past(verb), morphology.gerund(verb)) == (third, past, ing)


def test_a_written_form_finds_its_verb() -> None:
    table = morphology.table({"swear", "owe", "idolise", "be"})
    assert {form.lemma for form in table["sworn"]} == {"swear"}
    assert {form.kind for form in table["owed"]} == {"past", "pp"}
    assert table["idolizes"][0].lemma == "idolise"
    assert table["were"][0].lemma == "be"


def test_plurals_of_bond_nouns() -> None:
    pairs = {"ally": "allies", "wife": "wives", "brother-in-law": "brothers-in-law", "kinsman": "kinsmen"}
    assert {noun: morphology.plural(noun) for noun in pairs} == pairs
