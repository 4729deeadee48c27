"""Prompt lookup: what it copies is there, what it finds does not depend on how the text came, edits are followed."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.drafts.drafting import Drafter, PromptLookup
from workbench.errors import InvalidSettings

texts = st.lists(st.integers(0, 3), max_size=80) | st.lists(st.integers(0, 2**31 - 1), max_size=40)


def told(text: Sequence[int], **options: int) -> PromptLookup:
    drafter = PromptLookup(**options)
    drafter.extend(text)
    return drafter


def ends_like(text: Sequence[int], at: int, length: int) -> bool:
    """Whether the ``length`` tokens up to position ``at`` are those at the end of the text."""
    return at + 1 >= length and list(text[at + 1 - length : at + 1]) == list(text[len(text) - length :])


def goes_on_with(text: list[int], at: int, draft: list[int]) -> bool:
    """Whether ``draft`` is what follows position ``at``, the draft itself included where the place overlaps it."""
    whole = text + draft
    return whole[at + 1 : at + 1 + len(draft)] == draft


@given(texts, st.integers(1, 4), st.integers(0, 12))
def test_a_draft_is_what_followed_an_earlier_occurrence(text: list[int], n: int, most: int) -> None:
    drafter = told(text, min_ngram=n)
    draft = drafter.draft(most)
    assert len(draft) == (most if drafter.match_length else 0)
    length = drafter.match_length
    if length:
        places = [at for at in range(len(text) - 1) if ends_like(text, at, length)]
        assert any(goes_on_with(text, at, draft) for at in places)


@given(texts, st.integers(1, 4))
def test_every_repeated_ngram_is_found(text: list[int], n: int) -> None:
    again = len(text) > n and any(ends_like(text, at, n) for at in range(n - 1, len(text) - 1))
    assert not again or told(text, min_ngram=n).match_length >= n


@given(texts, st.sets(st.integers(0, 30), max_size=5), st.booleans())
def test_any_pieces_give_the_same(text: list[int], cuts: set[int], asked: bool) -> None:
    pieces = PromptLookup()
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(text)]):
        pieces.extend(text[begin : max(begin, end)])
        if asked:
            pieces.draft(3)  # asking changes nothing
    whole = told(text)
    assert (pieces.draft(16), pieces.match_length) == (whole.draft(16), whole.match_length)


@given(texts)
def test_it_never_says_more_than_it_may(text: list[int]) -> None:
    drafter = told(text)
    assert drafter.draft(0) == drafter.draft(-1) == []
    assert drafter.draft(5)[:3] == drafter.draft(3)
    assert drafter.match_length <= drafter.max_ngram


def test_nothing_is_guessed_from_nothing() -> None:
    for text in ([], [1], [1, 2, 3], [1, 2, 3, 4]):
        assert told(text).draft(8) == []
        assert told(text).match_length == 0


def test_the_longest_agreement_wins_over_the_newest() -> None:
    long, short = [9, 8, 7, 1, 2, 3, 50, 51], [6, 1, 2, 3, 60, 61]
    drafter = told([*long, *short, 9, 8, 7, 1, 2, 3])
    assert drafter.draft(2) == [50, 51]
    assert drafter.match_length == 6


def test_of_equal_agreements_the_newest_wins() -> None:
    assert told([1, 2, 3, 50, 4, 1, 2, 3, 60, 5, 1, 2, 3]).draft(1) == [60]


def test_a_loop_is_taken_to_go_round() -> None:
    assert told([7, 1, 2, 1, 2, 1, 2]).draft(5) == [1, 2, 1, 2, 1]


SOURCE = list(range(100, 160))


@pytest.mark.parametrize(
    ("edited", "goes_on"),
    [
        ([*SOURCE[:20], 7, SOURCE[21]], SOURCE[22:]),  # replaced
        ([*SOURCE[:20], 7, SOURCE[20]], SOURCE[21:]),  # inserted
        ([*SOURCE[:20], SOURCE[21]], SOURCE[22:]),  # left out
        ([*SOURCE[:20], 7, 8, SOURCE[21]], SOURCE[22:]),  # one replaced by two
        ([*SOURCE[:20], 7, SOURCE[22]], SOURCE[23:]),  # two replaced by one
        ([*SOURCE[:20], 7, 8, 9, SOURCE[23]], SOURCE[24:]),  # three replaced
    ],
)
def test_one_agreeing_token_after_an_edit_takes_the_source_up_again(edited: list[int], goes_on: list[int]) -> None:
    drafter = told([*SOURCE, 1, 2, *edited])
    assert drafter.match_length == 1
    assert drafter.draft(8) == goes_on[:8]


def test_a_chance_match_of_three_does_not_lead_away_from_the_source() -> None:
    source = [*range(100, 120), 1, 2, 3, *range(120, 140)]
    decoy = [1, 2, 3, 55, 56]
    edited = [*range(100, 119), 9, 1, 2, 3]  # 119 was replaced by 9
    assert told([*source, *decoy, *edited]).draft(3) == [120, 121, 122]


def test_there_is_no_source_long_after_an_edit() -> None:
    away = list(range(500, 520))
    assert told([*SOURCE, 1, *SOURCE[:20], *away, SOURCE[30]]).draft(4) == []


def test_renaming_a_variable_keeps_most_of_the_copy() -> None:
    """Words of a program, one name in twelve changed: how many decodes it takes with drafts of eight."""
    rng = random.Random(3)
    names = [rng.randrange(1000, 1040) for _ in range(600)]
    source = [7 if i % 12 == 5 else name for i, name in enumerate(names)]
    target = [token for old in source for token in ((8, 9) if old == 7 else (old,))]
    decodes = _decodes(told([*source, 1, 2]), target, most=8)
    assert decodes < len(target) / 2.8


def test_quoting_takes_few_decodes_and_new_text_none_fewer() -> None:
    rng = random.Random(4)
    source = [rng.randrange(49152) for _ in range(800)]
    assert _decodes(told([*source, 1, 2, 3]), source, most=8) <= len(source) / 9 + 4
    fresh = [rng.randrange(49152) for _ in range(200)]
    assert _decodes(told(source), fresh, most=8) == len(fresh)


def _decodes(drafter: PromptLookup, target: list[int], most: int) -> int:
    done = decodes = 0
    while done < len(target):
        draft = drafter.draft(most)
        right = next((i for i, t in enumerate(draft) if target[done + i : done + i + 1] != [t]), len(draft))
        step = target[done : done + right + 1]
        drafter.extend(step)
        done, decodes = done + len(step), decodes + 1
    return decodes


def test_indexing_is_quick() -> None:
    rng = random.Random(5)
    prompt = [min(49151, int(rng.paretovariate(0.4))) for _ in range(8000)]
    best = min(_seconds_to_index(prompt) for _ in range(5))
    assert best < 0.05, "5 ms on a quiet machine"


def _seconds_to_index(prompt: list[int]) -> float:
    started = time.perf_counter()
    told(prompt)
    return time.perf_counter() - started


def test_finding_is_bounded_in_the_worst_text() -> None:
    """Every n-gram the same: counted in comparisons, by the places that are looked at."""
    for text in ([5] * 20_000, [1, 2] * 10_000):
        drafter = told(text)
        started = time.perf_counter()
        for _ in range(100):
            drafter.extend([text[0]])
            drafter.draft(8)
        assert time.perf_counter() - started < 0.5


def test_freed_it_knows_nothing() -> None:
    drafter: Drafter = told([1, 2, 3, 4, 1, 2, 3])
    assert drafter.draft(1) == [4]
    drafter.free()
    drafter.free()
    assert drafter.draft(1) == []
    assert drafter.match_length == 0


def test_lengths_that_make_no_sense_are_refused() -> None:
    for lengths in ({"min_ngram": 0}, {"min_ngram": 5, "max_ngram": 4}):
        with pytest.raises(InvalidSettings, match="min_ngram"):
            PromptLookup(**lengths)
