"""The scripted story told by a whole session: the order of a turn, its trace, and the world it ends in."""

from __future__ import annotations

import threading

from workbench.conversation.session import Session
from workbench.conversation.tools import Toolbox, World, tool
from workbench.conversation.tools.planning import WRITES_TASK
from workbench.evaluation.story_script import story_script
from workbench.interfaces import Request
from workbench.settings import EngineSettings
from workbench.testing import Reply, ScriptedEngine


def test_a_session_tells_the_story_and_ends_in_the_same_world() -> None:
    script = story_script()
    singly, world = World(script.world), World(script.world)
    by_name = {tool.name: tool for tool in singly.single_tools()}
    toolbox = Toolbox(*world.tools())
    engine = ScriptedEngine(script.line, settings=EngineSettings(n_ctx=16384))
    with Session(engine, system=f"{script.rules}\n\n{toolbox.guide}", tools=toolbox) as session:
        for told in script.turns:
            before = world.to_dict()
            stream = session.stream(told.user)
            first = next(stream)
            assert told.told.startswith(first.text)
            assert world.to_dict() == before  # no write has been made when the first chunk comes
            text = first.text + "".join(chunk.text for chunk in stream)
            for name, arguments in told.writes:
                by_name[name](**by_name[name].check(arguments))
            assert text.startswith(told.told)
            assert "Saved" in text
            assert world.to_dict() == singly.to_dict()
            assert stream.turn.trace is not None
            assert stream.turn.trace.counts["tool_calls"] == len(toolbox.calls_of(stream.turn.number)) == 4
            assert [one.fields["phase"] for one in stream.turn.trace.spans if one.name == "tools"] == [
                "reads",
                "writes",
            ]
    assert len(engine.requests) == 3 * len(script.turns)


def test_a_turn_that_is_cancelled_while_its_writes_are_planned_writes_nothing() -> None:
    asked, world = threading.Event(), World()
    plan = '{"calls": [' + '{"tool": "add_memories", "arguments": {"memories": []}}, ' * 200

    def line(request: Request) -> str | Reply:
        if WRITES_TASK not in str(request.prompt[-1]):
            return "So it was."
        asked.set()
        return Reply(plan, delay_s=0.02)

    toolbox = Toolbox(tool(world.add_memories, writes=True), plan_tokens=3000)
    engine = ScriptedEngine(line, settings=EngineSettings(n_ctx=16384))
    with Session(engine, tools=toolbox) as session:
        stream = session.stream("Go on.")
        reader = threading.Thread(target=lambda: list(stream))
        reader.start()
        asked.wait(10)
        session.cancel()
        reader.join(20)
        assert not reader.is_alive(), "whole, the plan takes longer than half a minute"
        assert (stream.turn.ended, stream.turn.text, stream.turn.calls) == ("cancelled", "So it was.", ())
        assert len(engine.requests) == 2
