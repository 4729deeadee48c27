"""When a request is sent again."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.endpoint.retrying import RETRIED, RetryBudget, RetryPolicy, parse_retry_after
from workbench.errors import InvalidSettings

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Tue, 14 Nov 2023 22:13:40", 20.0),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(value, seconds):
    assert parse_retry_after(value, now=lambda: NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_is_too_odd(value):
    seconds = parse_retry_after(value)
    assert seconds is None or seconds >= 0


@given(st.integers(1, 2000), st.floats(0, 1))
def test_waits_have_full_jitter_below_a_bound_that_doubles(attempt, draw):
    policy = RetryPolicy(base_s=0.5, max_s=8)
    bound = min(8, 0.5 * 2.0 ** min(attempt - 1, 10))
    assert policy.wait_s(attempt, None, lambda: draw) == pytest.approx(draw * bound)


@given(st.floats(0, 1000), st.floats(0, 1), st.integers(1, 9))
def test_retry_after_is_obeyed_and_capped(asked, draw, attempt):
    wait = RetryPolicy(retry_after_max_s=60).wait_s(attempt, asked, lambda: draw)
    assert min(asked, 60) <= wait <= 60


def test_the_budget_is_a_share_of_the_requests():
    budget = RetryBudget(RetryPolicy(budget=0.5, budget_floor=2))
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def test_no_budget_means_no_retries():
    budget = RetryBudget(RetryPolicy(budget=0, budget_floor=0))
    budget.earn()
    assert not budget.spend()


def test_what_the_caller_did_wrong_is_never_sent_again():
    assert RETRIED.isdisjoint({400, 401, 403, 404, 413, 422})
    assert {408, 429, 500, 502, 503, 504} <= RETRIED


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"base_s": -1}, {"budget": -0.1}])
def test_policies_are_checked(bad):
    with pytest.raises(InvalidSettings):
        RetryPolicy(**bad)
