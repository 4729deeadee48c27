"""A story's world: what is read, what is written, and that batches do what single calls do."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.conversation.tools import World
from workbench.conversation.tools.world import MEMORIES_SHOWN, NewMemory
from workbench.evaluation.story_script import StoryTurn

START: dict[str, Any] = {
    "scene": "quay",
    "characters": {"Mira": {"place": "quay", "mood": "calm"}, "Tom": {"place": "mill"}},
    "holders": {"rope": "quay", "key": "Mira"},
    "bonds": {"Mira > Tom": "trusts", "Tom > Mira": "fears"},
    "facts": ["It rains."],
}


def test_a_scene_is_who_and_what_is_there() -> None:
    assert World(START).get_scene() == {"place": "quay", "present": ["Mira"], "items": ["rope"], "facts": ["It rains."]}


def test_a_character_is_read_whole_with_several_others() -> None:
    world = World(START)
    for number in range(MEMORIES_SHOWN + 1):
        world.add_memory("Mira", f"thing {number}")
    seen = world.get_characters(["Mira", "Tom"])
    assert seen["Mira"]["items"] == ["key"]
    assert seen["Mira"]["relationships"] == ["Mira trusts Tom", "Tom fears Mira"]
    assert seen["Mira"]["memories"] == [f"thing {number}" for number in range(1, MEMORIES_SHOWN + 1)]
    assert seen["Tom"] == {
        **world.get_character("Tom"),
        "relationships": world.get_relationships("Tom"),
        "memories": [],
    }


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(LookupError, match="known: Mira, Tom"):
        World(START).get_character("Mirra")


def test_the_given_state_is_copied_and_checked() -> None:
    world = World(START)
    world.set_mood("Mira", "angry")
    assert START["characters"]["Mira"]["mood"] == "calm"
    assert World(world.to_dict()).to_dict() == world.to_dict()
    with pytest.raises(ValidationError, match="weather"):
        World({"weather": "rain"})


def test_writing_says_how_much_of_what() -> None:
    world = World()
    assert world.add_memories([NewMemory(who="Ada", text="x"), NewMemory(who="Ada", text="y")]) == {"memory": 2}
    assert world.update_world(scene="mill", facts=["a", "b"]) == {"scene": 1, "fact": 2}
    assert world.update_world() == {}


def test_two_worlds_share_nothing() -> None:
    World().add_memory("Ada", "x")
    assert World().to_dict()["characters"] == {}


def test_the_rule_finds_the_characters_spoken_of() -> None:
    tools = {tool.name: tool for tool in World(START).tools(by_rule=True)}
    rule = tools["get_characters"].rule
    assert rule is not None
    assert list(rule("I ask tom.")) == [{"names": ["Tom"]}]
    assert list(rule("I wait.")) == []


NAMES, THINGS = st.sampled_from(["Mira", "Tom", "Ada"]), st.sampled_from(["a", "b", "c"])
SINGLES = st.one_of(
    st.tuples(st.just("add_memory"), st.fixed_dictionaries({"who": NAMES, "text": THINGS})),
    st.tuples(st.just("set_location"), st.fixed_dictionaries({"who": NAMES, "place": THINGS})),
    st.tuples(st.just("set_mood"), st.fixed_dictionaries({"who": NAMES, "mood": THINGS})),
    st.tuples(st.just("give_item"), st.fixed_dictionaries({"item": THINGS, "holder": NAMES})),
    st.tuples(st.just("add_relationship"), st.fixed_dictionaries({"who": NAMES, "kind": THINGS, "to": NAMES})),
    st.tuples(st.just("add_fact"), st.fixed_dictionaries({"text": THINGS})),
    st.tuples(st.just("set_scene"), st.fixed_dictionaries({"place": THINGS})),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(SINGLES, max_size=12))
def test_batches_end_in_the_world_that_single_calls_end_in(singles: list[tuple[str, dict[str, Any]]]) -> None:
    turn = StoryTurn("", "", (), tuple(singles))
    one, many = World(START), World(START)
    by_name = {tool.name: tool for tool in one.single_tools()}
    for name, arguments in singles:
        by_name[name](**by_name[name].check(arguments))
    batch = {tool.name: tool for tool in many.tools()}
    for name, arguments in turn.batch_writes():
        batch[name](**batch[name].check(arguments))
    assert one.to_dict() == many.to_dict()


def test_writes_from_several_threads_are_all_there() -> None:
    world = World()
    threads = [threading.Thread(target=lambda: [world.add_memory("Ada", "x") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.to_dict()["characters"]["Ada"]["memories"]) == 800
