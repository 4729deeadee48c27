"""A tune from beginning to end: screen for quality, search, put back what gains nothing, decide in fresh rounds, keep.

The order of things, and the share of the time each may take, are those of :class:`workbench.tuning.plan.Plan`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.errors import InvalidSettings, UsageError, WorkbenchError
from workbench.models import ModelFile, resolve, verify
from workbench.models.profiles import Profile, llama_cpp_version, machine_facts, save_profile
from workbench.settings import home
from workbench.storage import FolderLock
from workbench.tuning.candidate import DEFAULT, Candidate
from workbench.tuning.final import Final, band, choose, default_speeds, measure_final, rows
from workbench.tuning.lab import Lab
from workbench.tuning.plan import Plan
from workbench.tuning.quality import Quality, QualityLimit
from workbench.tuning.results import Row, Screened, TrialRecord, TuneResult
from workbench.tuning.search import Search
from workbench.tuning.space import Space, build_space
from workbench.tuning.study import Study
from workbench.tuning.workload import Workload

QUANTISATIONS = ("Q4_0", "IQ4_NL", "Q8_0")
"""Types that llama.cpp has fast CPU kernels for, whatever the width of the model."""

_QUALITY_SHARE = 0.2
_LEAST_TOKENS, _MOST_TOKENS = 256, 4096
_SIDES_AND_ARITHMETIC = 4.0
"""Times the untouched file's prefill that comparing two sides takes, about."""
_BUSY = 0.15
_OUT_OF_TIME = "not screened: no time left. Give more minutes, or fewer quantisations"


def tune(
    model: ModelFile | Path | str,
    *,
    minutes: float = 10.0,
    quality: QualityLimit | None = None,
    workload: Workload | None = None,
    quantizations: Sequence[str] = QUANTISATIONS,
    speculation: bool = False,
    text: str | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    save: bool = True,
    resume: bool = True,
    progress: Callable[[str], None] = lambda _: None,
    lab: Lab | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TuneResult:
    """Find what serves a model best on this machine, and keep it as a profile that :func:`workbench.load` picks up.

    Nothing else should run meanwhile. A tune that was killed goes on where it was when it is called again.

    Args:
        model: a model, its name, or the path of a GGUF.
        minutes: time it may take; the final may run over a little.
        quality: what a candidate may cost; default: a mean KL divergence of 0.3 nats, any same-top rate.
        workload: what it shall be good at.
        quantizations: types of the file to try besides its own; empty: none.
        speculation: try drafting from the text itself, too; turns are then measured through the engine.
        text: what quality is measured on; ``None``: the text that comes with the package.
        plan: how often is measured.
        seed: of proposals and orders.
        save: keep the profile.
        resume: keep trials on disk until the end, and go on with those of a tune that was killed.
        progress: hears a line now and then.
        lab: who measures; ``None``: child processes on this machine.
        clock: seconds.

    Raises:
        UsageError: the model is a requantised copy made here: tune the original.
        UnknownName, ModelFileError: there is no such model or quantisation, or its file is not whole.
        StoreInUse: another tune is running: they would measure each other.
        WorkbenchError: the untouched file itself cannot be run.
    """
    if minutes <= 0:
        raise InvalidSettings(f"minutes must be above 0, not {minutes!r}.")
    file = resolve(model)
    _check_model(file, quantizations)
    asked = workload or Workload()
    whole = lab or _process_lab(file, asked, text, speculation)
    try:
        with FolderLock(home() / "tuning"):
            job = _Tune(file, quality or QualityLimit(), asked, plan or Plan(), whole, progress)
            job.set_budget(60.0 * minutes, clock)
            space = _space(file, quantizations, job.asked, speculation)
            key = _key(file, job, space, text, seed)
            with Study(home() / "tuning" / f"{key}.db" if resume else None, seed) as study:
                return job.run(space, study, seed, save)
    finally:
        whole.close()


class _Tune:
    """One tune; holds what its steps share."""

    def __init__(
        self,
        file: ModelFile,
        limit: QualityLimit,
        workload: Workload,
        plan: Plan,
        lab: Lab,
        progress: Callable[[str], None],
    ) -> None:
        self.file, self.limit, self.plan = file, limit, plan
        self.asked = self.workload = workload
        self._lab, self._say = lab, progress
        self._notes: list[str] = []
        self._qualities: dict[Candidate, Quality] = {}
        self._limit_tokens = _MOST_TOKENS

    def set_budget(self, seconds: float, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._budget, self._clock, self._began = seconds, clock, clock()
        self._before = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds, those of an earlier, killed process included."""
        return self._before + self._clock() - self._began

    def run(self, space: Space, study: Study, seed: int, save: bool) -> TuneResult:
        """All steps."""
        self._recall(study)
        self._fit_workload(study, len(space.single_changes()))
        screened = self._screening(space, study)
        refused = {(one.dimension, one.level) for one in screened if one.refused}
        search = Search(space.without(refused), self._lab, self.workload, self.plan, study, seed=seed)
        self._search(search, study)
        finalists = self._shortlist(search)
        final = self._final(finalists, seed) if finalists else None
        result = self._result(screened, search.records(), final, save)
        self._lab.tidy(result.chosen.candidate if result.chosen else None)
        study.discard()  # what was measured is in the result; the next tune measures afresh
        return result

    def _recall(self, study: Study) -> None:
        """Take up an earlier tune that did not come to its end."""
        spent = study.recalled("seconds")
        if spent is not None:
            self._before = min(float(spent), self.plan.search_share * self._budget)
            self._say(f"going on with a tune that was broken off after {float(spent):.0f} s")

    def _fit_workload(self, study: Study, checks: int) -> None:
        """Cut the turn to what the time allows, and the text of the quality checks, too."""
        self._say(f"{self.file.name} as it is: loading and measuring")
        self._lab.measure(DEFAULT, self.asked.scaled(0.0))  # loads it: that is not the turn's time
        started = self._clock()
        shot = self._lab.measure(DEFAULT, self.asked)
        took = max(self._clock() - started, 1e-9)
        arms = self.plan.rounds * (2 + self.plan.finalists)
        known = study.recalled("factor")  # a tune that goes on measures the same turns
        factor = self.plan.final_share * self._budget / arms / took if known is None else float(known)
        study.remember("factor", factor)
        self.workload = self.asked.scaled(factor)
        if self.workload != self.asked:
            self._note(
                f"A whole turn takes {took:.1f} s here: measured are turns of {self.workload.prompt_tokens} + "
                f"{self.workload.decode_tokens} tokens. More minutes allow longer ones."
            )
        affordable = _QUALITY_SHARE * self._budget * shot.prefill_tps / (max(checks, 1) * _SIDES_AND_ARITHMETIC)
        self._limit_tokens = int(min(max(affordable, _LEAST_TOKENS), _MOST_TOKENS))
        self._say(f"untouched: reads {shot.prefill_tps:.0f} and generates {shot.decode_tps:.0f} tokens/s")

    def _screening(self, space: Space, study: Study) -> list[Screened]:
        """What each change that can alter the answers costs alone; what costs too much is not searched."""
        kept = {(one.dimension, one.level): one for one in map(_screened, study.recalled("screened") or ())}
        screened: list[Screened] = []
        for dimension, level, candidate in space.single_changes():
            one = kept.get((dimension.name, level)) or self._screen(dimension.name, level, candidate)
            if one.quality is not None:
                self._qualities[candidate.numerics] = one.quality
            screened.append(one)
            study.remember("screened", [dataclasses.asdict(each) for each in screened])
            study.remember("seconds", self.elapsed)
        return screened

    def _screen(self, dimension: str, level: str, candidate: Candidate) -> Screened:
        if self.elapsed > self.plan.screening_share * self._budget:
            self._say(f"{level}: {_OUT_OF_TIME}")
            return Screened(dimension=dimension, level=level, quality=None, refused=_OUT_OF_TIME)
        quality, refused = self._judged(candidate)
        verdict = f"refused, {refused}" if refused else "allowed"
        self._say(f"quality of {candidate.label}: {quality or 'not measured'}: {verdict}")
        return Screened(dimension=dimension, level=level, quality=quality, refused=refused)

    def _judged(self, candidate: Candidate) -> tuple[Quality | None, str]:
        """Its quality, and why it is refused. What computes as the default does costs nothing."""
        part = candidate.numerics
        if part == DEFAULT:
            return None, ""
        try:
            quality = self._qualities.get(part) or self._lab.quality(part, self._limit_tokens)
        except WorkbenchError as error:
            return None, f"its quality cannot be measured: {error}"
        self._qualities[part] = quality
        return quality, self.limit.refusal(quality)

    def _search(self, search: Search, study: Study) -> None:
        best = 1.0

        def told(trial: TrialRecord) -> None:
            nonlocal best
            study.remember("seconds", self.elapsed)
            ratio = trial.ratio(self.workload)
            figure = f"{ratio:.2f} ×" if ratio else trial.reason[:80]
            if ratio and trial.state == "given up":
                figure = f"{figure}, given up"
            elif ratio and ratio > best and trial.candidate != DEFAULT:
                best, figure = ratio, f"{figure}, best so far"
            self._say(f"trial {trial.number + 1}: {trial.candidate.label}: {figure}")

        search.run(lambda: self.elapsed < self.plan.search_share * self._budget, told)

    def _shortlist(self, search: Search) -> list[Candidate]:
        """The best few that keep the quality limit, among them the best one's simpler form."""
        ranking = search.ranking()
        allowed: list[Candidate] = []
        if ranking:
            until = (1 - self.plan.final_share) * self._budget
            simple = search.simplified(ranking[0], lambda: self.elapsed < until)
            ranking.insert(1, simple)
        for candidate in dict.fromkeys(ranking):
            if candidate == DEFAULT or len(allowed) == self.plan.finalists:
                continue
            _, refused = self._judged(candidate)
            if refused:
                self._note(f"{candidate.label} is refused: {refused}.")
            else:
                allowed.append(candidate)
        return allowed

    def _final(self, finalists: Sequence[Candidate], seed: int) -> Final:
        self._say(f"final: {', '.join(one.label for one in finalists)} against the default, {self.plan.rounds} rounds")
        final = measure_final(
            self._lab,
            finalists,
            self.workload,
            self.plan.rounds,
            seed,
            lambda number: self._say(f"final: round {number} of {self.plan.rounds}"),
        )
        for candidate, why in final.dropped.items():
            self._note(f"{candidate.label} failed in the final: {why}")
        return final

    def _result(
        self, screened: Sequence[Screened], trials: Sequence[TrialRecord], final: Final | None, save: bool
    ) -> TuneResult:
        found: list[Row] = []
        width = speeds = None
        if final is not None:
            width, speeds = band(final, self.workload), default_speeds(final)
            if width > _BUSY:
                self._note(
                    f"The default differed from itself by up to {width:.0%}: something else kept this machine busy. "
                    "Stop it and tune again."
                )
            qualities = {one: self._qualities.get(one.numerics) for one in final.shots}
            found = choose(rows(final, self.workload, qualities), self.workload, width)
        result = TuneResult(
            model=self.file.name,
            model_sha256=verify(self.file),
            quantisation=self.file.quantisation,
            machine=machine_facts(),
            workload=self.workload,
            asked=self.asked,
            limit=self.limit,
            plan=self.plan,
            screened=screened,
            trials=[dataclasses.replace(one, quality=self._qualities.get(one.candidate.numerics)) for one in trials],
            default=speeds,
            floor=width,
            rows=found,
            profile=None,
            profile_path=None,
            seconds=self.elapsed,
            notes=self._notes,
        )
        return self._with_profile(result, save)

    def _with_profile(self, result: TuneResult, save: bool) -> TuneResult:
        row = result.chosen
        if row is None:
            return result
        profile = _profile(result, row, self._lab.prepare(row.candidate))
        path = save_profile(profile) if save else None
        return dataclasses.replace(result, profile=profile, profile_path=path)

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._say(text)


def _profile(result: TuneResult, row: Row, file: ModelFile) -> Profile:
    other = row.candidate.quantisation is not None
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return Profile(
        model=result.model,
        model_sha256=result.model_sha256,
        machine=dict(result.machine),
        llama_cpp=llama_cpp_version(),
        settings=dict(row.candidate.settings),
        quantisation=row.candidate.quantisation or result.quantisation,
        file=str(file.path) if other else None,
        file_sha256=verify(file) if other else None,
        measured={
            "workload": dataclasses.asdict(result.workload),
            "prefill": dataclasses.asdict(row.prefill),
            "decode": dataclasses.asdict(row.decode),
            "speed": dataclasses.asdict(row.speed),
            "prefill_tps": row.prefill_tps,
            "decode_tps": row.decode_tps,
        },
        quality=dataclasses.asdict(row.quality) if row.quality else None,
        limit=dataclasses.asdict(result.limit),
        note=f"{result.headline} Tuned {made[:10]} under the quality limit: {result.limit}.",
        made=made,
    )


def _check_model(file: ModelFile, quantizations: Sequence[str]) -> None:
    from workbench.engine.quantize import check_type
    from workbench.models.requantised import provenance

    for one in quantizations:
        check_type(one)
    copied = provenance(file.path)
    if copied is not None:
        raise UsageError(f"{file.name} is a requantised copy. Tune the original: {copied['source'].get('name')}.")


def _process_lab(file: ModelFile, workload: Workload, text: str | None, speculation: bool) -> Lab:
    from workbench.tuning.bench import ProcessLab

    return ProcessLab(file, workload, text=text, through_engine=speculation)


def _space(file: ModelFile, quantizations: Sequence[str], workload: Workload, speculation: bool) -> Space:
    from workbench.engine.budget import default_threads
    from workbench.engine.native.library import gpu_offload
    from workbench.hardware import cores, gpus

    return build_space(
        file,
        quantizations,
        prompt_tokens=workload.prompt_tokens,
        usable_cores=cores().usable,
        default_threads=default_threads(),
        gpu=gpu_offload() and bool(gpus()),
        speculation=speculation,
    )


def _key(file: ModelFile, job: _Tune, space: Space, text: str | None, seed: int) -> str:
    """A name for everything that makes a tune the same tune, so that it can go on after it was killed."""
    facts: dict[str, Any] = {
        "model": verify(file),
        "machine": machine_facts(),
        "llama_cpp": llama_cpp_version(),
        "workload": dataclasses.asdict(job.asked),
        "limit": dataclasses.asdict(job.limit),
        "plan": dataclasses.asdict(job.plan),
        "space": [[one.name, *one.levels] for one in space.dimensions],
        "text": text,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _screened(stored: dict[str, Any]) -> Screened:
    quality = stored["quality"]
    return Screened(**{**stored, "quality": Quality(**quality) if quality else None})
