"""Who needs further blocks, and who is measured once more in fresh ones. Pure: the same runs give the same answer.

Blocks go only where the ranking at the top is open: the configuration with the best estimate and those that may still
be better, per objective and situation, not the whole grid. The question is put again at a few looks fixed beforehand
(:mod:`.looks`), each held to its share of alpha, so that stopping when it pleases gains nothing. Between looks the
answer stays what it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from workbench.sweep.design.configurations import Configuration, configurations, reference
from workbench.sweep.findings.choosing import Found, choose, finalist, quality_of
from workbench.sweep.findings.comparing import compare, objection
from workbench.sweep.findings.finding import find
from workbench.sweep.findings.looks import Looks
from workbench.sweep.findings.statistics import ALPHA, blocks_needed
from workbench.sweep.records.table import Run
from workbench.sweep.results import Comparison
from workbench.sweep.specification.spec import SweepSpec


def undecided(spec: SweepSpec, runs: Sequence[Run]) -> frozenset[str]:
    """Labels of the configurations that need one more block; empty: decided, or no decision is possible any more.

    The reference, and the twin, are among them as soon as anybody is: effects are ratios to the reference.

    Args:
        spec: what was asked for; ``more_blocks`` says how many there may be.
        runs: finished runs of all blocks so far.
    """
    looks, arms = Looks.of(spec), configurations(spec)
    reached = looks.reached([(run.host, run.cell.phase, run.cell.block) for run in runs])
    if not runs or not spec.objectives or reached >= looks.ends[-1]:
        return frozenset()
    look = looks.last_look(reached)
    if look is None:  # too early to say anything about anybody
        return _everybody(looks, arms, runs)
    seen = [run for run in runs if run.cell.phase == "grid" or spec.blocks + run.cell.block < look]
    open_ones: set[str] = set()
    for _, found in find(spec, seen, arms).choices:
        labels = set(_open(found, looks, look))
        open_ones |= labels | {found.reference.label} if labels else set()
    return _with_twin(arms, open_ones)


def finalists(spec: SweepSpec, runs: Sequence[Run]) -> tuple[str, ...]:
    """Labels to be measured again in fresh blocks: what is recommended, each before the reference it is held against.

    Where the reference is kept only because nothing is decided, it is the first of those that may be better: tested
    alone, in fresh blocks, it needs no correction for the many it was picked from. Empty if the reference itself is
    recommended everywhere, or nothing finished.
    """
    found_ones = [found for _, found in find(spec, runs, configurations(spec)).choices if found.anything]
    chosen = [(finalist(found, choose(found)), found.reference) for found in found_ones]
    pairs = [(arm.label, against.label) for arm, against in chosen if arm is not against]
    return tuple(dict.fromkeys(label for pair in pairs for label in pair))


def _everybody(looks: Looks, arms: Sequence[Configuration], runs: Sequence[Run]) -> frozenset[str]:
    if looks.ends[-1] < blocks_needed(1, looks.shares[-1]):
        return frozenset()
    ran = {run.cell.configuration.label for run in runs}
    return frozenset(arm.label for arm in arms if arm.label in ran)


def _with_twin(arms: Sequence[Configuration], labels: set[str]) -> frozenset[str]:
    """The twin is of use in blocks only in which the reference it repeats runs, too."""
    twins = {arm.label for arm in arms if arm.arm == "twin"} if reference(arms).label in labels else set()
    return frozenset(labels | twins)


def _open(found: Found, looks: Looks, look: int) -> Iterator[str]:
    """Labels at the top of one objective that more blocks may tell apart.

    Rivals are let go by a plain 95 % interval against the leader: who gets another block is no verdict, and at the
    share of an early look, corrected for a hundred rivals, none would ever be let go. What the leader is against the
    reference will be a verdict, so it is open until that is one.
    """
    against = [] if found.reference in found.grid else [found.reference]
    candidates = [arm for arm in (*found.measured(), *against) if not quality_of(found, arm).broken]
    if not found.anything or len(candidates) < 2:
        return
    leader = max(candidates, key=found.gain)
    once = Looks.single(looks.blocks)
    plain = replace(found.ground, looks=once)
    left = []
    for rival in candidates:
        if rival is not leader:
            duel = compare(plain, leader, rival, found.objective)
            final = _Final(blocks=duel.effect.n + looks.ends[-1] - look, looks=once, look=once.ends[-1])
            if duel.verdict != "better" and _may_be_decided(found, (leader, rival), duel, final):
                left.append(rival.label)
    if left or _needs_evidence(found, leader, looks, look) or quality_of(found, leader).unsure:
        yield from (leader.label, *left)


def _needs_evidence(found: Found, leader: Configuration, looks: Looks, look: int) -> bool:
    evidence = found.evidence(leader)
    if evidence is None or evidence.verdict in ("better", "worse"):
        return False
    family = sum(metric == found.objective.metric for metric, _ in found.by_label)
    final = _Final(blocks=evidence.effect.n + looks.ends[-1] - look, looks=looks, look=look, family=family)
    return _may_be_decided(found, (leader, found.reference), evidence, final)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Final:
    """What a comparison will have at the last look.

    Attributes:
        blocks: pairs, if every further block brings one.
        looks: what each look may spend.
        look: the one that is now.
        family: how many comparisons are corrected for.
    """

    blocks: int
    looks: Looks
    look: int
    family: int = 1

    @property
    def enough(self) -> bool:
        """Whether so many blocks can be significant at all."""
        return self.blocks >= blocks_needed(self.family, self.looks.shares[-1])

    @property
    def narrower(self) -> float:
        """How much narrower an interval is at the last look's level than at today's, all else equal."""
        shares = self.looks.shares
        return _width(shares[-1]) / _width(shares[self.looks.ends.index(self.look)])


def _may_be_decided(
    found: Found, pair: tuple[Configuration, Configuration], comparison: Comparison, final: _Final
) -> bool:
    """Whether a comparison is open, and the blocks that are left could close it."""
    if comparison.verdict == "equivalent" or objection(found.ground, *pair, found.objective.metric):
        return False
    return _could_be_told(comparison, final)


def _width(share: float) -> float:
    """Half-width of a normal interval with this share of alpha, in standard errors."""
    return NormalDist().inv_cdf(1 - ALPHA * share / 2)


def _could_be_told(comparison: Comparison, final: _Final) -> bool:
    """Whether an interval from so many blocks could leave the band, or come to lie in it.

    By prediction from what is known (Spiegelhalter, Freedman & Blackburn 1986, "Monitoring clinical trials: conditional
    or predictive power?", Control. Clin. Trials 7:8-17): with n of N blocks done, the final interval is sqrt(n / N)
    times as wide, and its centre will not move by more than sqrt(1 - n / N) times today's half-width, as surely as
    today's interval holds the truth.
    Significance is asked for beyond the band only.
    """
    effect = comparison.effect
    if effect.low is None or effect.high is None:
        return final.enough
    low, high, band = math.log(effect.low), math.log(effect.high), math.log1p(comparison.band)
    centre, half = (low + high) / 2, (high - low) / 2
    reach = half * final.narrower * math.sqrt(effect.n / final.blocks)
    shift = half * math.sqrt(1 - effect.n / final.blocks)
    outside = final.enough and abs(centre) + shift - reach > band
    inside = max(abs(centre) - shift, 0.0) + reach <= band
    return outside or inside
