"""Counts are made once, values of a while once a while, and by one of many who ask."""

import threading

import pytest

from workbench.caching import CountingMemo, TtlValue
from workbench.errors import InvalidSettings
from workbench.interfaces import Message
from workbench.testing import ScriptedEngine


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_each_prompt_is_counted_once_and_rightly():
    engine = ScriptedEngine()
    memo = CountingMemo(engine.count_tokens)
    call = Message("assistant", "", tool_calls=({"function": {"name": "f", "arguments": "{}"}},))
    prompts = ["Hi", [Message.user("Hi")], [Message.assistant("Hi")], [Message.user("Hi"), call], [1, 2, 3]]
    for _ in range(3):
        assert [memo(prompt) for prompt in prompts] == [engine.count_tokens(prompt) for prompt in prompts]
    assert (memo.misses, memo.hits) == (5, 10)


def test_it_is_bounded_and_forgets_what_was_used_least():
    asked = []
    memo = CountingMemo(lambda prompt: asked.append(prompt) or 1, max_entries=2)
    for prompt in ("a", "b", "a", "c", "a", "b"):
        memo(prompt)
    assert asked == ["a", "b", "c", "b"]
    memo.clear()
    memo("a")
    assert asked[-1] == "a"
    with pytest.raises(InvalidSettings):
        CountingMemo(len, max_entries=0)


def test_a_value_is_good_for_a_while():
    clock, made = Clock(), []
    value = TtlValue(lambda: made.append(1) or len(made), 10, clock=clock)
    assert [value(), value()] == [1, 1]
    clock.now = 10
    assert value() == 2
    value.forget()
    assert value() == 3
    with pytest.raises(InvalidSettings):
        TtlValue(lambda: 1, 0)


def test_one_computes_for_all_and_a_failure_is_not_kept():
    release, calls = threading.Event(), []

    def compute():
        calls.append(1)
        release.wait(30)
        if len(calls) == 1:
            raise TimeoutError("down")
        return "up"

    value, seen = TtlValue(compute, 10), []

    def ask():
        try:
            seen.append(value())
        except TimeoutError as error:
            seen.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    threading.Timer(0.1, release.set).start()
    for thread in threads:
        thread.join(30)
    assert "down" in seen
    assert value() == "up"
    assert len(calls) == 2
