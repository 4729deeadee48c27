"""The overhead of a turn: what is left out of it, what is not, and what the first turn has to itself."""

import time

import pytest

from workbench import EngineSettings
from workbench.errors import InvalidSettings
from workbench.evaluation.turn_overhead import turn_overhead
from workbench.testing import Reply, ScriptedEngine


class SlowCounting(ScriptedEngine):
    """Takes its time over answers, which is its own, and over counting, which is not."""

    def count_tokens(self, prompt):
        time.sleep(0.02)
        return super().count_tokens(prompt)


def scripted(kind=ScriptedEngine, **reply):
    return kind(Reply("Yes.", **reply), settings=EngineSettings(n_ctx=4096))


def overhead(engine, folder, filler=None):
    memory = ("hybrid", {"dense_weight": 0.0})
    return turn_overhead(engine, folder, filler=filler, messages=20, turns=3, max_tokens=1, memory=memory)


def test_the_filler_makes_the_conversation_and_the_engine_is_asked_what_is_measured(tmp_path):
    engine, filler = scripted(), scripted()
    seen = overhead(engine, tmp_path, filler)
    assert len(filler.requests) == 10
    assert len(engine.requests) == 4, "three, and the first"
    assert {request.max_tokens for request in engine.requests} == {1}
    assert seen["first_turn_ms"] > 0


def test_answering_is_the_engines_own_time_and_counting_is_not(tmp_path):
    slow = overhead(scripted(first_delay_s=0.3), tmp_path / "a", scripted())
    assert slow["overhead_p50_ms"] < 150
    counting = overhead(scripted(SlowCounting), tmp_path / "b", scripted())
    assert counting["overhead_p50_ms"] >= 20


def test_nothing_to_measure_is_refused(tmp_path):
    with pytest.raises(InvalidSettings, match="1 turn"):
        turn_overhead(scripted(), tmp_path, turns=0)
