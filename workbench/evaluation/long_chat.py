"""A chat much longer than its context: does every prompt fit, and does the memory bring back what was said early?

Facts are told first, small talk follows until they are not shown any more, then each is asked for. What is measured is
whether the fact stands in the prompt, which is the session's part, and whether the answer has it, which is also the
model's. The texts are this package's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from workbench.conversation import Session, Turn
from workbench.errors import ContextOverflow, InvalidSettings
from workbench.evaluation.datasets.reading import Node, read_json
from workbench.interfaces import Engine

_SETS = Path(__file__).parent / "sets"


@dataclass(frozen=True, slots=True)
class Fact:
    """What is told early, what is asked late, and what the answer has to contain."""

    told: str
    asked: str
    answer: str


class _Asked(NamedTuple):
    """Of a fact that was asked for: what the prompt still showed, what the memory brought, what the answer has."""

    shown: bool
    recalled: bool
    answered: bool


@dataclass(slots=True)
class _Seen:
    """What came of the turns so far."""

    turns: list[Turn]
    overflows: int = 0


def long_chat(engine: Engine, *, turns: int = 60, answer_tokens: int = 48, **parts: Any) -> dict[str, float | None]:
    """Tell the facts, talk, ask.

    Args:
        engine: with the context that is to be too small.
        turns: of the whole chat, two messages each.
        answer_tokens: most tokens of an answer.
        parts: of the :class:`workbench.conversation.Session`: memory, compressor, settings …

    Returns:
        ``messages``; ``overflows``: turns refused, or prompts above ``n_ctx``; ``in_prompt``: share of the facts that
        stood in the prompt of their question; ``still_shown``: share whose own message was part of it, without the
        memory's help; ``through_memory``: of the others, the share that the memory brought into the prompt;
        ``answered``: share of answers that contain the fact; ``answered_through_memory``: the same of the facts that
        were not shown any more (``None``, both: all were); ``prompt_tokens_max``; ``compressions``;
        ``reused``: share of prompt tokens whose KV was there, without the first turn.

    Raises:
        InvalidSettings: too few turns to tell and to ask.
    """
    facts, talk = long_chat_texts()
    between = turns - 2 * len(facts)
    if between < 1:
        raise InvalidSettings(f"turns must be above {2 * len(facts)}: {len(facts)} facts are told and asked for.")
    options = {"max_tokens": answer_tokens, "temperature": 0.0}
    with Session(engine, **parts) as session:
        seen = _Seen([])
        for text in [*(fact.told for fact in facts), *(talk[at % len(talk)] for at in range(between))]:
            _say(session, text, seen, options)
        asked = list(_ask(session, facts, seen, options))
        gone = [one for one in asked if not one.shown]
        return {
            "messages": float(2 * len(session)),
            "overflows": float(seen.overflows),
            "in_prompt": fmean(one.shown or one.recalled for one in asked),
            "still_shown": fmean(one.shown for one in asked),
            "through_memory": fmean(one.recalled for one in gone) if gone else None,
            "answered": fmean(one.answered for one in asked),
            "answered_through_memory": fmean(one.answered and one.recalled for one in gone) if gone else None,
            **_figures(seen.turns),
        }


@cache
def long_chat_texts() -> tuple[tuple[Fact, ...], tuple[str, ...]]:
    """Facts and small talk."""
    node: Node = read_json(_SETS / "long_chat.json")
    facts = tuple(Fact(*(one[key].text() for key in ("told", "asked", "answer"))) for one in node["facts"])
    return facts, tuple(one.text() for one in node["talk"])


def _say(session: Session, text: str, seen: _Seen, options: dict[str, Any]) -> Turn | None:
    session.flush()  # a person reads before answering: what was said is remembered by then
    try:
        turn = session.send(text, **options)
    except ContextOverflow:
        seen.overflows += 1
        return None
    n_ctx = session.engine.settings.n_ctx
    if n_ctx is not None and turn.completion is not None:
        seen.overflows += turn.completion.timings.prompt_tokens > n_ctx
    seen.turns.append(turn)
    return turn


def _ask(session: Session, facts: tuple[Fact, ...], seen: _Seen, options: dict[str, Any]) -> Iterator[_Asked]:
    for fact in facts:
        turn = _say(session, fact.asked, seen, options)
        shown = any(fact.told == message.content for message in session.context)
        recalled = turn is not None and any(fact.told == one.message.content for one in turn.recalled)
        answered = turn is not None and fact.answer.lower() in turn.text.lower()
        yield _Asked(shown, recalled, answered)


def _figures(turns: list[Turn]) -> dict[str, float | None]:
    timings = [turn.completion.timings for turn in turns if turn.completion is not None]
    later = timings[1:]
    prompt = sum(one.prompt_tokens for one in later)
    return {
        "prompt_tokens_max": float(max((one.prompt_tokens for one in timings), default=0)),
        "compressions": float(sum(turn.compression is not None for turn in turns)),
        "reused": sum(one.cached_tokens for one in later) / prompt if prompt else None,
    }
