"""The state of a story: who is where, holds what, knows what and stands how to whom; and tools to read and write it.

Two sets of tools do the same: :meth:`World.single_tools` one thing a call, as such interfaces usually grow, and
:meth:`World.tools` in batches: everything about several characters in one read, everything that changed in two writes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from workbench.conversation.tools.definition import Tool, tool

MEMORIES_SHOWN, FACTS_SHOWN = 3, 8
"""The latest memories of a character, and the latest facts, that a read tells."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewMemory(_Entry):
    """Something a character will remember."""

    who: str
    text: str


class Move(_Entry):
    """A character goes somewhere."""

    who: str
    place: str


class Mood(_Entry):
    """How a character feels now."""

    who: str
    mood: str


class Handover(_Entry):
    """An item changes hands, or is put somewhere."""

    item: str
    holder: Annotated[str, Field(description="a character or a place")]


class Bond(_Entry):
    """How one character stands to another."""

    who: str
    kind: str
    to: str


class Character(_Entry):
    """A character as it is now."""

    place: str = ""
    mood: str = ""
    memories: list[str] = []


class WorldState(_Entry):
    """Everything a world holds: JSON values.

    Attributes:
        scene: the place where the story is now.
        characters: name → character.
        holders: item → the character or the place that has it.
        bonds: "who > to" → how they stand; one at a time for a pair.
        facts: what is true for everybody, in order.
    """

    scene: str = ""
    characters: dict[str, Character] = {}
    holders: dict[str, str] = {}
    bonds: dict[str, str] = {}
    facts: list[str] = []


class World:
    """The state of one story. Threads: any.

    Args:
        state: to begin with, as :meth:`to_dict` gave it; copied.

    Raises:
        pydantic.ValidationError: ``state`` is no world.
    """

    def __init__(self, state: Mapping[str, Any] | WorldState | None = None) -> None:
        given = state.model_dump() if isinstance(state, WorldState) else dict(state or {})
        self._state = TypeAdapter(WorldState).validate_python(given)
        self._lock = threading.RLock()

    def to_dict(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        with self._lock:
            return self._state.model_dump()

    def tools(self, *, by_rule: bool = False) -> tuple[Tool, ...]:
        """Few tools that do much: one read of the scene in every turn, one of characters, two batch writes.

        Args:
            by_rule: read the characters whose names stand in the user's text, without asking a model.
        """
        rule = self._mentioned if by_rule else None
        return (
            tool(self.get_scene, reads=True, always=True),
            tool(self.get_characters, reads=True, when=rule),
            tool(self.add_memories, writes=True, invalidates=["get_characters"]),
            tool(self.update_world, writes=True),
        )

    def single_tools(self) -> tuple[Tool, ...]:
        """Many tools that do one thing each."""
        reads = (self.get_scene, self.get_character, self.get_relationships, self.get_memories)
        writes = (
            *(self.add_memory, self.set_location, self.set_mood, self.give_item),
            *(self.add_relationship, self.add_fact, self.set_scene),
        )
        return (*(tool(one, reads=True) for one in reads), *(tool(one, writes=True) for one in writes))

    def get_scene(self) -> dict[str, Any]:
        """Where the story is now, who and what is there, and what everybody has learnt last."""
        with self._lock:
            place = self._state.scene
            return {
                "place": place,
                "present": [name for name, one in self._state.characters.items() if one.place == place],
                "items": self._held_by(place),
                "facts": self._state.facts[-FACTS_SHOWN:],
            }

    def get_characters(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Place, mood, items, relationships and latest memories of several characters."""
        with self._lock:
            return {
                name: {
                    **self.get_character(name),
                    "relationships": self.get_relationships(name),
                    "memories": self.get_memories(name),
                }
                for name in names
            }

    def get_character(self, name: str) -> dict[str, Any]:
        """Place, mood and items of a character."""
        with self._lock:
            one = self._known(name)
            return {"place": one.place, "mood": one.mood, "items": self._held_by(name)}

    def get_relationships(self, name: str) -> list[str]:
        """How a character stands to the others, and they to it."""
        with self._lock:
            self._known(name)
            pairs = ((key.split(" > "), kind) for key, kind in self._state.bonds.items())
            return [f"{who} {kind} {to}" for (who, to), kind in pairs if name in (who, to)]

    def get_memories(self, name: str) -> list[str]:
        """What a character remembers, the latest last."""
        with self._lock:
            return self._known(name).memories[-MEMORIES_SHOWN:]

    def add_memories(self, memories: list[NewMemory]) -> dict[str, int]:
        """Add what characters will remember: all of this turn at once."""
        with self._lock:
            for one in memories:
                self._made(one.who).memories.append(one.text)
        return {"memory": len(memories)}

    def update_world(
        self,
        scene: str | None = None,
        moves: list[Move] | None = None,
        moods: list[Mood] | None = None,
        items: list[Handover] | None = None,
        relationships: list[Bond] | None = None,
        facts: list[str] | None = None,
    ) -> dict[str, int]:
        """Everything that changed in this turn at once: scene, moves, moods, items, relationships, facts."""
        saved = {
            "scene": int(scene is not None),
            "move": len(moves or ()),
            "mood": len(moods or ()),
            "item": len(items or ()),
            "relationship": len(relationships or ()),
            "fact": len(facts or ()),
        }
        with self._lock:
            self._state.scene = self._state.scene if scene is None else scene
            for move in moves or ():
                self._made(move.who).place = move.place
            for mood in moods or ():
                self._made(mood.who).mood = mood.mood
            self._state.holders.update({one.item: one.holder for one in items or ()})
            self._state.bonds.update({f"{one.who} > {one.to}": one.kind for one in relationships or ()})
            self._state.facts.extend(facts or ())
        return {name: count for name, count in saved.items() if count}

    def add_memory(self, who: str, text: str) -> dict[str, int]:
        """Add one thing a character will remember."""
        return self.add_memories([NewMemory(who=who, text=text)])

    def set_location(self, who: str, place: str) -> dict[str, int]:
        """A character goes somewhere."""
        return self.update_world(moves=[Move(who=who, place=place)])

    def set_mood(self, who: str, mood: str) -> dict[str, int]:
        """How a character feels now."""
        return self.update_world(moods=[Mood(who=who, mood=mood)])

    def give_item(self, item: str, holder: str) -> dict[str, int]:
        """An item changes hands, or is put somewhere."""
        return self.update_world(items=[Handover(item=item, holder=holder)])

    def add_relationship(self, who: str, kind: str, to: str) -> dict[str, int]:
        """How one character stands to another."""
        return self.update_world(relationships=[Bond(who=who, kind=kind, to=to)])

    def add_fact(self, text: str) -> dict[str, int]:
        """Something that is true for everybody."""
        return self.update_world(facts=[text])

    def set_scene(self, place: str) -> dict[str, int]:
        """The story goes on at another place."""
        return self.update_world(scene=place)

    def _mentioned(self, text: str) -> Iterator[Mapping[str, Any]]:
        """The rule of :meth:`get_characters`: known names in a text."""
        lowered = text.casefold()
        with self._lock:
            names = [name for name in self._state.characters if name.casefold() in lowered]
        if names:
            yield {"names": names}

    def _held_by(self, holder: str) -> list[str]:
        return [item for item, one in self._state.holders.items() if one == holder]

    def _known(self, name: str) -> Character:
        if name not in self._state.characters:
            raise LookupError(f"nobody is called {name!r}; known: {', '.join(self._state.characters) or 'nobody yet'}")
        return self._state.characters[name]

    def _made(self, name: str) -> Character:
        return self._state.characters.setdefault(name, Character())
