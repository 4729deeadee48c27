"""What a tune has found, as plain values: the seam between measuring and whoever shows it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.models.profiles import Profile
from workbench.settings import home
from workbench.storage import safe_name
from workbench.sweep.results import Effect, Verdict
from workbench.tuning.candidate import Candidate
from workbench.tuning.lab import Shot
from workbench.tuning.plan import Plan
from workbench.tuning.quality import Quality, QualityLimit
from workbench.tuning.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial of the search.

    Attributes:
        number: from 0, in running order.
        candidate: what was measured.
        levels: dimension → level.
        state: "measured", "given up" (pruned) or "failed".
        pairs: (candidate, default) of the same moment.
        reason: why it failed or was given up.
        seconds: it took.
        quality: what its part that computes differently costs; ``None``: not measured, or nothing.
    """

    number: int
    candidate: Candidate
    levels: Mapping[str, Any]
    state: str
    pairs: Sequence[tuple[Shot, Shot]]
    reason: str = ""
    seconds: float = 0.0
    quality: Quality | None = None

    def ratio(self, workload: Workload) -> float | None:
        """Geometric mean of its pairs' ratios to the default; ``None``: nothing was measured."""
        if not self.pairs:
            return None
        logs = [workload.score(a.prefill_tps / b.prefill_tps, a.decode_tps / b.decode_tps) for a, b in self.pairs]
        return math.exp(sum(logs) / len(logs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """One change alone, before the search: what it costs in quality.

    Attributes:
        dimension: "file" or "attention".
        level: of it.
        quality: ``None``: it could not be measured.
        refused: why it takes no part in the search; empty: it does.
    """

    dimension: str
    level: str
    quality: Quality | None
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A candidate against the untouched default, measured in fresh rounds.

    Attributes:
        candidate: what.
        prefill: ratio of prompt tokens per second.
        decode: ratio of generated tokens per second.
        speed: the workload's weighted mean of both, the objective.
        prefill_tps: median.
        decode_tps: median.
        verdict: on ``speed``.
        reason: of the verdict, or why it is refused.
        quality: ``None``: it computes what the default computes.
        chosen: whether it became the profile.
    """

    candidate: Candidate
    prefill: Effect
    decode: Effect
    speed: Effect
    prefill_tps: float
    decode_tps: float
    verdict: Verdict
    reason: str
    quality: Quality | None
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TuneResult:
    """Everything a tune has found.

    Attributes:
        model: its name.
        model_sha256: of the untouched file.
        quantisation: of the untouched file.
        machine: facts of the machine.
        workload: what was measured; smaller than asked for where a whole turn took too long.
        asked: the workload asked for.
        limit: the quality limit.
        plan: how it was measured.
        screened: single changes and their cost.
        trials: of the search.
        default: (prefill, decode) tokens per second of the untouched default, medians of the final.
        floor: half-width of "no difference" here: max(1 %, the default against its twin).
        rows: finalists, best first.
        profile: what is better; ``None``: the default stays.
        profile_path: where it was kept; ``None``: it was not.
        seconds: all of it took.
        notes: what else has to be said.
    """

    model: str
    model_sha256: str
    quantisation: str
    machine: Mapping[str, Any]
    workload: Workload
    asked: Workload
    limit: QualityLimit
    plan: Plan
    screened: Sequence[Screened]
    trials: Sequence[TrialRecord]
    default: tuple[float, float] | None
    floor: float | None
    rows: Sequence[Row]
    profile: Profile | None
    profile_path: Path | None
    seconds: float
    notes: Sequence[str] = ()

    @property
    def chosen(self) -> Row | None:
        """The winner; ``None``: the default stays."""
        return next((row for row in self.rows if row.chosen), None)

    @property
    def prefill_ratio(self) -> float:
        """Prompt tokens per second of the choice / the untouched default; 1 by definition where the default stays."""
        return self.chosen.prefill.ratio if self.chosen else 1.0

    @property
    def decode_ratio(self) -> float:
        """The same of generated tokens per second."""
        return self.chosen.decode.ratio if self.chosen else 1.0

    @property
    def kl(self) -> float:
        """Mean KL divergence of the choice in nats; 0 by definition where it computes what the default computes."""
        return self.chosen.quality.kl if self.chosen and self.chosen.quality else 0.0

    @property
    def same_top(self) -> float:
        """Share of tokens where the choice and the untouched default prefer the same; 1 by definition as above."""
        return self.chosen.quality.same_top if self.chosen and self.chosen.quality else 1.0

    @property
    def report_path(self) -> Path:
        """Where its dashboard goes unless told otherwise: one a model, the newest."""
        return home() / "tuning" / f"{safe_name(self.model)}.html"

    def __str__(self) -> str:
        from workbench.tuning.text import as_text

        return as_text(self)

    __repr__ = __str__  # what a notebook shows

    @property
    def headline(self) -> str:
        """The outcome in one sentence."""
        row = self.chosen
        if row is None:
            return f"{self.model}: nothing was surely faster within the quality limit; the default stays."
        cost = str(row.quality) if row.quality else "none: it computes what the default computes"
        return (
            f"{self.model}: {row.candidate.label} reads {row.prefill.ratio:.2f} × and generates "
            f"{row.decode.ratio:.2f} × as fast as the untouched default. Cost in quality: {cost}."
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        plain = {
            one.name: getattr(self, one.name)
            for one in dataclasses.fields(self)
            if one.name not in ("trials", "profile")
        }
        found: dict[str, Any] = _json({**plain, "headline": self.headline})
        found["trials"] = [
            {**_json(trial), "candidate": trial.candidate.label, "ratio": trial.ratio(self.workload)}
            for trial in self.trials
        ]
        found["profile"] = self.profile.to_dict() if self.profile else None
        return found


def _json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: _json(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
