"""What a turn takes beside the engine, in a conversation of thousands of messages.

The conversation is one session with all it would have in use: a log on disk and a memory that has every message. It is
made by the session itself, turn by turn, the fast way, and by another engine if need be: a real one would take hours.
What is measured goes the slow way, with recall, and needs the real one: counting tokens with its tokenizer and its chat
template is part of a turn's overhead.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.conversation import ConversationSettings, Route, Session, Turn
from workbench.errors import InvalidSettings
from workbench.evaluation.memory_bench import questions, talk
from workbench.interfaces import Engine

_FILLED_TOKENS = 16
"""Of each answer of the conversation that is made."""
_STAGES = ("recall", "compress", "tools", "cache")


class OneWay:
    """A router that sends every turn the same way."""

    def __init__(self) -> None:
        self.way = Route("fast", "the history is being made")

    def route(self, text: str, before: str = "") -> Route:  # noqa: ARG002 - that is the point of it
        """The way there is."""
        return self.way


def turn_overhead(
    engine: Engine,
    folder: Path | str,
    *,
    filler: Engine | None = None,
    messages: int = 10_000,
    turns: int = 50,
    max_tokens: int = 16,
    seed: int | str = 0,
    **parts: Any,
) -> dict[str, float]:
    """Make a conversation of ``messages``, open it again, then ask ``turns`` questions nobody has asked before.

    Args:
        engine: answers what is measured. Its own time is left out; what the session asks it to count is not.
        filler: answers while the conversation is made; ``None``: the same.
        folder: an empty one, for the log and the memory.
        messages: of the conversation, half of them the engine's.
        turns: measured ones; each begins when the background work of the one before is done.
        max_tokens: of every answer that is measured.
        seed: of the texts.
        parts: of the :class:`workbench.conversation.Session`: memory, compressor, settings …

    Returns:
        ``overhead_p50_ms``, ``overhead_p95_ms``: wall time of a turn without the engine's own (its queue, prefill and
        decode); ``database_p50_ms``, ``database_queries_p50``: in the turn, without the background; ``embed_p50_ms``;
        ``recall_p50_ms``, ``compress_p50_ms`` …: stages; ``background_p50_ms``: what nobody waits for; ``open_ms``;
        ``first_turn_ms``: the same wall time of the first turn after opening, which reads the history in and is in no
        other figure; ``telemetry_us``: of a turn's spans and counts, measured by themselves.

    Raises:
        InvalidSettings: nothing to measure.
    """
    if messages < 2 or turns < 1:
        raise InvalidSettings(f"Give at least 2 messages and 1 turn; got {messages} and {turns}.")
    options = {"max_tokens": max_tokens, "temperature": 0.0}
    made_with = {**options, "max_tokens": _FILLED_TOKENS}
    settings = parts.pop("settings", None) or ConversationSettings()
    with Session(filler or engine, folder=folder, settings=settings.replace(backlog=messages), **parts) as session:
        _fill(session, talk(messages, seed=seed).messages[::2], made_with)
    started = time.perf_counter()
    with Session(engine, folder=folder, settings=settings, **parts) as session:
        open_ms = 1e3 * (time.perf_counter() - started)
        asked = questions(turns + 1, seed=seed)
        (first_turn_ms, _), *measured = _measure(session, asked, options)
    return {
        **_figures(measured),
        "open_ms": open_ms,
        "first_turn_ms": first_turn_ms,
        "telemetry_us": telemetry_us(measured[-1][1]),
    }


def telemetry_us(turn: Turn, rounds: int = 200) -> float:
    """Microseconds that a turn's spans and counts take by themselves: the same ones, with nothing in them."""
    from workbench.telemetry import Trace, count, span, tracing

    if turn.trace is None:
        return 0.0
    names, counts = [one.name for one in turn.trace.spans], list(turn.trace.counts)
    started = time.perf_counter()
    for _ in range(rounds):
        with tracing(Trace("turn")) as trace:
            for name in names:
                with span(name):
                    pass
            for name in counts:
                count(name)
            trace.end()
    return 1e6 * (time.perf_counter() - started) / rounds


def _fill(session: Session, texts: Sequence[Any], options: dict[str, Any]) -> None:
    session.router = OneWay()
    for message in texts:
        session.send(message, **options)
    session.flush()


def _measure(session: Session, asked: Sequence[str], options: dict[str, Any]) -> Iterator[tuple[float, Turn]]:
    """Each turn, and its wall time without the engine's."""
    for text in asked:
        session.flush()
        started = time.perf_counter()
        turn = session.send(text, **options)
        elapsed_ms = 1e3 * (time.perf_counter() - started)
        if turn.completion is not None:
            elapsed_ms -= turn.completion.timings.total_ms
        yield elapsed_ms, turn
    session.flush()


def _figures(measured: Sequence[tuple[float, Turn]]) -> dict[str, float]:
    overhead = [elapsed for elapsed, _ in measured]
    traces = [turn.trace for _, turn in measured if turn.trace is not None]
    background = [sum(span.fields.get("db_ms", 0.0) for span in one.spans) for one in traces]
    queries = [sum(span.fields.get("db_queries", 0) for span in one.spans) for one in traces]
    columns = {
        "database": [one.counts.get("db_ms", 0.0) - later for one, later in zip(traces, background, strict=True)],
        "embed": [one.counts.get("embed_ms", 0.0) for one in traces],
        "background": [one.stages.get("background", 0.0) for one in traces],
        **{stage: [one.stages[stage] for one in traces if stage in one.stages] for stage in _STAGES},
    }
    asked = [one.counts.get("db_queries", 0.0) - later for one, later in zip(traces, queries, strict=True)]
    return {
        "overhead_p50_ms": float(np.percentile(overhead, 50)),
        "overhead_p95_ms": float(np.percentile(overhead, 95)),
        "database_queries_p50": float(np.percentile(asked, 50)),
        **{f"{name}_p50_ms": float(np.percentile(values, 50)) for name, values in columns.items() if values},
        "recalled_mean": float(np.mean([len(turn.recalled) for _, turn in measured])),
        "prompt_tokens_max": float(max(itertools.chain([0.0], (one.counts.get("prompt_tokens", 0) for one in traces)))),
    }
