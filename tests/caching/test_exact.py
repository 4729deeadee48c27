"""The exact cache keeps the contract of a cache, is an LRU to the byte, and lets entries expire."""

import threading
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.caching import ExactCache
from workbench.caching.once import Once
from workbench.errors import InvalidSettings, UsageError
from workbench.testing import CacheContract


class TestExactContract(CacheContract):
    budget_bytes = 10_000

    def make(self):
        return ExactCache(max_bytes=self.budget_bytes)


class TestExpiringContract(CacheContract):
    budget_bytes = 10_000

    def make(self):
        return ExactCache(max_bytes=self.budget_bytes, ttl_s=3600)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_expired_entry_is_a_miss_and_takes_no_room():
    clock = Clock()
    cache = ExactCache(max_bytes=100, ttl_s=10, clock=clock)
    cache.put("a", "1")
    clock.now = 9.9
    assert cache.get("a") == "1"
    clock.now = 10.0
    assert cache.get("a") is None
    assert cache.stats.bytes == cache.stats.entries == 0


def test_putting_again_renews_the_age():
    clock = Clock()
    cache = ExactCache(max_bytes=100, ttl_s=10, clock=clock)
    cache.put("a", "1")
    clock.now = 8
    cache.put("a", "2")
    clock.now = 15
    assert cache.get("a") == "2"


def test_bytes_are_utf8_bytes_of_keys_and_values():
    cache = ExactCache(max_bytes=100)
    cache.put("ä", "🌍")
    assert cache.stats.bytes == 2 + 4


def test_a_value_too_large_replaces_the_old_one_by_nothing():
    cache = ExactCache(max_bytes=10)
    cache.put("a", "small")
    cache.put("a", "x" * 100)
    assert cache.get("a") is None, "an outdated value would be worse than none"


def test_a_computation_that_asks_for_itself_is_refused():
    cache = ExactCache(max_bytes=100)
    with pytest.raises(UsageError, match="asks for 'a' itself"):
        cache.get_or_compute("a", lambda: cache.get_or_compute("a", lambda: "1"))
    assert cache.get_or_compute("a", lambda: "2") == "2"


@pytest.mark.parametrize("limits", [{"max_bytes": 0}, {"ttl_s": 0}, {"ttl_s": -1.0}])
def test_limits_must_be_above_zero(limits):
    with pytest.raises(InvalidSettings, match="above 0"):
        ExactCache(**limits)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 12))), max_size=60),
    st.integers(1, 30),
)
def test_it_is_an_lru_to_the_byte(operations, max_bytes):
    """Against a plain model: look-ups (None) and values of some length."""
    cache, model = ExactCache(max_bytes=max_bytes), OrderedDict()

    def size(key):
        return 1 + max(1, len(model[key]))

    for key, length in operations:
        if length is None:
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
            continue
        cache.put(key, "x" * length)
        model.pop(key, None)
        model[key] = "x" * length
        if size(key) > max_bytes:
            del model[key]
        while sum(map(size, model)) > max_bytes:
            model.popitem(last=False)
        assert cache.stats.entries == len(model)
        assert cache.stats.bytes == sum(map(size, model))


def test_other_keys_do_not_wait_for_a_look_up():
    once, entered, release = Once(), threading.Event(), threading.Event()

    def slow():
        entered.set()
        release.wait(30)
        return "slow"

    thread = threading.Thread(target=once.value, args=("slow", slow, str))
    thread.start()
    assert entered.wait(30)
    quick = threading.Thread(target=once.value, args=("quick", lambda: "quick", str))
    quick.start()
    quick.join(10)
    waited = quick.is_alive()
    release.set()
    for one in (thread, quick):
        one.join(30)
    assert not waited
    assert not once._desks, "nothing is left behind"
