"""How much shorter a system prompt gets, and whether each of its rules is still there.

Knows labelled prompts and a function that rewrites one; never how it does so. A rule counts as kept if one of its
statements stands in the rewritten prompt word for word, so a strategy that rewords scores too low here, never too high.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np

from workbench.errors import InvalidSettings
from workbench.evaluation.retrieval import Estimate, exact_share

_RESAMPLES, _SEED = 2000, 0


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """A labelled system prompt.

    Attributes:
        id: its name.
        part: "tuning", or "held out": not looked at while strategies were written.
        text: the prompt.
        rules: the statements of each distinct rule, word for word; more than one: it is repeated.
        examples: the examples of each sort, word for word.
    """

    id: str
    part: Literal["tuning", "held out"]
    text: str
    rules: tuple[tuple[str, ...], ...]
    examples: tuple[tuple[str, ...], ...]

    def ideal(self, examples: int) -> str:
        """The prompt without the later statements of each rule, and the first ``examples`` of each sort only."""
        gone = [one for group in self.rules for one in group[1:]]
        gone += [one for group in self.examples for one in group[examples:]]
        text = self.text
        for one in gone:
            head, _, tail = text.rpartition(one)
            text = head + tail
        lines = (line for line in text.splitlines() if line.strip(" -*+0123456789.") or not line)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptScore:
    """What became of some prompts.

    Attributes:
        saved: share of the tokens that went, ``1 - after / before`` over all prompts together; the interval is a
            percentile bootstrap over prompts.
        saved_ideally: the same if every repeated statement and surplus example went: no strategy that keeps all rules
            word for word saves more of guidelines and examples.
        rules: share of the distinct rules that are kept, with its exact interval.
        repeats: share of the repeated statements that went.
        sorts: share of the sorts of examples of which one is left; ``None``: there are no examples.
        lost: (prompt, first statement) of each rule that is not kept.
        by_prompt: prompt → (tokens before, tokens after).
    """

    saved: Estimate
    saved_ideally: float
    rules: Estimate
    repeats: float
    sorts: float | None
    lost: tuple[tuple[str, str], ...]
    by_prompt: dict[str, tuple[int, int]]


def system_prompts(part: Literal["tuning", "held out"] | None = None) -> list[SystemPrompt]:
    """The package's own prompts, as people let them grow; ``None``: all of them.

    Raises:
        InvalidSettings: there is no such part.
    """
    if part not in (None, "tuning", "held out"):
        raise InvalidSettings(f"part must be 'tuning', 'held out' or None, not {part!r}.")
    text = files("workbench.evaluation").joinpath("sets/system_prompts.json").read_text("utf-8")
    prompts = [
        SystemPrompt(
            id=one["id"],
            part=one["part"],
            text=one["text"],
            rules=tuple(map(tuple, one["rules"])),
            examples=tuple(map(tuple, one["examples"])),
        )
        for one in json.loads(text)["prompts"]
    ]
    return [one for one in prompts if part in (None, one.part)]


def score_prompts(
    rewrite: Callable[[str], str],
    count_tokens: Callable[[str], int],
    prompts: Sequence[SystemPrompt],
    *,
    examples: int = 2,
) -> PromptScore:
    """Rewrite each prompt and count.

    Args:
        rewrite: a prompt → the shorter one.
        count_tokens: tokens of a text.
        prompts: which to rewrite.
        examples: of a sort, that the ideal keeps.

    Raises:
        InvalidSettings: there are no prompts.
    """
    if not prompts:
        raise InvalidSettings("There are no prompts to score: give those of system_prompts().")
    new = [rewrite(one.text) for one in prompts]
    before = np.array([count_tokens(one.text) for one in prompts], dtype=float)
    after = np.array([count_tokens(text) for text in new], dtype=float)
    ideal = sum(count_tokens(one.ideal(examples)) for one in prompts)
    rules = [(one.id, group, text) for one, text in zip(prompts, new, strict=True) for group in one.rules]
    lost = tuple((name, group[0]) for name, group, text in rules if not any(said in text for said in group))
    surplus = sum(len(group) - 1 for _, group, _ in rules)
    still = sum(max(0, sum(said in text for said in group) - 1) for _, group, text in rules)
    sorts = [
        any(said in text for said in group) for one, text in zip(prompts, new, strict=True) for group in one.examples
    ]
    return PromptScore(
        saved=_saved(before, after),
        saved_ideally=1 - ideal / float(before.sum()),
        rules=exact_share(len(rules) - len(lost), len(rules)),
        repeats=1 - still / surplus if surplus else 1.0,
        sorts=sum(sorts) / len(sorts) if sorts else None,
        lost=lost,
        by_prompt={one.id: (int(b), int(a)) for one, b, a in zip(prompts, before, after, strict=True)},
    )


def _saved(before: np.ndarray, after: np.ndarray) -> Estimate:
    count = len(before)
    drawn = np.random.default_rng(_SEED).integers(0, count, (_RESAMPLES, count))
    shares = 1 - after[drawn].sum(1) / before[drawn].sum(1)
    low, high = (float(end) for end in np.quantile(shares, (0.025, 0.975)))
    value = float(1 - after.sum() / before.sum())
    return Estimate(value, low, high, count, count) if count > 1 else Estimate(value, None, None, 1, 1)
