"""Whom pronouns, descriptions and quotations mean."""

from workbench.memory.relations import extract_relations


def edges(text: str, *names: str) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.target, edge.type) for edge in extract_relations(text, names)}


def test_pronouns_follow_the_subject_and_the_sex() -> None:
    assert edges("Mira met Jon. She loves him.", "Mira", "Jon") == {("Mira", "Jon", "love")}
    assert edges("Lady Wyn met Sir Kay. He fears her.", "Lady Wyn", "Sir Kay") == {("Sir Kay", "Lady Wyn", "fear")}
    assert edges("Rin calls Haruto a friend, but he hates her.", "Rin", "Haruto") == {
        ("Rin", "Haruto", "friendship"),
        ("Haruto", "Rin", "hate"),
    }


def test_whoever_was_helped_is_the_one_who_owes() -> None:
    text = "Piotr paid Wes's fine for him. Now he is in his debt."
    assert edges(text, "Piotr", "Wes") == {("Wes", "Piotr", "debt")}


def test_a_description_and_a_title_stand_for_a_name() -> None:
    assert edges("Nurse Osei checks Dr. Vane's charts, for she does not trust the man.", "Nurse Osei", "Dr. Vane") == {
        ("Nurse Osei", "Dr. Vane", "distrust")
    }
    assert edges("Corporal Amsel saw Jon. The corporal dreads Jon.", "Corporal Amsel", "Jon") == {
        ("Corporal Amsel", "Jon", "fear")
    }


def test_several_are_meant_by_them_both_and_neither() -> None:
    names = ("Mira", "Jon", "Karl")
    assert edges("Mira and Jon danced. Karl hates them both.", *names) == {
        ("Karl", "Mira", "hate"),
        ("Karl", "Jon", "hate"),
    }
    assert edges("Mira and Jon danced. Karl trusts neither of them.", *names) == {
        ("Karl", "Mira", "distrust"),
        ("Karl", "Jon", "distrust"),
    }


def test_the_speaker_is_i_and_the_one_called_is_you() -> None:
    assert edges('"You are my friend, Oduya," said Lasse.', "Oduya", "Lasse") == {
        ("Lasse", "Oduya", "friendship"),
        ("Oduya", "Lasse", "friendship"),
    }
    assert edges('"You saved me, Bran," Kez said. "I owe you my life."', "Bran", "Kez") == {("Kez", "Bran", "debt")}
    assert edges('"We hate Krug," Jan and Mads told the judge.', "Krug", "Jan", "Mads") == {
        ("Jan", "Krug", "hate"),
        ("Mads", "Krug", "hate"),
    }


def test_names_set_off_by_commas_explain_a_quantifier() -> None:
    text = "Everyone aboard, from Pip to old Barnaby, is terrified of Sloe."
    assert edges(text, "Pip", "Barnaby", "Sloe") == {("Pip", "Sloe", "fear"), ("Barnaby", "Sloe", "fear")}
    assert edges("Only one person frightens Thorn, and that is Ballard.", "Thorn", "Ballard") == {
        ("Thorn", "Ballard", "fear")
    }
