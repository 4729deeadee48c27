"""Verdicts on claims: every one of them, both ways, and at the edges."""

import pytest

from workbench.sweep.findings.claims import CLAIM_VERDICTS, ClaimResult, Measured, judge
from workbench.sweep.specification.parts import ClaimSpec


def ratio(direction="maximize", low=None, high=None, **more):
    return ClaimSpec(
        says="s", metric="tps", of={"a": 2}, against={"a": 1}, direction=direction, low=low, high=high, **more
    )


def value(direction="maximize", **more):
    return ClaimSpec(says="s", metric="share", direction=direction, **more)


def seen(low, high, band=0.01, estimate=None):
    middle = (low + high) / 2 if estimate is None else estimate
    return Measured(estimate=middle, low=low, high=high, n=10, band=band)


FASTER = ratio(low=1.15, high=1.3)
SHORTER = ratio("minimize", low=0.7, high=0.9)


@pytest.mark.parametrize(
    ("claim", "low", "high", "verdict", "why"),
    [
        (FASTER, 1.16, 1.25, "confirmed", "reaches what is claimed"),
        (FASTER, 1.15, 1.25, "confirmed", "reaches what is claimed"),
        (FASTER, 1.2, 1.9, "confirmed", "reaches what is claimed"),
        (FASTER, 1.4, 1.9, "confirmed", "more than claimed"),
        (FASTER, 1.02, 1.14, "partly", "falls short"),
        (FASTER, 1.005, 1.14, "refuted", "no effect is shown"),
        (FASTER, 0.98, 1.02, "refuted", "no effect is shown"),
        (FASTER, 0.5, 0.8, "refuted", "the other way"),
        (FASTER, 1.1, 1.2, "inconclusive", "there is an effect"),
        (FASTER, 1.02, 1.15, "inconclusive", "there is an effect"),
        (FASTER, 0.9, 1.4, "inconclusive", "across"),
        (SHORTER, 0.75, 0.88, "confirmed", "reaches what is claimed"),
        (SHORTER, 0.75, 0.9, "confirmed", "reaches what is claimed"),
        (SHORTER, 0.4, 0.6, "confirmed", "more than claimed"),
        (SHORTER, 0.92, 0.98, "partly", "falls short"),
        (SHORTER, 0.92, 0.995, "refuted", "no effect is shown"),
        (SHORTER, 1.1, 1.2, "refuted", "the other way"),
        (SHORTER, 0.85, 0.95, "inconclusive", "there is an effect"),
        (SHORTER, 0.85, 1.05, "inconclusive", "across"),
    ],
)
def test_a_claim_with_a_size(claim, low, high, verdict, why):
    found, reason = judge(claim, seen(low, high))
    assert found == verdict
    assert why in reason


@pytest.mark.parametrize(
    ("claim", "low", "high", "verdict"),
    [
        (ratio(), 1.02, 1.5, "confirmed"),
        (ratio(), 1.005, 1.5, "inconclusive"),
        (ratio(), 0.995, 1.005, "refuted"),
        (ratio(), 0.7, 0.9, "refuted"),
        (ratio("minimize"), 0.7, 0.98, "confirmed"),
        (ratio("minimize"), 0.7, 0.995, "inconclusive"),
        (ratio("minimize"), 0.995, 1.2, "refuted"),
        (value(nothing=0), 1, 2, "confirmed"),
        (value(nothing=0), -1, 2, "inconclusive"),
        (value(nothing=0), -2, -1, "refuted"),
    ],
)
def test_a_claim_without_a_size_is_about_any_effect(claim, low, high, verdict):
    assert judge(claim, seen(low, high))[0] == verdict


def test_the_noise_of_equal_runs_is_no_effect():
    assert judge(FASTER, seen(1.03, 1.1, band=0.01))[0] == "partly"
    assert judge(FASTER, seen(1.03, 1.1, band=0.05))[0] == "refuted"
    assert judge(ratio(), seen(1.03, 1.1, band=0.05))[0] == "inconclusive"
    assert judge(ratio("minimize"), seen(0.93, 0.97, band=0.05))[0] == "inconclusive"


@pytest.mark.parametrize(
    ("claim", "low", "high", "verdict"),
    [
        (value(low=0.85), 0.86, 0.9, "confirmed"),
        (value(low=0.85), 0.85, 0.85, "confirmed"),
        (value(low=0.85), 0.8, 0.84, "refuted"),
        (value(low=0.85), 0.8, 0.9, "inconclusive"),
        (value("minimize", low=4, high=6), 5, 6, "confirmed"),
        (value("minimize", low=4, high=6), 7, 8, "refuted"),
        (value(low=150, high=300, nothing=0), 160, 200, "confirmed"),
        (value(low=150, high=300, nothing=0), 20, 120, "partly"),
        (value(low=150, high=300, nothing=0), -5, 120, "refuted"),
        (value(low=150, high=300, nothing=0), -9, -5, "refuted"),
        (value(low=150, high=300, nothing=0), 90, 200, "inconclusive"),
    ],
)
def test_a_claim_about_a_value(claim, low, high, verdict):
    assert judge(claim, seen(low, high))[0] == verdict


def test_all_of_them_is_refuted_by_one_exception_and_confirmed_without_any():
    all_of_them = value(low=1, trials="count")
    verdict, reason = judge(all_of_them, seen(0.9963, 1.0, estimate=1.0))
    assert verdict == "confirmed"
    assert "99.630%" in reason
    assert judge(all_of_them, seen(0.99, 0.9999, estimate=0.999))[0] == "refuted"
    assert judge(value(low=0.9, trials="count"), seen(0.85, 1.0, estimate=1.0))[0] == "inconclusive"


def test_without_an_interval_nothing_is_decided():
    verdict, reason = judge(FASTER, Measured(estimate=2.0, n=3, note="only 3 blocks"))
    assert (verdict, "only 3 blocks" in reason) == ("inconclusive", True)
    objected = Measured(estimate=2.0, low=1.9, high=2.1, n=10, objection="the answers differ in length")
    assert judge(FASTER, objected) == ("inconclusive", "the answers differ in length")


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (FASTER, "1.15 to 1.3 ×"),
        (ratio(low=2), "≥ 2 ×"),
        (ratio("minimize", high=0.5), "≤ 0.5 ×"),
        (ratio(), "> 1 ×"),
        (ratio("minimize"), "< 1 ×"),
        (value(low=0.85), "≥ 0.85"),
        (ClaimSpec(says="s", metric="saved_ms", direction="maximize", low=150, high=300), "150 to 300 ms"),
        (value(nothing=0), "> 0"),
    ],
)
def test_the_claimed_range_in_short(claim, text):
    result = ClaimResult(claim=claim, measured=Measured(), verdict="not run yet", reason="")
    assert (result.claimed, result.text) == (text, "—")


def test_the_measured_figure_in_short():
    result = ClaimResult(claim=FASTER, measured=seen(1.1, 1.3), verdict="inconclusive", reason="")
    assert result.text == "1.2 × [1.1, 1.3], n=10"
    many = Measured(estimate=1234.5, n=3)
    assert ClaimResult(claim=value(low=1), measured=many, verdict="inconclusive", reason="").text == "1,234, n=3"


def test_the_verdicts_are_six():
    assert CLAIM_VERDICTS == ("confirmed", "partly", "refuted", "inconclusive", "cannot be tested here", "not run yet")
