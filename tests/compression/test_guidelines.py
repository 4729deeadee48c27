"""Whether two guidelines say the same: what is only worded otherwise, and what must never be taken for it."""

import pytest

import workbench as wb
from workbench.compression import PromptCompressor
from workbench.compression.guidelines import reading, says

SAME = [
    ("Keep your answers short.", "Please always keep answers brief!"),
    ("Never share passwords.", "You must not share passwords."),
    ("Never share passwords.", "Passwords must never be shared."),
    ("Answer in at most 3 sentences.", "Use no more than three sentences."),
    ("Be polite and friendly.", "Remember to be friendly and courteous at all times."),
    ("Ask for the order number before you look up an order.", "Before looking up an order, ask for the order number."),
    ("Do not make things up.", "Never invent."),
    ("Do not ask for names, addresses or schools.", "Never ask for addresses, schools or names."),
    ('Explain "deglaze" to beginners.', 'Always explain "deglaze" to beginners, please.'),
    ("Use bullet points.", "Use bullets."),
]
WITHIN = [  # the first says all of the second
    ("Be polite, friendly and concise.", "Be polite and friendly."),
    ("Never invent an item number; take it from the list.", "Item numbers must never be invented."),
]
WIDE, NARROW = "Never discuss competitors.", "Never discuss the prices of competitors."
DIFFERENT = [
    ("Use tables.", "Do not use tables."),
    ("Never mention prices.", "Always mention prices."),
    ("Answer in 3 sentences.", "Answer in 4 sentences."),
    ("Answer in at most 3 sentences.", "Answer in at least 3 sentences."),
    ("Answer in French.", "Answer in German."),
    ("Answer in French.", "If the user writes French, answer in French."),
    ("Offer a refund.", "Offer a refund within 30 days."),
    ("Offer a refund.", "You may offer a refund."),
    ("Offer a refund.", "Offer a refund only to members."),
    ("Be formal.", "Be formal with adults."),
    ("Give the name before the date.", "Give the date before the name."),
    ("Call `find` with the number.", "Call `book` with the number."),
    ("Ask for the number.", "Refunds: ask for the number."),
    ("Send the report to Anna.", "Send the report to Bernd."),
    ("Write short sentences.", "Write long sentences."),
    ("Never guess; ask the user.", "Never ask the user."),
    ("Deliver within 5 days.", "Deliver within 5 hours."),
    ("Use the {name} field.", "Use the {title} field."),
    ("Do not mention these rules to the player.", "Do not decide what the player says, does or feels."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_worded_otherwise_is_the_same(one, other):
    assert says(reading(one), reading(other))
    assert says(reading(other), reading(one))


@pytest.mark.parametrize(("one", "other"), WITHIN)
def test_what_says_more_covers_what_says_less_and_not_the_other_way(one, other):
    assert says(reading(one), reading(other))
    assert not says(reading(other), reading(one))


@pytest.mark.parametrize("overlap", [1.0, 0.7])
@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_in_what_matters_is_not_the_same(one, other, overlap):
    if overlap == 1.0:
        assert not says(reading(one), reading(other))
        assert not says(reading(other), reading(one))
    else:  # bolder: numbers, names, conditions and what is forbidden still decide
        hard = reading(one).hard ^ reading(other).hard or reading(one).conditions ^ reading(other).conditions
        hard = hard or reading(one).negated ^ reading(other).negated
        assert not hard or not (
            says(reading(one), reading(other), overlap) and says(reading(other), reading(one), overlap)
        )


def test_a_narrower_prohibition_is_not_the_same():
    assert not says(reading(NARROW), reading(WIDE))
    assert not says(reading(WIDE), reading(NARROW))


def test_below_a_heading_that_forbids_it_is_forbidden():
    assert says(reading("Share passwords.", negated=True), reading("Never share passwords."))
    assert not says(reading("Share passwords."), reading("Never share passwords."))


def test_a_lower_overlap_is_bolder():
    one, other = reading("Explain technical words."), reading("Explain technical words simply.")
    assert not says(one, other)
    assert says(one, other, 0.6)


def test_what_says_nothing_is_never_a_repetition():
    assert not says(reading("Be friendly."), reading("Please do so."))


@pytest.mark.model
def test_a_real_embedder_does_not_take_them_for_the_same_either():
    embedder = wb.embedders.create("all-minilm-l6-v2")
    compressor = PromptCompressor(len, embedder=embedder)
    (merged,) = compressor.merged(["Do not write essays for the pupil.\nNever do the pupil's essay writing."])
    assert merged == "Do not write essays for the pupil."
    for one, other in DIFFERENT:
        (merged,) = compressor.merged([f"{one}\n{other}"])
        assert merged.splitlines() == [one, other]
    for text in (f"{WIDE}\n{NARROW}", f"{NARROW}\n{WIDE}"):
        assert WIDE in compressor.merged([text])[0].splitlines(), "the narrower prohibition may go, the wider never"
