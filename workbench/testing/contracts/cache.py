"""The contract of :class:`workbench.interfaces.Cache`."""
# ruff: noqa: ARG001, D102, S101 - these are tests: they assert, and their names say what they show

from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.interfaces import Cache
from workbench.testing.contracts.threads import DEADLINE_S, at_once

TEXTS = ("", "a", "ä 🌍", "x" * 1000, "../", "nul\0", "line\nbreak")
_KEYS = st.sampled_from(["a", "b", "ä", "../x", ""])
_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _KEYS, st.text(max_size=20)),
        st.tuples(st.just("get"), _KEYS, st.just("")),
        st.tuples(st.just("compute"), _KEYS, st.text(max_size=20)),
        st.tuples(st.just("clear"), st.just(""), st.just("")),
    ),
    max_size=40,
)


class CacheContract:
    """Inherit and override :meth:`make`. Entries of these tests must not expire while they run.

    Attributes:
        budget_bytes: the budget of the caches ``make`` gives; ``None``: none, and eviction is not tested.
    """

    budget_bytes: int | None = None

    def make(self) -> Cache:
        """A new, empty cache with a budget of ``budget_bytes``. Override."""
        raise NotImplementedError("Override make() so that it returns a new, empty cache.")

    def test_it_is_a_cache(self) -> None:
        assert isinstance(self.make(), Cache), "A cache has every member of workbench.interfaces.Cache."

    @pytest.mark.parametrize("text", TEXTS)
    def test_what_was_put_is_got(self, text: str) -> None:
        cache = self.make()
        assert cache.get(text) is None, "A key nobody put is a miss."
        cache.put(text, text)
        assert cache.get(text) == text, "get gives back what was put; the empty text is a value, not a miss."

    def test_the_last_value_counts(self) -> None:
        cache = self.make()
        for value in ("one", "two"):
            cache.put("key", value)
        assert cache.get("key") == "two", "put takes the place of the value before."
        assert cache.stats.entries == 1, "A key has one entry."

    def test_counters(self) -> None:
        cache = self.make()
        assert cache.stats.hit_rate is None, "Before the first look-up there is no hit rate."
        cache.get("a")
        cache.put("a", "1")
        cache.get("a")
        cache.get_or_compute("a", lambda: "2")
        cache.get_or_compute("b", lambda: "2")
        stats = cache.stats
        assert (stats.hits, stats.misses, stats.entries) == (2, 2, 2), "Each look-up is one hit or one miss."
        assert stats.hit_rate == 0.5, "hit_rate is hits per look-up."
        assert stats.bytes > 0, "Entries take bytes."

    def test_clear_drops_entries_and_keeps_counters(self) -> None:
        cache = self.make()
        cache.put("a", "1")
        cache.get("a")
        cache.clear()
        assert (cache.stats.entries, cache.stats.bytes, cache.stats.hits) == (0, 0, 1), "clear keeps the counters."
        assert cache.get("a") is None, "After clear every key is a miss."

    def test_get_or_compute_keeps_what_it_computed(self) -> None:
        cache = self.make()
        assert cache.get_or_compute("a", lambda: "first") == "first", "A missing key is computed."
        assert cache.get_or_compute("a", lambda: "second") == "first", "A kept key is not computed again."
        assert cache.get("a") == "first", "What was computed is kept."

    def test_a_stampede_computes_once(self) -> None:
        cache, calls, asked = self.make(), list[int](), threading.Semaphore(0)

        def compute() -> str:
            calls.append(1)
            for _ in range(8):
                asked.acquire(timeout=0.05)  # give the others time to ask for the same key
            return "value"

        def ask(number: int) -> str:
            asked.release()
            return cache.get_or_compute("key", compute)

        assert at_once(8, ask) == ["value"] * 8, "Everybody who waits gets the value."
        assert len(calls) == 1, "A key is computed once however many ask at once."

    def test_a_failing_compute_raises_for_all_who_wait_and_keeps_nothing(self) -> None:
        cache = self.make()

        def compute() -> str:
            raise LookupError("no answer")

        def ask(number: int) -> str:
            with pytest.raises(LookupError, match="no answer"):
                cache.get_or_compute("key", compute)
            return "raised"

        assert at_once(4, ask) == ["raised"] * 4, "A failing compute raises for all who wait."
        assert cache.get("key") is None, "Nothing is kept of a failing compute."
        assert cache.get_or_compute("key", lambda: "now") == "now", "A later call computes anew."

    def test_other_keys_do_not_wait(self) -> None:
        cache, entered, release = self.make(), threading.Event(), threading.Event()

        def slow() -> str:
            entered.set()
            release.wait(DEADLINE_S)
            return "slow"

        thread = threading.Thread(target=cache.get_or_compute, args=("slow", slow))
        thread.start()
        try:
            assert entered.wait(DEADLINE_S), "compute is called."
            assert at_once(1, lambda _: cache.get_or_compute("quick", lambda: "quick")) == ["quick"], (
                "While one key is computed, others are served."
            )
        finally:
            release.set()
            thread.join(DEADLINE_S)

    def test_a_compute_may_use_the_cache(self) -> None:
        cache = self.make()
        outer = at_once(1, lambda _: cache.get_or_compute("a", lambda: "<" + cache.get_or_compute("b", _inner) + ">"))
        assert outer == ["<inner>"], "compute may ask for another key."

    def test_the_least_recently_used_go_when_the_budget_is_spent(self) -> None:
        if self.budget_bytes is None:
            pytest.skip("the cache has no budget")
        cache, value = self.make(), "v" * (self.budget_bytes // 10)
        cache.put("used", value)
        for number in range(30):
            cache.put(f"key {number}", value)
            assert cache.get("used") == value, "What is used often stays."
            assert cache.get(f"key {number}") == value, "What was put last is there."
            assert cache.stats.bytes <= self.budget_bytes, "The entries never take more than the budget."
        assert cache.get("key 0") is None, "The least recently used go."

    def test_a_value_beyond_the_budget_is_not_kept(self) -> None:
        if self.budget_bytes is None:
            pytest.skip("the cache has no budget")
        cache = self.make()
        cache.put("small", "1")
        cache.put("large", "v" * (self.budget_bytes + 1))
        assert cache.get("large") is None, "A value larger than the whole budget is not kept."
        assert cache.get("small") == "1", "It does not push others out."
        assert len(cache.get_or_compute("large", lambda: "v" * (self.budget_bytes or 0) * 2)) > self.budget_bytes, (
            "It is handed out all the same."
        )

    def test_close_is_idempotent(self) -> None:
        cache = self.make()
        cache.close()
        cache.close()

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(operations=_OPERATIONS)
    def test_it_never_gives_a_value_nobody_put(self, operations: list[tuple[str, str, str]]) -> None:
        cache, model = self.make(), dict[str, str]()
        lookups = 0
        for operation, key, value in operations:
            if operation == "put":
                cache.put(key, value)
                model[key] = value
            elif operation == "get":
                assert cache.get(key) in (model.get(key), None), "A value is the last one put, or a miss."
                lookups += 1
            elif operation == "compute":
                got = cache.get_or_compute(key, lambda value=value: value)  # type: ignore[misc]
                assert got in (model.get(key), value), "The kept value, or the computed one."
                model[key], lookups = got, lookups + 1
            else:
                cache.clear()
                model.clear()
        stats = cache.stats
        assert stats.hits + stats.misses == lookups, "Each look-up is one hit or one miss."
        assert stats.entries <= len(model), "Nothing is kept that nobody put."
        cache.close()


def _inner() -> str:
    return "inner"
