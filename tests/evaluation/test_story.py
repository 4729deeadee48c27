"""The scripted story: it is what it says, both ways end in one world, and the figures are those of the requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import workbench as wb
from workbench.conversation.tools import Toolbox, World
from workbench.errors import InvalidSettings
from workbench.evaluation.story import Watch, story_figures, tell, tell_one_by_one
from workbench.evaluation.story_engine import PuppetEngine
from workbench.evaluation.story_script import story_script
from workbench.interfaces import Engine, Request
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine


def reader() -> ScriptedEngine:
    """It counts words and says enough of them."""
    return ScriptedEngine("word " * 600, settings=EngineSettings(n_ctx=8192))


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return story_figures(reader())


def test_the_script_has_twenty_turns_of_seven_to_eleven_single_calls() -> None:
    turns = story_script().turns
    assert len(turns) == 20
    assert all(7 <= len(turn.reads) + len(turn.writes) <= 11 for turn in turns)
    assert len({turn.user for turn in turns}) == 20


def test_the_measures_of_a_story_turn(figures: dict[str, Any]) -> None:
    assert figures["calls_max"] <= 6
    assert 7 <= figures["off_calls_mean"] <= 11
    assert figures["input_ratio"] <= 0.7
    assert figures["writes_before_first"] == 0
    assert figures["off_writes_before_first"] > 20
    assert figures["same_world"] == 1
    assert figures["failed_calls"] == 0


def test_requests_are_one_for_reads_one_for_the_answer_one_for_writes(figures: dict[str, Any]) -> None:
    assert figures["requests_mean"] == 3
    assert figures["off_requests_mean"] == figures["off_calls_mean"] + 1
    assert story_figures(reader(), turns=5, by_rule=True)["requests_mean"] == 2


def test_both_ways_say_the_same_and_know_what_they_looked_up() -> None:
    script, puppet = story_script(), PuppetEngine(reader(), story_script().line)
    toolbox = Toolbox(*World(script.world).tools())
    told = tell(puppet, script, toolbox, 3, Watch())
    off = tell_one_by_one(puppet, script, World(script.world).single_tools(), 3, Watch())
    for turn, ours, theirs in zip(script.turns, told, off, strict=False):
        answers = {one.said for one in (*ours.asked, *theirs.asked) if not one.said.startswith("{")}
        assert answers == {turn.told}
        assert [call.name for call in theirs.calls] == [name for name, _ in (*turn.reads, *turn.writes)]
        assert ours.confirmation.startswith("Saved")
    place = told[1].asked[1].request.prompt
    assert "brass key" in str(place)  # written in the first turn, read in the second


def test_slow_writes_delay_everything_off_but_not_this_way() -> None:
    quick, slow = (story_figures(reader(), turns=3, write_s=write_s) for write_s in (0.0, 0.1))
    delay_of_off = slow["off_first_chunk_ms"] - quick["off_first_chunk_ms"]
    assert delay_of_off > 200  # at least three writes of 100 ms
    assert slow["first_chunk_ms"] - quick["first_chunk_ms"] < 0.5 * delay_of_off


class WritesFirst(Toolbox):
    """What must not be: it writes before the answer streams."""

    def before(self, engine: Any, messages: Any, *, turn: int, options: Any) -> Any:
        notes = super().before(engine, messages, turn=turn, options=options)
        self.after(engine, messages, "Once.", turn=turn, options=options)
        return notes


def test_writes_before_the_first_chunk_are_seen_and_delay_it() -> None:
    script, watch = story_script(), Watch(write_s=0.1)
    tools = watch.over(World(script.world).tools())
    early = tell(PuppetEngine(reader(), script.line), script, WritesFirst(*tools), 2, watch)
    assert all(turn.writes_before_first >= 1 for turn in early)
    assert all(turn.first_chunk_ms - turn.reads_ms - turn.prefill_ms >= 100 for turn in early)


def test_planning_is_told_apart_from_batches(figures: dict[str, Any]) -> None:
    assert figures["plan_calls_mean"] == figures["off_calls_mean"]
    assert figures["plan_requests_mean"] == figures["requests_mean"] == 3
    assert figures["plan_calls_max"] > figures["calls_max"]
    assert figures["plan_input_ratio"] < 1
    assert figures["compressions"] == figures["plan_compressions"] == 0


def test_a_story_longer_than_the_script_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="20 turns"):
        story_figures(reader(), turns=21)


def test_a_puppet_says_the_script_and_counts_what_was_computed() -> None:
    puppet = PuppetEngine(reader(), lambda request: "One two three.")
    assert puppet.complete("Hm?").text == "One two three."
    assert "".join(chunk.text for chunk in puppet.stream(Request(prompt="Hm?"))) == "One two three."
    assert [one.timings.prompt_tokens for one in puppet.asked] == [puppet.count_tokens("Hm?")] * 2
    assert {one.timings.output_tokens for one in puppet.asked} == {len(puppet.tokenize("One two three."))}


def test_no_way_finds_the_others_kv() -> None:
    engine = reader()
    story_figures(engine, turns=1)
    openings = {request.prompt[0].content[:10] for request in engine.requests}
    assert openings == {"Telling 0.", "Telling 1.", "Telling 2."}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with wb.load("smollm2-135m", n_ctx=2048, n_seq_max=2, n_threads=1) as engine:
        yield engine


@pytest.mark.model
def test_a_real_model_takes_far_fewer_tokens_and_reuses_most_of_them(engine: Engine) -> None:
    figures = story_figures(engine, turns=1, decodes=False)
    assert figures["input_ratio"] <= 0.7
    assert figures["computed_tokens"] < 0.6 * figures["input_tokens"]
    assert figures["same_world"] == 1
