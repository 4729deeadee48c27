import math

import numpy as np
import pytest


def speeds(grid, fresh=None, size=0.005):
    """Speeds by the parameter a, in the sweep and in the fresh blocks."""

    def measure(cell, order):
        known = grid if cell.phase != "confirm" or fresh is None else fresh
        draw = np.random.default_rng([3, order]).standard_normal()
        return {"speed": known[cell.configuration.parameters["a"]] * math.exp(size * draw)}

    return measure


def test_a_confirmed_winner_says_so(spec_of, analysed):
    found = analysed(spec_of(confirm=6), speeds({1: 1.0, 2: 1.3}, {1: 1.0, 2: 1.21})).recommendations[0]
    assert found.conclusive
    assert found.headline.startswith("Use a=2: speed 1.30 × [")
    assert "; confirmed in 6 fresh blocks: 1.21 × [1.20, 1.2" in found.headline
    assert found.confirmation.effect.n == 6
    assert found.confirmation.verdict == "better"
    assert found.evidence.effect.n == 10  # fresh blocks are not mixed with those the choice was made from


def test_what_fresh_blocks_do_not_show_is_inconclusive(spec_of, analysed):
    found = analysed(spec_of(confirm=6), speeds({1: 1.0, 2: 1.3}, {1: 1.0, 2: 1.0})).recommendations[0]
    assert not found.conclusive
    assert found.headline.startswith("Inconclusive: a=2 is not confirmed in 6 fresh blocks: ")
    assert "Before: Use a=2: speed 1.30 × [" in found.headline
    assert found.confirmation.verdict != "better"


def test_ten_fresh_blocks_decide_what_a_large_family_left_open(spec_of, analysed):
    grid = {level: 1.3 if level == 40 else 1.0 for level in range(1, 41)}
    results = {
        confirm: analysed(spec_of(parameters={"a": list(grid)}, confirm=confirm), speeds(grid)).recommendations[0]
        for confirm in (0, 6, 10)
    }
    assert {confirm: found.conclusive for confirm, found in results.items()} == {0: False, 6: False, 10: True}
    assert "with 39 comparisons at least 11 blocks are needed" in results[0].headline
    assert results[6].configuration == {"a": 1}
    assert any(note.startswith("Of a=40 against a=1, in 6 fresh blocks: 1.29 × [") for note in results[6].notes)
    assert results[10].configuration == {"a": 40}
    assert results[10].headline.startswith("Use a=40: speed against a=1 is better in 10 fresh blocks: 1.29 × [")


def test_a_tie_is_only_contradicted_by_a_difference(spec_of, analysed):
    spec = spec_of(parameters={"a": [2]}, baseline={"a": 1}, confirm=6)
    same = analysed(spec, speeds({1: 1.0, 2: 1.0}, size=0.002)).recommendations[0]
    assert same.conclusive
    assert "confirmed in 6 fresh blocks" in same.headline or "not contradicted in 6 fresh blocks" in same.headline
    other = analysed(spec, speeds({1: 1.0, 2: 1.0}, {1: 1.0, 2: 0.8}, size=0.002)).recommendations[0]
    assert not other.conclusive
    assert "is not confirmed in 6 fresh blocks: 0.80 ×" in other.headline


def test_the_reference_needs_no_confirmation(spec_of, analysed):
    found = analysed(spec_of(confirm=6), speeds({1: 1.3, 2: 1.0})).recommendations[0]
    assert found.conclusive
    assert found.confirmation is None
    assert "confirmed" not in found.text


def test_a_confirmation_still_to_come_is_said_to_be(spec_of, simulated):
    found = simulated(spec_of(confirm=6), lambda parameters, *_: {"speed": float(parameters["a"])}).recommendations[0]
    assert found.confirmation is None
    assert "Not confirmed yet: a=2 has not run in fresh blocks." in found.notes


@pytest.mark.parametrize("blocks", [5, 6])
def test_fewer_than_six_fresh_blocks_confirm_nothing(spec_of, analysed, blocks):
    found = analysed(spec_of(confirm=blocks), speeds({1: 1.0, 2: 1.3})).recommendations[0]
    assert found.conclusive is (blocks >= 6)
