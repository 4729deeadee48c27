"""Which settings to use, in plain words with the evidence: honest about what the data do not decide.

The choice itself is made in ``choosing``; here it becomes a :class:`Recommendation`, with what fresh blocks say about
it, what it costs and what did not fit beside it. Knows verdicts, not how they were reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.sweep.design.planning import Configuration, canonical, show
from workbench.sweep.findings.choosing import Choice, Found, choose, contenders, finalist, quality_of
from workbench.sweep.findings.comparing import TIME_UNITS, compare
from workbench.sweep.findings.confirming import Confirmed, confirmed, said_afresh, settles
from workbench.sweep.findings.ground import Ground
from workbench.sweep.findings.pasting import code_for, profile_for
from workbench.sweep.findings.targets import show_effect
from workbench.sweep.records.table import Run
from workbench.sweep.results import Boundary, Comparison, MainEffect, Recommendation


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What else a recommendation may have to speak of.

    Attributes:
        situation: which of several it is for, in words.
        fresh: the ground of the confirmations; ``None``: there are none.
        confirm: how many fresh blocks were asked for.
        boundaries: configurations that did not fit into memory.
    """

    situation: str = ""
    fresh: Ground | None = None
    confirm: int = 0
    boundaries: Sequence[Boundary] = ()


def recommend(found: Found, beside: Beside) -> Recommendation:
    """What to use for one objective, and in which situation, where there are several."""
    if found.anything:
        choice = choose(found)
        made = _recommended(found, choice, beside)
    else:
        made = _nothing(found)
    return replace(made, headline=f"{beside.situation}: {made.headline}") if beside.situation else made


def _recommended(found: Found, choice: Choice, beside: Beside) -> Recommendation:
    choice = _promoted(found, choice, beside)
    arm = choice.arm
    conclusive, sentence = _sentence(found, choice)
    fresh = confirmed(choice, _fresh(found, arm, beside), sentence, conclusive)
    open_points = [*choice.doubts, *choice.quality.unsure]
    sentence = fresh.headline
    return Recommendation(
        metric=found.objective.metric,
        conclusive=fresh.conclusive and not open_points,
        configuration=dict(arm.varied),
        headline=sentence,
        notes=_notes(found, choice, beside, fresh, open_points),
        code=code_for(arm.parameters),
        evidence=choice.evidence,
        quality=choice.quality.comparisons,
        confirmation=fresh.comparison,
        runs=_folders(found, choice, beside.fresh),
        profile=profile_for(arm.parameters, _a_run_of(found, arm), choice.evidence, sentence),
    )


def _sentence(found: Found, choice: Choice) -> tuple[bool, str]:
    """Whether the blocks of the sweep decide, and what they say."""
    evidence, arm = choice.evidence, choice.arm
    if evidence is None:
        return _keep_reference(found)
    if evidence.verdict == "better":
        return True, f"Use {arm.label}: {_shown(found, evidence)}."
    if evidence.verdict == "equivalent":
        same = f"no difference, {_shown(found, evidence)}"
        return True, f"Use {arm.label}, or keep {found.reference.label}: {same}."
    if evidence.verdict == "worse":
        best = f"the best of the grid, {choice.picked.label}, is {_shown(found, evidence)}"
        return True, f"Keep {arm.label}: {best}."
    return False, f"Inconclusive: {arm.label} is {_shown(found, evidence)}; {evidence.reason}."


def _promoted(found: Found, choice: Choice, beside: Beside) -> Choice:
    """Where the reference was kept only because nothing is decided: the contender, if fresh blocks decide for it."""
    arm = finalist(found, choice)
    fresh = _fresh(found, arm, beside) if choice.arm is found.reference else None
    if fresh is None or not settles(fresh):
        return choice
    return replace(choice, picked=arm, arm=arm, evidence=found.evidence(arm), quality=quality_of(found, arm))


def _fresh(found: Found, arm: Configuration, beside: Beside) -> Comparison | None:
    """An arm against its reference in the blocks that were run after the choice was made."""
    if beside.fresh is None or arm is found.reference:
        return None
    comparison = compare(beside.fresh, arm, found.reference, found.objective)
    return comparison if comparison.effect.n else None


def _notes(
    found: Found, choice: Choice, beside: Beside, fresh: Confirmed, open_points: Sequence[str]
) -> tuple[str, ...]:
    """Quality first: speed is never said alone."""
    return (
        *_quality_sentences(found, choice, open_points),
        *_on_confirmation(found, choice, beside, fresh),
        *(() if fresh.conclusive or choice.evidence is None else _best_so_far(found, choice.arm)),
        *(_undecided(effect) for effect in choice.undecided),
        *_beaten(choice),
        *choice.refusals,
        *_edges(choice.arm, beside.boundaries),
    )


def _on_confirmation(found: Found, choice: Choice, beside: Beside, fresh: Confirmed) -> tuple[str, ...]:
    """What fresh blocks say, or would say, where the headline does not."""
    arm = finalist(found, choice)
    if fresh.comparison is not None or arm is found.reference:
        return ()
    tried = _fresh(found, arm, beside)
    if tried is not None:
        return (f"Of {arm.label} against {found.reference.label}, {said_afresh(tried)}: not enough to decide.",)
    return (f"Not confirmed yet: {arm.label} has not run in fresh blocks.",) if beside.confirm else ()


def _undecided(effect: MainEffect) -> str:
    comparison = effect.comparison
    said = "makes no difference that matters" if comparison.verdict == "equivalent" else "is not decided"
    return (
        f"{effect.parameter}={show(effect.level)} instead of {show(effect.reference_level)} {said}: "
        f"{show_effect(comparison.effect)}; {show(effect.reference_level)} is kept."
    )


def _beaten(choice: Choice) -> tuple[str, ...]:
    if choice.beaten is None:
        return ()
    effect = show_effect(choice.beaten.effect)
    return (f"Its parts do not simply add up: it beats {choice.beaten.reference} by {effect}.",)


def _edges(arm: Configuration, boundaries: Sequence[Boundary]) -> tuple[str, ...]:
    """Which configurations that differ from the choice in one parameter did not fit into memory."""
    notes = []
    for boundary in boundaries:
        names = [*dict.fromkeys([*arm.varied, *boundary.configuration])]
        apart = [n for n in names if canonical(arm.varied.get(n)) != canonical(boundary.configuration.get(n))]
        if len(apart) == 1:
            step = (
                f"{apart[0]}={show(boundary.configuration.get(apart[0]))} instead of {show(arm.varied.get(apart[0]))}"
            )
            said = f": {boundary.said}" if boundary.said else ""
            notes.append(f"The edge of memory is next to it: {step} did not fit{said.rstrip('.')}.")
    return tuple(notes)


def _best_so_far(found: Found, arm: Configuration) -> tuple[str, ...]:
    """For an open question: the configuration with the best estimate, if it is another one."""
    best = found.measured()[0]
    leading = found.evidence(best)
    if best is arm or leading is None:
        return ()
    return (f"The best estimate so far is {best.label}: {found.objective.metric} {show_effect(leading.effect)}.",)


def _keep_reference(found: Found) -> tuple[bool, str]:
    """The reference itself is the choice: conclusive if nothing measured could be better by more than the band."""
    others = [evidence for arm in found.grid if (evidence := found.evidence(arm)) is not None]
    label = found.reference.label
    if not others:
        return True, f"Nothing to choose between: {label} is the only configuration."
    if open_ones := contenders(found):
        return False, _open_headline(found, open_ones)
    least = min((one.effect.n for one in others if one.effect.n), default=0)
    if least < found.ground.least:
        return False, (
            f"Inconclusive: nothing speaks against keeping {label}, but there are only {least} complete blocks; "
            f"{found.ground.least} are needed to decide."
        )
    if len(others) == 1:
        return True, f"Keep {label}: {others[0].label} is not better by more than the noise."
    return True, f"Keep {label}: none of the {len(others)} other configurations is better by more than the noise."


def _open_headline(found: Found, open_ones: Sequence[Configuration]) -> str:
    """Which may still be better than the reference; one whose estimate is worse is called so, not a candidate."""
    label = found.reference.label
    ahead = [arm for arm in open_ones if found.gain(arm) > 1]
    best = found.evidence((ahead or open_ones)[0])
    if best is None or not best.effect.n:
        return f"Inconclusive: no block has a finished run of {label} and of another configuration."
    shown = f"{best.label}: {_shown(found, best)}, {best.reason}"
    if not ahead:
        return f"Inconclusive: the estimates speak for {label}, but do not decide; nearest to it is {shown}."
    return (
        f"Inconclusive: no configuration is shown to be better than {label}, but {len(ahead)} may be, first of all "
        f"{shown}."
    )


def _shown(found: Found, comparison: Comparison) -> str:
    hosts = sorted({run.host for run in found.ground.table.runs})
    blocks = "block" if comparison.effect.n == 1 else "blocks"
    p = f", p={comparison.p_holm:.2g} after Holm" if comparison.p_holm is not None else ""
    return (
        f"{found.objective.metric} {show_effect(comparison.effect)} {blocks} against {comparison.reference}{p}, "
        f"on {', '.join(hosts)}"
    )


def _quality_sentences(found: Found, choice: Choice, open_points: Sequence[str]) -> list[str]:
    kept = [f"{c.metric} {show_effect(c.effect)} ({c.verdict})" for c in choice.quality.comparisons]
    timed = found.objective.metric.endswith(TIME_UNITS) and choice.arm is not found.reference
    return [
        *([f"Quality: {', '.join(kept)}."] if kept else []),
        *([f"Quality is not settled: {'; '.join(open_points)}."] if open_points else []),
        *(["What it costs in quality was not measured."] if timed and not found.quality else []),
    ]


def _a_run_of(found: Found, arm: Configuration) -> Run | None:
    return next((run for run in reversed(found.ground.table.runs) if run.cell.configuration.label == arm.label), None)


def _folders(found: Found, choice: Choice, fresh: Ground | None) -> tuple[str, ...]:
    """Folders of the runs of the choice and of its reference, in running order, the fresh ones last."""
    labels = {choice.picked.label, found.reference.label}
    runs = [*found.ground.table.runs, *(fresh.table.runs if fresh else ())]
    return tuple(run.folder for run in runs if run.folder is not None and run.cell.configuration.label in labels)


def _nothing(found: Found) -> Recommendation:
    return Recommendation(
        metric=found.objective.metric,
        conclusive=False,
        configuration=dict(found.reference.varied),
        headline=f"Inconclusive: no finished run has {found.objective.metric}.",
        code=code_for(found.reference.parameters),
        evidence=None,
    )
