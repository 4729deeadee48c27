"""Voices that share one story: who speaks, what joins it, what is forgotten, and how much KV they share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

import workbench as wb
from workbench.conversation.cast import Cast
from workbench.conversation.context import UNKNOWN_CONTEXT
from workbench.endpoint import EndpointEngine
from workbench.errors import ContextOverflow, InvalidSettings, UnknownName
from workbench.evaluation.workloads import prose
from workbench.interfaces import Engine, Message, Request
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine

RULES = "A story in an old harbour town. Keep to what has been told."
ROLES = {
    "narrator": "You tell what happens, in the past tense.",
    "Mira": "You are Mira, who mends clocks.",
    "Tom": "You are Tom, who keeps the ferry.",
    "Ada": "You are Ada, who counts everything.",
}


def text_of(messages: list[Message] | Request) -> str:
    prompt: Any = messages.prompt if isinstance(messages, Request) else messages
    return "\n".join(message.content for message in prompt)


def common(first: str, second: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def test_lines_join_the_story_in_order() -> None:
    engine = ScriptedEngine(["Fog lay on the quay.", "Who is there?", "Only me."])
    cast = Cast(engine, RULES, ROLES)
    cast.tell("player", "I knock.")
    assert cast.say("narrator", "Begin.").text == "Fog lay on the quay."
    assert [line.text for line in cast.round(["Mira", "Tom"])] == ["Who is there?", "Only me."]
    assert [who for who, _ in cast.lines] == ["player", "narrator", "Mira", "Tom"]
    assert "player: I knock.\nnarrator: Fog lay on the quay." in text_of(engine.requests[1])


def test_nobody_hears_the_others_of_a_round() -> None:
    engine = ScriptedEngine(["First.", "Second."])
    Cast(engine, RULES, ROLES).round(["Mira", "Tom"], "A bell rings.")
    assert "First." not in text_of(engine.requests[1])
    assert all("A bell rings." in text_of(request) for request in engine.requests)


@pytest.mark.parametrize("layout", ["shared", "own-first"])
def test_each_is_told_who_it_is_and_all_the_rest(layout: Any) -> None:
    cast = Cast(ScriptedEngine(), RULES, ROLES, scene="It is night.", layout=layout)
    cast.tell("player", "I knock.")
    for role, card in ROLES.items():
        told = text_of(cast.prompt(role, "Answer."))
        assert all(part in told for part in (card, RULES, "It is night.", "I knock.", "Answer."))
        assert not any(other in told for other in ROLES.values() if other != card)


def test_what_is_ones_own_stands_behind_everything_shared() -> None:
    cast = Cast(ScriptedEngine(), RULES, ROLES, scene="It is night.")
    for number in range(20):
        cast.tell("player", f"Line {number}.")
    first, second = text_of(cast.prompt("Mira", "Go on.")), text_of(cast.prompt("Tom", "Go on."))
    shared = first[: common(first, second)]
    assert "Line 19." in shared
    assert "It is night." in shared


def test_a_scene_is_asked_each_time_and_leaves_the_story_its_place() -> None:
    hours = iter(["It is noon.", "It is night."])
    cast = Cast(ScriptedEngine(), RULES, ROLES, scene=lambda: next(hours))
    cast.tell("player", "I wait for hours.")
    noon, night = text_of(cast.prompt("Mira")), text_of(cast.prompt("Mira"))
    assert "It is noon." in noon
    assert "It is night." in night
    assert "I wait for hours." in noon[: common(noon, night)]


def test_a_stream_gives_chunks_at_once_and_joins_the_story_even_if_it_is_left() -> None:
    cast = Cast(ScriptedEngine("One two three four five six."), RULES, ROLES)
    whole = "".join(chunk.text for chunk in cast.stream("Mira"))
    assert cast.lines == (("Mira", whole),)
    stream = cast.stream("Tom")
    assert isinstance(stream, Iterator)
    begun = next(stream).text
    stream.close()  # type: ignore[attr-defined]
    assert cast.lines[-1] == ("Tom", begun.strip())


def test_unknown_names_are_refused_before_anybody_speaks() -> None:
    engine = ScriptedEngine()
    cast = Cast(engine, RULES, ROLES)
    with pytest.raises(UnknownName, match="Known: Ada, Mira, Tom, narrator"):
        cast.round(["Mira", "Mirra"])
    assert not engine.requests
    with pytest.raises(InvalidSettings, match="needs roles"):
        Cast(engine, RULES, {})
    with pytest.raises(InvalidSettings, match="own-first"):
        Cast(engine, RULES, ROLES, layout="mine")  # type: ignore[arg-type]


def test_a_story_too_long_forgets_half_at_once_and_seldom() -> None:
    engine = ScriptedEngine("So it went on and on.", settings=EngineSettings(n_ctx=256))
    cast = Cast(engine, RULES, ROLES, max_tokens=16)
    forgotten = set()
    for number in range(120):
        cast.say("Mira", f"Cue {number}.")
        forgotten.add(cast.forgotten)
    assert len(cast.lines) == 120
    assert 2 <= len(forgotten) <= 30
    assert "Cue 119." in text_of(engine.requests[-1])


def test_where_nobody_knows_the_context_the_story_has_an_end_too() -> None:
    with EndpointEngine("mock", provider="openai", base_url="http://127.0.0.1:9/v1") as engine:
        cast = Cast(engine, RULES, ROLES)
        for _ in range(120):
            cast.tell("player", "So it went on and on. " * 12)
        assert engine.count_tokens(cast.prompt("Mira")) < UNKNOWN_CONTEXT
    assert cast.forgotten > 0


def test_a_longer_line_gets_its_room() -> None:
    engine = ScriptedEngine("So it went.", settings=EngineSettings(n_ctx=256))
    cast = Cast(engine, RULES, ROLES, max_tokens=16)
    for number in range(20):
        cast.tell("player", f"I say {number}.")
    cast.say("Mira", max_tokens=150)
    cast.round(["Tom"], max_tokens=160)
    list(cast.stream("Ada", max_tokens=170))
    asked = [engine.count_tokens(request.prompt) + (request.max_tokens or 0) for request in engine.requests]
    assert max(asked) <= 256


def test_what_cannot_fit_says_so() -> None:
    cast = Cast(ScriptedEngine(settings=EngineSettings(n_ctx=64)), "word " * 80, ROLES, max_tokens=16)
    with pytest.raises(ContextOverflow, match="Shorten the rules"):
        cast.say("Mira")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with wb.load("smollm2-135m", n_ctx=4096, n_seq_max=4, n_threads=1) as engine:
        yield engine


def computed(engine: Engine, layout: Any, story: str) -> int:
    """Prompt tokens computed by a round of four voices and a line of the narrator's."""
    cast = Cast(engine, RULES, ROLES, layout=layout, max_tokens=2, temperature=0)
    cast.tell("player", story)
    lines = [*cast.round(list(ROLES)), cast.say("narrator", "Go on.")]
    for line in lines:
        assert line.receipt is not None
        assert line.receipt.cached_tokens + line.receipt.recomputed_tokens == line.timings.prompt_tokens
    return sum(line.receipt.recomputed_tokens for line in lines if line.receipt)


@pytest.mark.model
def test_four_voices_on_a_real_model_compute_the_story_once(engine: Engine) -> None:
    shared = computed(engine, "shared", "".join(islice(prose("shared"), 7)))
    own = computed(engine, "own-first", "".join(islice(prose("own"), 7)))
    assert shared < 0.5 * own


@pytest.mark.model
def test_sharing_does_not_change_what_is_said(engine: Engine) -> None:
    cast = Cast(engine, RULES, ROLES, max_tokens=8, temperature=0)
    cast.tell("player", "The clock in the tower has stopped.")
    alone = [engine.complete(cast.prompt(role), max_tokens=8, temperature=0, cache_prompt=False).text for role in ROLES]
    assert [line.text for line in cast.round(list(ROLES))] == alone
