import pytest

from workbench.ranking.words import fold, prefixes, stem, terms, words


def test_case_and_diacritics_are_folded():
    assert fold("CAFÉ Ångström \uff21\uff22\uff23") == "cafe angstrom abc"
    assert terms("Café") == terms("cafe") == terms("CAFE\u0301")


def test_other_scripts_keep_their_words():
    assert words("東京 は 日本") == ["東京", "は", "日本"]
    assert terms("Москва") == ["москва"]


@pytest.mark.parametrize(
    "group",
    [
        ("hike", "hikes", "hiked", "hiking"),
        ("study", "studies", "studied", "studying"),
        ("run", "runs", "ran", "running"),
        ("buy", "buys", "bought", "buying"),
        ("go", "goes", "went", "gone", "going"),
        ("child", "children", "children's"),
        ("box", "boxes"),
        ("class", "classes"),
        ("call", "called", "calling"),
        ("two", "2"),
    ],
)
def test_inflections_of_a_word_are_one_term(group):
    assert len({tuple(terms(word)) for word in group}) == 1, {word: terms(word) for word in group}


@pytest.mark.parametrize(
    ("one", "other"), [("bus", "bu"), ("ring", "r"), ("red", "r"), ("fly", "f"), ("1990s", "1990")]
)
def test_short_words_and_numbers_are_left_alone(one, other):
    assert stem(one) != stem(other)


def test_stop_words_are_left_out_with_any_apostrophe():
    assert terms("What did you do? I don't and she\u2019s there") == []


def test_a_possessive_is_its_owner():
    assert terms("Caroline's") == terms("Caroline\u2019s") == terms("Caroline")


def test_prefixes_reach_derivations():
    assert prefixes(terms("painter")) == prefixes(terms("painted")) == ["pain"]


def test_a_word_of_any_length_is_taken():
    assert len(terms("x" * 100_000)[0]) == 64
