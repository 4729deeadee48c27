"""The final: the shortlist, the default and the default's twin in fresh randomised rounds, and a verdict on each.

Statistics are those of sweeps (:mod:`~workbench.sweep.findings.statistics`): Hodges-Lehmann ratio with the exact
Wilcoxon interval over rounds, Holm's correction over the finalists, held against max(1 %, the twin's interval).
"""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.errors import WorkbenchError
from workbench.sweep.findings.statistics import LEAST_BAND, effect_of_logs, floor_of, holm, judge, paired_effect
from workbench.sweep.results import Effect
from workbench.tuning.candidate import DEFAULT, Candidate
from workbench.tuning.lab import Lab, Shot
from workbench.tuning.quality import Quality
from workbench.tuning.results import Row
from workbench.tuning.search import log_ratio
from workbench.tuning.workload import Workload

_TWIN = Candidate("(twin)")
"""Stands for the second run of the default in each round."""


@dataclass
class Final:
    """What was measured: one shot of each arm a round.

    Attributes:
        shots: arm → one a round.
        dropped: finalists that failed → why.
    """

    shots: dict[Candidate, list[Shot]] = field(default_factory=dict)
    dropped: dict[Candidate, str] = field(default_factory=dict)


def measure_final(
    lab: Lab,
    finalists: Sequence[Candidate],
    workload: Workload,
    rounds: int,
    seed: int,
    told: Callable[[int], None] = lambda _: None,
) -> Final:
    """Every arm once a round, in random order. A finalist that fails is dropped; the default must not.

    Raises:
        WorkbenchError: the default itself failed.
    """
    order = random.Random(seed)  # noqa: S311 - the order of measurements
    final = Final({arm: [] for arm in (DEFAULT, _TWIN, *finalists)})
    for number in range(rounds):
        arms = [arm for arm in final.shots if arm not in final.dropped]
        order.shuffle(arms)
        for arm in arms:
            try:
                final.shots[arm].append(lab.measure(DEFAULT if arm == _TWIN else arm, workload))
            except WorkbenchError as error:
                if arm in (DEFAULT, _TWIN):
                    raise
                final.dropped[arm] = str(error)
        told(number + 1)
    return final


def band(final: Final, workload: Workload) -> float:
    """Half-width of the zone of no difference: 1 %, or how far the default is from itself, where that is more."""
    logs = _logs(final.shots[_TWIN], final.shots[DEFAULT], workload)
    return max(LEAST_BAND, floor_of("speed", effect_of_logs(logs)).width)


def default_speeds(final: Final) -> tuple[float, float]:
    """Median prefill and decode tokens per second of the default."""
    shots = final.shots[DEFAULT] + final.shots[_TWIN]
    return _medians(shots)


def rows(final: Final, workload: Workload, qualities: Mapping[Candidate, Quality | None]) -> list[Row]:
    """A row for each finalist that lasted, best first; none is chosen yet."""
    reference, width = final.shots[DEFAULT], band(final, workload)
    arms = [arm for arm in final.shots if arm not in (DEFAULT, _TWIN) and arm not in final.dropped]
    effects = [effect_of_logs(_logs(final.shots[arm], reference, workload)) for arm in arms]
    adjusted = holm([effect.p for effect in effects])
    found = []
    for arm, effect, p in zip(arms, effects, adjusted, strict=True):
        verdict, reason = judge(effect, p, width, "maximize", len(arms))
        shots = final.shots[arm]
        prefill_tps, decode_tps = _medians(shots)
        found.append(
            Row(
                candidate=arm,
                prefill=_ratio(shots, reference, "prefill_tps"),
                decode=_ratio(shots, reference, "decode_tps"),
                speed=effect,
                prefill_tps=prefill_tps,
                decode_tps=decode_tps,
                verdict=verdict,
                reason=reason,
                quality=qualities.get(arm),
            )
        )
    return sorted(found, key=lambda row: -row.speed.ratio)


def choose(found: Sequence[Row], workload: Workload, width: float) -> list[Row]:
    """The rows with the winner marked, if there is one.

    Among those that are better and within the noise of the fastest, the one that costs least in quality wins, then the
    one with fewer changes. Nothing wins that makes a half of the turn that counts slower.
    """
    able = [row for row in found if row.verdict == "better" and not _slower_half(row, workload, width)]
    if not able:
        return [_explained(row, workload, width) for row in found]
    best = max(row.speed.ratio for row in able)
    near = [row for row in able if row.speed.ratio >= best / (1 + min(width, _MOST_FORGIVEN))]
    winner = min(near, key=lambda row: (_cost(row), row.candidate.changes, -row.speed.ratio))
    return [
        dataclasses.replace(row, chosen=True) if row is winner else _explained(row, workload, width) for row in found
    ]


_MOST_FORGIVEN = 0.03
"""However noisy the machine: more speed than this is not given away for simplicity."""


def _cost(row: Row) -> float:
    return row.quality.kl if row.quality else 0.0


def _explained(row: Row, workload: Workload, width: float) -> Row:
    half = _slower_half(row, workload, width)
    return dataclasses.replace(row, reason=f"{half} is slower") if half and row.verdict == "better" else row


def _slower_half(row: Row, workload: Workload, width: float) -> str:
    halves = (("reading", row.prefill, workload.prompt_weight), ("generating", row.decode, workload.decode_weight))
    for name, effect, weight in halves:
        bound = effect.ratio if effect.high is None else effect.high
        if weight > 0 and bound < 1 / (1 + width):
            return name
    return ""


def _logs(shots: Sequence[Shot], reference: Sequence[Shot], workload: Workload) -> list[float]:
    return [log_ratio(one, other, workload) for one, other in zip(shots, reference, strict=True)]


def _ratio(shots: Sequence[Shot], reference: Sequence[Shot], field_name: str) -> Effect:
    return paired_effect([getattr(one, field_name) for one in shots], [getattr(one, field_name) for one in reference])


def _medians(shots: Sequence[Shot]) -> tuple[float, float]:
    if not shots:
        return math.nan, math.nan
    return statistics.median(s.prefill_tps for s in shots), statistics.median(s.decode_tps for s in shots)
