"""A story of twenty turns told with tools: everything off against reads first, writes last, in batches.

"Everything off" is the usual agent loop: each call is a request of its own with the whole prompt, nothing is kept, and
the answer comes when the model wants no more calls, so that its writes delay the first word. Between the two stands one
plan of single tools: it tells what planning saves from what batches and kept results save. All tell the same script
with the same beginning and must end in the same world.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Any, cast

from workbench.conversation import ConversationSettings, Session
from workbench.conversation.tools import Tool, Toolbox, World
from workbench.conversation.tools.calls import Call, Wanted, make
from workbench.errors import InvalidSettings
from workbench.evaluation.story_engine import Asked, PuppetEngine
from workbench.evaluation.story_script import StoryScript, StoryTurn, story_script
from workbench.interfaces import Engine, Message
from workbench.telemetry import Trace

_SETTINGS = ConversationSettings(compress_at=1.0, alerts=None)
"""As much of the past in the prompt as there is with everything off; compressing would save tokens of its own."""
_MOST_SINGLE = 12


@dataclass(slots=True)
class Watch:
    """Notes when tools write, from within them.

    Attributes:
        write_s: what each write takes on top of its work.
        at: when each write began, by :func:`time.perf_counter`.
    """

    write_s: float = 0.0
    at: list[float] = field(default_factory=list)

    def over(self, tools: Iterable[Tool]) -> list[Tool]:
        """The tools, the writing ones watched."""
        return [replace(one, function=self._noting(one.function)) if one.kind == "write" else one for one in tools]

    def between(self, began: float, ended: float) -> int:
        """Writes that began in this time."""
        return sum(began <= at < ended for at in self.at)

    def _noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(**arguments: Any) -> Any:
            self.at.append(time.perf_counter())
            time.sleep(self.write_s)
            return function(**arguments)

        return noted


@dataclass(frozen=True, slots=True)
class ToldTurn:
    """What one turn did.

    Attributes:
        calls: made for it, kept results included.
        asked: requests to the engine.
        first_chunk_ms: from its beginning until whoever reads it has the first chunk with text.
        reads_ms: of that, planning and making the reads.
        prefill_ms: from asking for the answer until the model had its first token, by the model's clock.
        writes_before_first: writes that had begun when the first chunk came.
        compressed: whether the past was shortened for it.
        confirmation: what the player was told about the writes.
    """

    calls: tuple[Call, ...]
    asked: tuple[Asked, ...]
    first_chunk_ms: float
    reads_ms: float
    prefill_ms: float
    writes_before_first: int
    compressed: bool = False
    confirmation: str = ""


def tell(engine: PuppetEngine, script: StoryScript, toolbox: Toolbox, turns: int, watch: Watch) -> list[ToldTurn]:
    """Tell it in a session with a toolbox, whose writes ``watch`` sees."""
    system = f"{script.rules}\n\n{toolbox.guide}"
    with Session(cast(Engine, engine), system=system, tools=toolbox, settings=_SETTINGS) as session:
        return [_turn(engine, session, turn.user, watch) for turn in script.turns[:turns]]


def _turn(engine: PuppetEngine, session: Session, text: str, watch: Watch) -> ToldTurn:
    session.flush()
    asked_before, began = len(engine.asked), time.perf_counter()
    stream = session.stream(text)
    while not next(stream).text:
        pass
    came = time.perf_counter()
    for _ in stream:
        pass
    turn, stages = stream.turn, stream.trace.stages
    return ToldTurn(
        calls=turn.calls,
        asked=tuple(engine.asked[asked_before:]),
        first_chunk_ms=1e3 * (came - began),
        reads_ms=_reads_ms(stream.trace),
        prefill_ms=stages.get("queue", 0.0) + stages.get("prefill", 0.0),
        writes_before_first=watch.between(began, came),
        compressed=turn.compression is not None,
        confirmation=turn.confirmation,
    )


def _reads_ms(trace: Trace) -> float:
    return sum(one.elapsed_ms for one in trace.spans if one.name == "tools" and one.fields.get("phase") == "reads")


def tell_one_by_one(
    engine: PuppetEngine, script: StoryScript, tools: Sequence[Tool], turns: int, watch: Watch
) -> list[ToldTurn]:
    """Tell it with everything off. Calls of earlier turns are left out of the prompt, which spares this way tokens."""
    known = {tool.name: tool for tool in tools}
    messages = [Message.system(f"{script.rules}\n\n{Toolbox(*tools).guide}")]
    told = []
    for turn in script.turns[:turns]:
        messages.append(Message.user(turn.user))
        told.append(_loop(engine, messages, known, turn, watch))
        messages.append(Message.assistant(turn.told))
    return told


def _loop(
    engine: PuppetEngine, messages: Sequence[Message], known: dict[str, Tool], turn: StoryTurn, watch: Watch
) -> ToldTurn:
    asked_before, began, calls, full = len(engine.asked), time.perf_counter(), list[Call](), list(messages)
    for _ in range(len(turn.reads) + len(turn.writes)):
        text = engine.complete(full).text
        wish = json.loads(text)
        calls.append(make(Wanted(known[wish["tool"]], wish["tool"], wish["arguments"])))
        full += [Message.assistant(text), Message("tool", calls[-1].text)]
    loop_s = time.perf_counter() - began
    stream = engine.stream(full)
    next(stream)
    came = time.perf_counter()
    for _ in stream:
        pass
    timings = engine.asked[-1].timings
    return ToldTurn(
        calls=tuple(calls),
        asked=tuple(engine.asked[asked_before:]),
        first_chunk_ms=1e3 * (came - began),
        reads_ms=1e3 * loop_s,
        prefill_ms=timings.queue_ms + timings.prefill_ms,
        writes_before_first=watch.between(began, came),
    )


def story_figures(
    engine: Engine, *, turns: int = 20, by_rule: bool = False, decodes: bool = True, write_s: float = 0.0
) -> dict[str, Any]:
    """Tell the story in three ways with one engine, everything off first.

    Args:
        engine: computes; a context of 4,096 tokens holds the story.
        turns: of the script.
        by_rule: let a rule decide which characters to read, in place of the model.
        decodes: let the model write as many tokens as the script says, so that times are whole.
        write_s: what each write takes on top of its work, to see whom that delays.

    Returns:
        Figures of this way, of everything off as ``off_…``, and as ``plan_…`` of a session that plans all calls at once
        but has single tools and keeps no results: ``calls_mean``, ``calls_max`` (kept results included) and
        ``requests_mean`` a turn; ``input_tokens`` and ``computed_tokens`` (not found in the KV cache) of the story;
        ``first_chunk_ms``: median; ``writes_before_first``: of the story. Besides, for this way and for ``plan_…``:
        ``input_ratio`` and ``computed_ratio`` to everything off; ``first_chunk_excess_ms``: the most by which a first
        chunk came later than reads and prefill; ``compressions``: turns for which the past was shortened.
        ``failed_calls``: of all ways; ``same_world``: 1 if all worlds end alike.

    Raises:
        InvalidSettings: more turns than the script has, or none.
    """
    script = story_script()
    if not 1 <= turns <= len(script.turns):
        raise InvalidSettings(
            f"The script has {len(script.turns)} turns; ask for 1 to {len(script.turns)}, not {turns}."
        )
    worlds = [World(script.world) for _ in range(3)]
    tellings = [replace(script, rules=f"Telling {number}. {script.rules}") for number in range(3)]  # no KV in common
    alone, planned, batched = (Watch(write_s) for _ in worlds)
    puppet = PuppetEngine(engine, script.line, decodes=decodes)
    planner = PuppetEngine(engine, script.plans(single=True), decodes=decodes)
    singles = Toolbox(*planned.over(worlds[1].single_tools()), cache_turns=0, max_calls=_MOST_SINGLE)
    off = tell_one_by_one(puppet, tellings[0], alone.over(worlds[0].single_tools()), turns, alone)
    plan = tell(planner, tellings[1], singles, turns, planned)
    told = tell(puppet, tellings[2], Toolbox(*batched.over(worlds[2].tools(by_rule=by_rule))), turns, batched)
    theirs = _figures(off)
    return {
        **_beside(told, theirs),
        **{f"plan_{name}": value for name, value in _beside(plan, theirs).items()},
        **{f"off_{name}": value for name, value in theirs.items()},
        "failed_calls": sum(bool(call.error) for turn in (*told, *plan, *off) for call in turn.calls),
        "same_world": float(all(one.to_dict() == worlds[0].to_dict() for one in worlds)),
    }


def _beside(told: Sequence[ToldTurn], off: dict[str, float]) -> dict[str, float]:
    ours = _figures(told)
    return {
        **ours,
        "input_ratio": ours["input_tokens"] / off["input_tokens"],
        "computed_ratio": ours["computed_tokens"] / off["computed_tokens"],
        "first_chunk_excess_ms": max(turn.first_chunk_ms - turn.reads_ms - turn.prefill_ms for turn in told),
        "compressions": sum(turn.compressed for turn in told),
    }


def _figures(told: Sequence[ToldTurn]) -> dict[str, float]:
    calls = [len(turn.calls) for turn in told]
    timings = [one.timings for turn in told for one in turn.asked]
    return {
        "calls_mean": fmean(calls),
        "calls_max": max(calls),
        "requests_mean": fmean(len(turn.asked) for turn in told),
        "input_tokens": sum(one.prompt_tokens for one in timings),
        "computed_tokens": sum(one.prompt_tokens - one.cached_tokens for one in timings),
        "first_chunk_ms": median(turn.first_chunk_ms for turn in told),
        "writes_before_first": sum(turn.writes_before_first for turn in told),
    }
