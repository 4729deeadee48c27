"""The radix tree finds what a naive search over all entries finds."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.engine.reuse.prefix_index import PrefixIndex, pack, unpack
from workbench.engine.reuse.slot import common_prefix

TOKENS = st.lists(st.integers(0, 1), max_size=6).map(tuple)  # few tokens: many shared beginnings, many removals
STEPS = st.lists(st.tuples(st.sampled_from(["put", "remove"]), TOKENS), max_size=40)


def shared(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def built(steps):
    index, naive = PrefixIndex(), {}
    for number, (step, tokens) in enumerate(steps):
        if step == "put":
            index.put(tokens, number)
            naive[tokens] = number
        else:
            assert index.remove(tokens) == naive.pop(tokens, None)
    return index, naive


@settings(max_examples=200, deadline=None)
@given(STEPS, TOKENS)
def test_it_answers_as_a_dictionary_of_all_entries(steps, asked):
    index, naive = built(steps)
    by_value = {value: tokens for tokens, value in naive.items()}
    best = max((shared(tokens, asked) for tokens in naive), default=0)
    length, value = index.longest(asked)
    assert length == best
    assert (value is None) == (best == 0)
    if best:
        fitting = [len(tokens) for tokens in naive if shared(tokens, asked) == best]
        assert shared(by_value[value], asked) == best
        assert len(by_value[value]) == min(fitting)
    wholes = sorted((t for t in naive if t and asked[: len(t)] == t), key=len)
    assert index.wholes(asked) == [naive[t] for t in wholes]
    assert index.get(asked) == naive.get(asked)
    assert len(index) == len(naive)
    assert sorted(index) == sorted(naive.values())


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_no_node_is_left_over(steps):
    index, naive = built(steps)
    waiting = list(index._root.children.values())
    while waiting:
        node = waiting.pop()
        assert node.held or len(node.children) > 1, "edges are compressed again after a removal"
        waiting.extend(node.children.values())
    for tokens in naive:
        index.remove(tokens)
    assert not index._root.children
    assert index._root.nearest is None


def test_an_edge_that_was_split_is_whole_again_when_one_side_goes():
    index = PrefixIndex()
    index.put([1, 2, 3, 4], "a")
    index.put([1, 2, 5], "b")
    assert index.remove([1, 2, 5]) == "b"
    (child,) = index._root.children.values()
    assert unpack(child.edge) == (1, 2, 3, 4)
    assert index.longest([1, 2, 3, 9]) == (3, "a")


def test_long_edges_and_large_ids():
    base = [random.Random(0).randrange(2**31 - 1) for _ in range(5000)]
    index = PrefixIndex()
    index.put(base, "long")
    index.put(base[:3000], "short")
    assert index.longest([*base[:4321], 7]) == (4321, "long")
    assert index.longest([*base[:2999], 7]) == (2999, "short")
    assert index.longest(base) == (5000, "long")
    assert index.longest([7, *base]) == (0, None)
    assert index.remove(base[:2999]) is None
    assert index.remove(base[:3000]) == "short"
    assert index.longest([*base[:10], 7]) == (10, "long")


def test_the_empty_sequence_is_an_entry_that_nothing_shares():
    index = PrefixIndex()
    index.put([], "empty")
    assert (len(index), index.longest([]), index.longest([1])) == (1, (0, None), (0, None))
    assert index.remove([]) == "empty"
    assert len(index) == 0


@given(TOKENS, TOKENS)
def test_common_prefix(a, b):
    assert common_prefix(a, b) == shared(a, b)
    assert unpack(pack(a)) == a


def test_a_look_up_takes_no_step_of_python_per_token(monkeypatch: pytest.MonkeyPatch):
    """1,000 entries with shared beginnings, a prompt of 4,000 tokens: the best of many tries, on whatever machine."""
    rng = random.Random(1)
    trunks = [[rng.randrange(49_152) for _ in range(2000)] for _ in range(20)]
    index: PrefixIndex[int] = PrefixIndex()
    for number in range(1000):
        index.put([*trunks[number % 20], *(rng.randrange(49_152) for _ in range(rng.randrange(1, 2500)))], number)
    prompt = [*trunks[3], *(rng.randrange(49_152) for _ in range(2000))]
    times = []
    for _ in range(200):
        started = time.perf_counter()
        length, _ = index.longest(prompt)
        times.append(time.perf_counter() - started)
    assert length >= 2000
    assert min(times) < 1e-3
