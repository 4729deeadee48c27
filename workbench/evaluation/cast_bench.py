"""What several voices of one story cost an engine, in the layout that shares and in the one that does not."""

from __future__ import annotations

import time

from workbench.conversation.cast import Cast, Layout
from workbench.errors import InvalidSettings
from workbench.evaluation.workloads import text_tokens
from workbench.interfaces import Completion, Engine

RULES = "You tell a story together. It plays in a town by the sea. Keep to what has been told."
ROLES = {
    "narrator": "You tell what happens, in the past tense.",
    "Mira": "You are Mira, who mends clocks and trusts nobody.",
    "Tom": "You are Tom, who keeps the ferry and says little.",
    "Ada": "You are Ada, who counts everything that lands.",
}


def cast_figures(engine: Engine, *, rounds: int = 3, story_tokens: int = 600, max_tokens: int = 16) -> dict[str, float]:
    """Let four voices speak in rounds, with a line of the narrator's after each, in both layouts.

    Args:
        engine: with room for four sequences; each layout has a story of its own, so neither finds the other's KV.
        rounds: of all four at once.
        story_tokens: what all know before.
        max_tokens: of a line.

    Returns:
        ``input_tokens``, ``computed_tokens`` and ``total_s`` of the shared layout, the same as ``own_…`` of the other;
        ``computed_ratio``.

    Raises:
        InvalidSettings: no rounds.
    """
    if rounds < 1:
        raise InvalidSettings(f"Give at least one round, not {rounds}.")
    own = _figures(engine, "own-first", rounds, story_tokens, max_tokens)
    shared = _figures(engine, "shared", rounds, story_tokens, max_tokens)
    ratio = shared["computed_tokens"] / own["computed_tokens"]
    return {**shared, **{f"own_{name}": value for name, value in own.items()}, "computed_ratio": ratio}


def _figures(engine: Engine, layout: Layout, rounds: int, story_tokens: int, max_tokens: int) -> dict[str, float]:
    cast = Cast(engine, RULES, ROLES, layout=layout, max_tokens=max_tokens, temperature=0.0)
    cast.tell("narrator", engine.detokenize(text_tokens(engine.tokenize, story_tokens, seed=f"cast {layout}")))
    started, lines = time.perf_counter(), list[Completion]()
    for number in range(rounds):
        lines += cast.round(list(ROLES), f"Bell {number + 1} rings.")
        lines.append(cast.say("narrator", "Go on."))
    timings = [line.timings for line in lines]
    return {
        "input_tokens": float(sum(one.prompt_tokens for one in timings)),
        "computed_tokens": float(sum(one.prompt_tokens - one.cached_tokens for one in timings)),
        "total_s": time.perf_counter() - started,
    }
