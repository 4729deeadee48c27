"""States in host memory: a budget, the least recently used, what covers what."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.engine.reuse.host_tier import HostTier


def kept(tier: HostTier, tokens) -> bool:
    shared, _ = tier.longest(tokens)
    return shared == len(tokens)


def test_what_is_kept_is_found_by_its_longest_prefix():
    tier = HostTier(1000)
    assert tier.put([1, 2, 3, 4], b"x" * 40)
    length, entry = tier.longest([1, 2, 3, 9])
    assert (length, entry.tokens, entry.state, entry.size) == (3, (1, 2, 3, 4), b"x" * 40, 40)
    assert tier.longest([9]) == (0, None)
    assert (tier.used_bytes, len(tier)) == (40, 1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_states_are_kept_by_reference(kind):
    state = kind(b"abc")
    tier = HostTier(3)
    assert tier.put([1], state)
    assert tier.longest([1])[1].state is state
    assert tier.used_bytes == 3


def test_the_least_recently_used_leaves_and_is_spilled():
    spilled = []
    tier = HostTier(30, spilled.append)
    for token in (1, 2, 3):
        tier.put([token, 0], bytes(10))
    tier.touch(tier.longest([1, 0])[1])
    tier.put([4, 0], bytes(10))
    assert [entry.tokens for entry in spilled] == [(2, 0)]
    assert [kept(tier, [token, 0]) for token in (1, 2, 3, 4)] == [True, False, True, True]


def test_what_is_larger_than_the_budget_is_refused_and_changes_nothing():
    spilled = []
    tier = HostTier(30, spilled.append)
    tier.put([1], bytes(30))
    assert not tier.put([1, 2], bytes(31))
    assert kept(tier, [1])
    assert not spilled
    assert not HostTier(0).put([1], b"x")
    assert not tier.put([], b"x")
    assert not tier.put([5], b"")


def test_a_longer_one_supersedes_and_a_shorter_one_is_not_needed():
    spilled = []
    tier = HostTier(100, spilled.append)
    tier.put([1, 2], bytes(20))
    tier.put([1, 9], bytes(20))
    assert tier.put([1, 2, 3], bytes(30))
    assert (len(tier), tier.used_bytes) == (2, 50)
    assert tier.covers([1, 2])
    assert not tier.covers([1, 3])
    assert tier.put([1, 2], bytes(20))
    assert (len(tier), tier.used_bytes) == (2, 50)
    assert not spilled, "what is covered needs no place on disk"


def test_a_covered_one_counts_as_a_use():
    tier = HostTier(40)
    tier.put([1, 2], bytes(20))
    tier.put([3], bytes(20))
    tier.put([1], bytes(10))
    tier.put([4], bytes(20))
    assert kept(tier, [1, 2])
    assert not kept(tier, [3])


def test_states_that_cannot_be_cut_stand_for_themselves_only():
    tier = HostTier(100, divisible=False)
    tier.put([1, 2, 3, 4], bytes(10))
    tier.put([1, 2], bytes(10))
    assert len(tier) == 2
    assert tier.longest([1, 2, 3])[0] == 2
    assert tier.longest([1, 2, 3, 4, 5])[0] == 4
    assert tier.longest([1]) == (0, None)


def test_popped_and_cleared_states_are_not_spilled():
    spilled = []
    tier = HostTier(100, spilled.append)
    tier.put([1], bytes(10))
    tier.put([2], bytes(10))
    entry = tier.longest([1])[1]
    tier.pop(entry)
    tier.pop(entry)
    tier.touch(entry)
    assert (tier.used_bytes, len(tier), entry in tier) == (10, 1, False)
    tier.clear()
    assert (tier.used_bytes, len(tier), spilled) == (0, 0, [])


def test_resizing_spills_what_no_longer_fits():
    spilled = []
    tier = HostTier(100, spilled.append)
    for token in range(1, 6):
        tier.put([token], bytes(20))
    tier.resize(50)
    assert [entry.tokens for entry in spilled] == [(1,), (2,), (3,)]
    tier.resize(0)
    assert (len(spilled), tier.used_bytes, len(tier)) == (5, 0, 0)
    tier.resize(20)
    assert tier.put([7], bytes(20))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=5), st.integers(0, 40)), max_size=30))
def test_the_books_balance(puts):
    spilled = []
    tier = HostTier(60, spilled.append)
    for tokens, size in puts:
        assert not tier.put(tokens, bytes(size)) or kept(tier, tokens)
        entries = list(tier._by_use)
        assert tier.used_bytes == sum(entry.size for entry in entries) <= 60
        assert len(tier._index) == len(entries)
        for entry in entries:
            covering = [e for e in entries if e is not entry and e.tokens[: len(entry.tokens)] == entry.tokens]
            assert not covering
