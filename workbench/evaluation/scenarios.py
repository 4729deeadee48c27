"""Four situations a conversation gets into, each played with parts of it on or off, stage by stage.

- ``cold_start``: a model just loaded, the first turns. Only the first of them is cold: ``load_ms`` and
  ``first_ttft_ms`` are its figures, a median over the turns is not. The process is not new, only the engine is.
- ``warm_cache``: a conversation that was held before, word for word, by the same engine.
- ``long_history``: thousands of messages lie behind, the last of them more than the context holds; what was said at
  their beginning is asked for.
- ``tools``: a story whose teller looks things up and writes things down in every turn.

The words of the user are always the same, so that nothing but the parts differs. Knows the conversation's face only.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Literal, cast

from workbench.conversation import ConversationSettings, RuleRouter, Session, Turn
from workbench.conversation.log import TURN, TurnLog
from workbench.conversation.tools import Toolbox, World
from workbench.conversation.turn import turn_to_dict
from workbench.errors import InvalidSettings, UnknownName
from workbench.evaluation.long_chat import Fact, long_chat_texts
from workbench.evaluation.memory_bench import talk
from workbench.evaluation.story_engine import PuppetEngine
from workbench.evaluation.story_script import story_script
from workbench.interfaces import Cache, Engine, Memory, Message
from workbench.registry import caches, memories
from workbench.settings import cache_dir
from workbench.storage import Entry, safe_name
from workbench.telemetry import Trace

SCENARIOS = ("cold_start", "warm_cache", "long_history", "tools")
_SESSION = "scenario"
_LIVED = 120  # turns: some 9,000 tokens
_SYSTEM = "You are a friendly, terse companion. Keep to what was said before; say so when you do not know."


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Parts of a conversation.

    Attributes:
        memory: a registered name; ``None``: nothing is recalled.
        compressor: a registered name.
        caches: registered names of response caches.
        tools: "batch": rules and batches, results kept for two turns; "single": one thing a call, nothing kept.
        router: let simple turns go the fast way.
    """

    memory: str | None = None
    compressor: str = "middle"
    caches: tuple[str, ...] = ()
    tools: Literal["single", "batch"] = "single"
    router: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Attributes:
        turns: the measured ones.
        kept: share of the facts asked for that stood in the prompt, or 1 if the story ended in the world it had to end
            in; ``None`` where there is nothing to keep.
        load_ms: what loading the model took.
    """

    turns: tuple[Turn, ...]
    kept: float | None
    load_ms: float | None = None

    @property
    def traces(self) -> tuple[Trace, ...]:
        """Of the turns."""
        return tuple(turn.trace for turn in self.turns if turn.trace is not None)

    def figures(self) -> dict[str, float | None]:
        """Medians over the turns, sums, and the first turn by itself.

        Returns:
            ``ttft_ms``, ``turn_ms`` (background left out), ``<stage>_ms``: medians; ``first_ttft_ms``: of the first
            turn that is measured; ``load_ms``; ``prompt_tokens``, ``computed_tokens`` (not found in the KV cache),
            ``output_tokens``, ``cache_hits``, ``tool_calls``: sums; ``db_ms``: median; ``kept``.
        """
        stages = {name: [one.stages.get(name, 0.0) for one in self.traces] for name in _met(self.traces)}
        first = [one.labels["ttft_ms"] for one in self.traces if "ttft_ms" in one.labels]
        prompt, cached = self._sum("prompt_tokens"), self._sum("cached_tokens")
        return {
            "ttft_ms": median(first) if first else None,
            "first_ttft_ms": self.traces[0].labels.get("ttft_ms"),
            "load_ms": self.load_ms,
            "turn_ms": median(one.labels["turn_ms"] for one in self.traces),
            **{f"{name}_ms": median(took) for name, took in stages.items()},
            "db_ms": median(one.counts.get("db_ms", 0.0) for one in self.traces),
            "prompt_tokens": prompt,
            "computed_tokens": prompt - cached,
            **{name: self._sum(name) for name in ("output_tokens", "cache_hits", "tool_calls")},
            "kept": self.kept,
        }

    def _sum(self, name: str) -> float:
        return sum(one.counts.get(name, 0.0) for one in self.traces)


def play(
    scenario: str,
    load: Callable[[], Engine],
    folder: Path | str,
    *,
    setup: Setup | None = None,
    turns: int = 6,
    max_tokens: int = 32,
    messages: int = 10_000,
) -> Played:
    """Play a scenario.

    Args:
        scenario: one of :data:`SCENARIOS`.
        load: makes the engine; it is closed here.
        folder: an empty one, for logs and memories.
        setup: which parts are on; ``None``: none.
        turns: that are measured; a scenario may have fewer to tell.
        max_tokens: of an answer.
        messages: of the long history.

    Raises:
        UnknownName: no such scenario.
        InvalidSettings: no turn to measure.
    """
    if scenario not in SCENARIOS:
        raise UnknownName("scenario", scenario, SCENARIOS)
    if turns < 1:
        raise InvalidSettings(f"turns must be at least 1, not {turns}.")
    options = {"max_tokens": max_tokens, "temperature": 0.0}
    stage = _Stage(Path(folder), setup or Setup(), ConversationSettings(options=options, alerts=None), turns)
    started = time.perf_counter()
    with load() as engine:
        load_ms = 1e3 * (time.perf_counter() - started)
        played: Played = getattr(stage, f"_{scenario}")(engine, messages)
        return replace(played, load_ms=load_ms)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the scenarios are played."""

    folder: Path
    setup: Setup
    settings: ConversationSettings
    turns: int

    def _cold_start(self, engine: Engine, messages: int) -> Played:  # noqa: ARG002 - scenarios are called alike
        with ExitStack() as stack:
            session = self._session(stack, engine, self._caches(stack), self._memory(stack))
            return Played(_said(session, long_chat_texts()[1][: self.turns]), None)

    def _warm_cache(self, engine: Engine, messages: int) -> Played:  # noqa: ARG002
        words = long_chat_texts()[1][: self.turns]
        with ExitStack() as stack:
            kept = self._caches(stack)
            for number in range(2):  # each with a memory of its own: the second knows nothing of the first
                session = self._session(stack, engine, kept, self._memory(stack, f"memory-{number}"))
                said = _said(session, words)
        return Played(said, None)

    def _long_history(self, engine: Engine, messages: int) -> Played:
        facts = long_chat_texts()[0][: self.turns]
        with ExitStack() as stack:
            memory = self._memory(stack, history=(facts, messages))
            _live(self.folder / "log", talk(2 * _LIVED, seed="lately").messages)
            session = self._session(stack, engine, self._caches(stack), memory, folder=self.folder / "log")
            turns = _said(session, [fact.asked for fact in facts])
        kept = [_stands(fact.told, turn) for fact, turn in zip(facts, turns, strict=True)]
        return Played(turns, sum(kept) / len(kept))

    def _tools(self, engine: Engine, messages: int) -> Played:  # noqa: ARG002
        script = story_script()
        world, expected = World(script.world), World(script.world)
        batch = self.setup.tools == "batch"
        tools = world.tools(by_rule=True) if batch else world.single_tools()
        toolbox = Toolbox(*tools, cache_turns=2 if batch else 0, max_calls=6 if batch else 12)
        told = script.turns[: self.turns]
        puppet = PuppetEngine(engine, script.plans(single=not batch))
        system = f"{script.rules}\n\n{toolbox.guide}"
        with ExitStack() as stack:
            parts = (self._caches(stack), self._memory(stack))
            session = self._session(stack, cast(Engine, puppet), *parts, tools=toolbox, system=system)
            turns = _said(session, [turn.user for turn in told])
        _write_all(expected, [single for turn in told for single in turn.writes])
        return Played(turns, float(world.to_dict() == expected.to_dict()))

    def _session(
        self,
        stack: ExitStack,
        engine: Engine,
        kept: Sequence[Cache],
        memory: Memory | None,
        *,
        tools: Toolbox | None = None,
        system: str = _SYSTEM,
        folder: Path | None = None,
    ) -> Session:
        session = Session(
            engine,
            system=system,
            memory=memory,
            compressor=self.setup.compressor,
            caches=kept,
            tools=tools,
            router=RuleRouter() if self.setup.router else None,
            settings=self.settings,
            folder=folder,
            name=_SESSION,
        )
        return stack.enter_context(session)

    def _caches(self, stack: ExitStack) -> list[Cache]:
        made = [caches.create(name, path=self.folder / f"{name}.sqlite") for name in self.setup.caches]
        for one in made:
            stack.callback(one.close)
        return made

    def _memory(
        self, stack: ExitStack, place: str = "memory", *, history: tuple[Sequence[Fact], int] | None = None
    ) -> Memory | None:
        if self.setup.memory is None:
            return None
        if history is not None:
            shutil.copytree(_prepared(self.setup.memory, *history), self.folder / place)
        memory = memories.create(self.setup.memory, folder=self.folder / place)
        stack.callback(memory.close)
        return memory


def _prepared(name: str, facts: Sequence[Fact], messages: int) -> Path:
    """A memory's folder with the facts, then talk of ``messages``; made once, since embedding it takes minutes.

    Once for a release and the options a strategy has when none are given, its embedder among them.
    """
    texts = [Message.user(fact.told) for fact in facts]
    said = [*texts, *talk(messages, seed="scenario").messages]
    made_by = (version("workbench"), str(inspect.signature(memories.get(name))), *(one.content for one in texts))
    digest = hashlib.sha256(repr(made_by).encode()).hexdigest()[:16]
    place = cache_dir() / "scenarios" / f"{safe_name(name)}-{len(facts)}-{messages}-{digest}"
    if not place.exists():
        unfinished = place.with_name(f"{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        memory = memories.create(name, folder=unfinished)
        try:
            memory.add_many(said, session=_SESSION)
            memory.flush()
        finally:
            memory.close()
        unfinished.rename(place)
    return place


def _live(folder: Path, messages: Sequence[Message]) -> None:
    """Turns that a conversation has behind it, written into its log without asking an engine."""
    log = TurnLog(folder, _SESSION)
    now = time.time() - len(messages)
    pairs = zip(messages[::2], messages[1::2], strict=True)
    turns = [
        Turn(number=place, serial=place, asked=asked, text=answer.content, ended="stop", at=now + place)
        for place, (asked, answer) in enumerate(pairs, 1)
    ]
    try:
        log.append([Entry(TURN, turn_to_dict(turn), turn.at) for turn in turns])
    finally:
        log.close()


def _said(session: Session, texts: Sequence[str]) -> tuple[Turn, ...]:
    """The turns, each begun when the background work of the one before is done."""
    return tuple(_one(session, text) for text in texts)


def _one(session: Session, text: str) -> Turn:
    session.flush()
    stream = session.stream(text)
    for _ in stream:
        pass
    stream.trace.labels["turn_ms"] = stream.trace.now_ms()
    return stream.turn


def _stands(told: str, turn: Turn) -> bool:
    """Whether what was told stood in the turn's prompt. Only the memory has it."""
    return any(told == one.message.content for one in turn.recalled)


def _met(traces: Sequence[Trace]) -> Iterator[str]:
    yield from dict.fromkeys(stage for trace in traces for stage in trace.stages)


def _write_all(world: World, singles: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Make the writes of the script directly: the world as it has to be."""
    known = {tool.name: tool for tool in world.single_tools()}
    for name, arguments in singles:
        known[name](**arguments)
