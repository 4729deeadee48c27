"""The scripted story: what its player says, what is told, and what its teller looks up and records in each turn.

The same needs are put in two ways: one thing a call, and in batches; a scripted model gives either, according to what
it is asked. Knows tools and messages; never time or engines.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from workbench.conversation.tools import World
from workbench.conversation.tools.planning import READS_TASK, WRITES_TASK
from workbench.interfaces import Message, Request

_SCRIPT = Path(__file__).parent / "sets" / "story.yaml"
_GATHERED = {"set_location": "moves", "set_mood": "moods", "give_item": "items", "add_relationship": "relationships"}

Single = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StoryTurn:
    """One turn of the script.

    Attributes:
        user: what the player says.
        told: the answer.
        reads: what has to be looked up, one thing a call: (tool, arguments).
        writes: what has to be recorded, one thing a call.
    """

    user: str
    told: str
    reads: tuple[Single, ...]
    writes: tuple[Single, ...]

    @property
    def characters(self) -> list[str]:
        """Those it reads anything of, each once."""
        return list(dict.fromkeys(arguments["name"] for _, arguments in self.reads if "name" in arguments))

    def batch_reads(self) -> list[Single]:
        """The same in one call; the scene is read by rule."""
        return [("get_characters", {"names": self.characters})] if self.characters else []

    def batch_writes(self) -> list[Single]:
        """The same in two calls at most."""
        memories = [arguments for name, arguments in self.writes if name == "add_memory"]
        changes: dict[str, Any] = {}
        for name, arguments in self.writes:
            if name == "set_scene":
                changes["scene"] = arguments["place"]
            elif name == "add_fact":
                changes.setdefault("facts", []).append(arguments["text"])
            elif name in _GATHERED:
                changes.setdefault(_GATHERED[name], []).append(arguments)
        calls: list[Single] = [("add_memories", {"memories": memories})] if memories else []
        return [*calls, ("update_world", changes)] if changes else calls


@dataclass(frozen=True, slots=True)
class StoryScript:
    """The whole script.

    Attributes:
        rules: of the story, for the system message.
        world: what it begins with.
        turns: one after the other.
    """

    rules: str
    world: dict[str, Any]
    turns: tuple[StoryTurn, ...]

    def line(self, request: Request) -> str:
        """What a model that knows the script answers: a plan, a single call, or what is told.

        A scripted engine's function of the request: it sees the prompt and nothing else.
        """
        messages = [part for part in request.prompt if isinstance(part, Message)]
        place, turn = self._turn_of(messages)
        asked = messages[-1].content
        if READS_TASK in asked:
            return plan_text(turn.batch_reads())
        if WRITES_TASK in asked:
            return plan_text(turn.batch_writes())
        if "add_memory(" not in messages[0].content:
            return turn.told
        made = sum(message.role == "tool" for message in messages[place:])
        singles = (*turn.reads, *turn.writes)
        return call_text(singles[made]) if made < len(singles) else turn.told

    def plans(self, *, single: bool) -> Callable[[Request], str]:
        """As :meth:`line`, for a toolbox that plans all calls of a turn at once.

        Args:
            single: the plan has one thing a call, in place of batches.
        """
        if not single:
            return self.line

        def line(request: Request) -> str:
            messages = [part for part in request.prompt if isinstance(part, Message)]
            _, turn = self._turn_of(messages)
            asked = messages[-1].content
            if READS_TASK in asked:
                return plan_text(turn.reads)
            return plan_text(turn.writes) if WRITES_TASK in asked else turn.told

        return line

    def _turn_of(self, messages: Sequence[Message]) -> tuple[int, StoryTurn]:
        for place in range(len(messages) - 1, -1, -1):
            for turn in self.turns:
                if messages[place].role == "user" and messages[place].content.startswith(turn.user):
                    return place, turn
        raise LookupError("no turn of the script is in the prompt")


def call_text(single: Single) -> str:
    """A single call as a model writes it."""
    return json.dumps({"tool": single[0], "arguments": single[1]}, ensure_ascii=False, separators=(",", ":"))


def plan_text(singles: Iterable[Single]) -> str:
    """A plan as a model writes it."""
    return f'{{"calls":[{",".join(map(call_text, singles))}]}}'


@cache
def story_script() -> StoryScript:
    """The script that comes with the package."""
    given = yaml.safe_load(_SCRIPT.read_text("utf-8"))
    names = {tool.name: tuple(tool.arguments.model_fields) for tool in World().single_tools()}
    turns = tuple(
        StoryTurn(
            user=turn["user"],
            told=turn["told"],
            reads=tuple(_read(one) for one in turn["reads"]),
            writes=tuple(
                (name, dict(zip(names[name], values, strict=True)))
                for one in turn["writes"]
                for name, values in one.items()
            ),
        )
        for turn in given["turns"]
    )
    return StoryScript(given["rules"], given["world"], turns)


def _read(one: str | list[str]) -> Single:
    return (f"get_{one}", {}) if isinstance(one, str) else (f"get_{one[0]}", {"name": one[1]})
