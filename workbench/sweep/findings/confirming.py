"""What fresh blocks say about a choice. The best of many estimates is too good (the winner's curse); these are not.

The hypothesis is one, said before the blocks were run, and is tested once at the full level. Six blocks are enough for
an interval then; a verdict that the sweep itself left open is settled only by ten.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.sweep.findings.choosing import Choice
from workbench.sweep.findings.statistics import BLOCKS_TO_DECIDE
from workbench.sweep.findings.targets import show_effect
from workbench.sweep.results import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """A sentence after the fresh blocks: what it says now, and whether it decides.

    Attributes:
        headline: the sentence.
        conclusive: whether the choice stands.
        comparison: the choice against its reference in the fresh blocks; ``None``: there are none.
    """

    headline: str
    conclusive: bool
    comparison: Comparison | None


def confirmed(choice: Choice, fresh: Comparison | None, sentence: str, conclusive: bool) -> Confirmed:
    """Take the fresh blocks into account.

    - shown to be better: they must show it, too, else the recommendation becomes inconclusive;
    - no different: they must not show a difference;
    - undecided: ten of them that show it to be better decide.

    Args:
        choice: what was chosen, and why.
        fresh: the same comparison in the fresh blocks; ``None``: there are none.
        sentence: what the sweep's own blocks say.
        conclusive: whether they decide.
    """
    if fresh is None or choice.evidence is None:
        return Confirmed(headline=sentence, conclusive=conclusive, comparison=fresh)
    said, label = said_afresh(fresh), choice.arm.label
    stands = _stands(choice.evidence, fresh)
    before = sentence.removeprefix("Inconclusive: ").removesuffix(".")
    if stands and conclusive:
        word = "confirmed" if fresh.verdict == choice.evidence.verdict else "not contradicted"
        headline = f"{before}; {word} {said}."
    elif stands:
        headline = f"Use {label}: {fresh.metric} against {fresh.reference} is better {said}. Before, {before}."
    elif conclusive:
        headline = f"Inconclusive: {label} is not confirmed {said}; {fresh.reason}. Before: {before}."
    else:
        headline = f"Inconclusive: {before}; {said}."
    return Confirmed(headline=headline, conclusive=stands, comparison=fresh)


def _stands(evidence: Comparison, fresh: Comparison) -> bool:
    if evidence.verdict == "better":
        return fresh.verdict == "better"
    if evidence.verdict == "equivalent":
        return fresh.verdict in ("equivalent", "inconclusive")
    return settles(fresh)


def settles(fresh: Comparison) -> bool:
    """Whether fresh blocks alone decide for a configuration, whatever was open before."""
    return fresh.verdict == "better" and fresh.effect.n >= BLOCKS_TO_DECIDE


def said_afresh(fresh: Comparison) -> str:
    """For people: "in 6 fresh blocks: 1.21 × [1.17, 1.25]"."""
    shown = show_effect(fresh.effect).rpartition(", n=")[0]
    return f"in {fresh.effect.n} fresh blocks: {shown}"
