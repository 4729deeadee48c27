"""Closed, open, half open."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workbench.endpoint.breaker import Breaker, BreakerSettings
from workbench.errors import InvalidSettings


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(BreakerSettings(failures=3, open_s=2, open_max_s=5), clock=clock)


def fail(breaker, times):
    under_way = [breaker.begin() for _ in range(times)]
    for passage in under_way:
        breaker.failed(passage)


def test_failures_in_a_row_open_it(breaker):
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.state == "closed", "a success in between starts the count anew"
    fail(breaker, 1)
    assert (breaker.state, breaker.admits, breaker.opens_in_s) == ("open", False, 2.0)


def test_half_open_admits_one(breaker, clock):
    fail(breaker, 3)
    clock.now += 2
    assert breaker.state == "half_open"
    assert breaker.admits
    assert breaker.begin().trial
    assert not breaker.admits
    breaker.succeeded()
    assert (breaker.state, breaker.admits) == ("closed", True)


def test_a_failed_trial_opens_it_for_longer(breaker, clock):
    fail(breaker, 3)
    waits = []
    for _ in range(4):
        clock.now += breaker.opens_in_s
        passage = breaker.begin()
        assert passage.trial
        breaker.failed(passage)
        breaker.forget(passage)
        waits.append(breaker.opens_in_s)
    assert waits == [4.0, 5.0, 5.0, 5.0]
    clock.now += 5
    breaker.begin()
    breaker.succeeded()
    fail(breaker, 3)
    assert breaker.opens_in_s == 2.0, "after it was well it begins anew"


def test_a_trial_without_a_verdict_makes_room_for_the_next(breaker, clock):
    fail(breaker, 3)
    clock.now += 2
    breaker.forget(breaker.begin())
    assert breaker.admits


def test_the_end_of_an_old_trial_makes_no_room_beside_a_new_one(breaker, clock):
    fail(breaker, 3)
    clock.now += 2
    old = breaker.begin()
    breaker.succeeded()
    fail(breaker, 3)
    clock.now += 2
    breaker.begin()
    breaker.forget(old)
    assert not breaker.admits


def test_only_the_trials_fate_counts_while_it_is_under_way(breaker, clock):
    early = breaker.begin()
    fail(breaker, 3)
    clock.now += 2
    trial = breaker.begin()
    breaker.failed(early)
    assert breaker.state == "half_open", "it was sent before the breaker opened"
    breaker.succeeded()
    breaker.failed(early)
    fail(breaker, 2)
    assert breaker.state == "closed", "nor does it count afterwards"
    breaker.failed(trial)
    assert breaker.state == "open", "the trial's stream broke off after its first token: a failure like any"


def test_late_failures_do_not_lengthen_it(breaker):
    fail(breaker, 10)
    assert breaker.opens_in_s == 2.0


@pytest.mark.parametrize("bad", [{"failures": 0}, {"open_s": 0}, {"open_s": 9, "open_max_s": 1}])
def test_settings_are_checked(bad):
    with pytest.raises(InvalidSettings):
        BreakerSettings(**bad)


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens: while half open at most one trial, and an open one opens again some time."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(BreakerSettings(failures=2, open_s=1, open_max_s=4), clock=self.clock)
        self.without_verdict, self.openings = [], 0
        self.was = "closed"

    @precondition(lambda self: self.breaker.admits)
    @rule(good=st.sampled_from([True, False, None]))
    def request(self, good):
        passage = self.breaker.begin()
        trial = passage.trial
        assert trial == (self.breaker.state == "half_open")
        if trial:
            assert not self.breaker.admits
        if good is not None:
            self.breaker.succeeded() if good else self.breaker.failed(passage)
        else:
            self.without_verdict.append((passage, self.openings))
        if trial:
            self.breaker.forget(passage)

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds):
        self.clock.now += seconds

    @precondition(lambda self: self.without_verdict)
    @rule()
    def late_failure(self):
        passage, openings = self.without_verdict.pop()
        before = self.breaker.state, self.breaker.opens_in_s
        self.breaker.failed(passage)
        if openings < self.openings:
            assert (self.breaker.state, self.breaker.opens_in_s) == before

    @invariant()
    def counts_openings(self):
        self.openings += self.was != "open" and self.breaker.state == "open"
        self.was = self.breaker.state

    @invariant()
    def opens_again(self):
        assert 0 <= self.breaker.opens_in_s < 4.001
        assert self.breaker.admits == (self.breaker.state != "open")


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=40, deadline=None)
