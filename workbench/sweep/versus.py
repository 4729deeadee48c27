"""``compare_sweeps``: two sweeps, or one before and after a change, with a gate for CI. Reads records; runs nothing.

What is compared how is the business of :mod:`workbench.sweep.findings.sides`.
"""

from __future__ import annotations

import dataclasses
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UnknownName, UsageError
from workbench.sweep.findings.sides import UNITS, Difference, Match, Side, SideRun, differences, match
from workbench.sweep.findings.statistics import BLOCKS_FOR_INTERVAL
from workbench.sweep.findings.targets import show_effect
from workbench.sweep.records.store import Records, read_sweep
from workbench.sweep.results import Objective
from workbench.sweep.specification.notebooks import code_hash
from workbench.sweep.specification.parts import Values

DEFAULT_GATE = 0.05

_NOT_CONTROLLED = (
    "A and B ran at different times, not interleaved in blocks: whatever the machine did between the two (temperature, "
    "load, updates) is part of every ratio, and the intervals do not hold it. To rule it out put both into one sweep."
)
_IN_PAIRS = "A and B are runs of one sweep: compared in pairs, block by block."

_UNFINISHED = "SELECT * FROM attempts WHERE counts AND status = 'failed' AND planned IS DISTINCT FROM false"

_COLUMNS = ("metric", "configuration", "A", "B", "B / A", "p", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepComparison:
    """Two sweeps side by side; printed it is a table, in a notebook one, too.

    Attributes:
        a: the one before, in words.
        b: the one after.
        differences: per metric and configuration.
        facts: what else differs between the two: name → (A's, B's).
        only_a: configurations B does not have.
        only_b: and A does not.
        lost: those of ``only_a`` that B tried, too, and of which no run finished.
        paired: both are of one sweep and were compared block by block.
        gate: how much worse B may be, as a share.
    """

    a: str
    b: str
    differences: Sequence[Difference]
    facts: Mapping[str, tuple[str, str]]
    only_a: Sequence[str]
    only_b: Sequence[str]
    lost: Sequence[str]
    paired: bool
    gate: float

    @property
    def worse(self) -> list[Difference]:
        """What breaks the gate: worse by more than it allows, the whole interval of it."""
        return [one for one in self.differences if one.gated]

    @property
    def broken(self) -> bool:
        """Whether B does not pass: something is worse by more than the gate, or never finishes any more."""
        return bool(self.worse or self.lost)

    @property
    def comparable(self) -> bool:
        """Whether anything has enough runs for a verdict, so that the gate could have been broken."""
        return bool(self.lost) or any(
            one.effect.n >= BLOCKS_FOR_INTERVAL and one.direction is not None for one in self.differences
        )

    @property
    def caveat(self) -> str:
        """How to read the ratios."""
        return _IN_PAIRS if self.paired else _NOT_CONTROLLED

    @property
    def sentence(self) -> str:
        """What the gate says."""
        if not self.comparable:
            return "Nothing could be compared: no metric has enough runs of one configuration on both sides."
        gone = f"B finished no run of: {'; '.join(self.lost)}." if self.lost else ""
        if not self.worse:
            passed = f"No metric is shown to be worse by more than {self.gate:.1%}."
            return gone or f"{passed}{self._unseen()}"
        named = "; ".join(f"{one.metric} of {one.label}: {show_effect(one.effect)}" for one in self.worse)
        return f"Worse by more than {self.gate:.1%}: {named}. {gone}".rstrip()

    def _unseen(self) -> str:
        """What the gate could not look at: a pass says nothing about it."""
        unseen = [f"{one.metric} of {one.label}" for one in self.differences if one.direction and not one.effect.n]
        unseen += [f"everything of {label}" for label in self.only_a]
        return f" Not compared, so not vouched for: {'; '.join(unseen)}." if unseen else ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "a": self.a,
            "b": self.b,
            "gate": self.gate,
            "worse": [f"{one.metric} of {one.label}" for one in self.worse],
            "lost": list(self.lost),
            "comparable": self.comparable,
            "paired": self.paired,
            "caveat": self.caveat,
            "facts": {name: list(values) for name, values in self.facts.items()},
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "differences": [_plain(asdict(one)) for one in self.differences],
        }

    def __str__(self) -> str:
        rows = [_COLUMNS, *(_row(one) for one in self.differences)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
        table = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"A: {self.a}", f"B: {self.b}", "", *table, "", *self._remarks(), self.sentence])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in _COLUMNS)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in _row(one))}</tr>" for one in self.differences
        )
        lines = [f"A: {self.a}", f"B: {self.b}", *self._remarks(), self.sentence]
        text = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{text}"

    def _remarks(self) -> list[str]:
        return [
            *(f"{name} differs: {a} → {b}" for name, (a, b) in self.facts.items()),
            *([f"Only A has: {'; '.join(self.only_a)}"] if self.only_a else []),
            *([f"Only B has: {'; '.join(self.only_b)}"] if self.only_b else []),
            self.caveat,
        ]


def compare_sweeps(
    a: Path | str,
    b: Path | str,
    *,
    gate: float = DEFAULT_GATE,
    only_a: Values | None = None,
    only_b: Values | None = None,
    metrics: Sequence[str] = (),
) -> SweepComparison:
    """B against A: every configuration both have, every objective and quality metric.

    >>> print(compare_sweeps("before/results/quickstart", "experiments/quickstart.yaml"))

    Args:
        a: a specification, a results folder, or a Parquet file of records: the one before.
        b: the one after.
        gate: how much worse a metric may get: 0.05 = 5 %: a ratio beyond 1.05, or below 1 / 1.05.
        only_a: of A only configurations with these parameters; what is selected does not tell configurations apart any
            more, so that ``only_a={"flash_attn": False}, only_b={"flash_attn": True}`` compares the two.
        only_b: the same of B.
        metrics: compare these; none: objectives and quality metrics, or without a specification every metric whose unit
            says which way is good.

    Raises:
        UsageError: the gate is no share; UnknownName: nobody recorded a metric that was asked for.
        SweepError: one side has no records; SpecError: its specification is wrong.
    """
    if not 0 < gate < 10:
        raise UsageError(f"A gate is a share, as in 0.05 for 5 %, not {gate!r}.")
    before, after = _selected(_read(Path(a)), only_a or {}), _selected(_read(Path(b)), only_b or {})
    found = match(before, after)
    return SweepComparison(
        a=before.name,
        b=after.name,
        differences=differences(before, after, found, _measures([before, after], metrics), gate),
        facts={**_apart(before, after, found), **found.settings},
        only_a=found.only_a,
        only_b=found.only_b,
        lost=found.lost,
        paired=found.paired,
        gate=gate,
    )


def _read(path: Path) -> Side:
    from workbench.sweep.execution.runner import Sweep

    if path.suffix in (".yaml", ".yml") and path.is_file():
        sweep = Sweep.from_file(path)
        return _side(sweep.records(), sweep.spec.measures)
    return _side(read_sweep(path), ())


def _side(records: Records, objectives: Sequence[Objective]) -> Side:
    rows = records.query("SELECT * FROM runs").to_dict("records")
    runs = _runs(records, rows)
    environments = [json.loads(text) for text in dict.fromkeys(row["environment"] for row in rows) if text]
    facts = _facts(environments, sorted({row["host"] for row in rows}), records.folder)
    when = sorted(str(row["started_at"])[:10] for row in rows)
    dates = " to ".join(dict.fromkeys([when[0], when[-1]])) if when else "no finished runs"
    name = f"{records.about.name} ({len(runs)} runs, {dates}, {facts.get('host') or 'no host'}): {records.folder}"
    return Side(
        name=name,
        runs=runs,
        facts=facts,
        same_sweep=str(records.folder.resolve()),
        objectives=objectives,
        unfinished=_runs(records, records.query(_UNFINISHED).to_dict("records")),
    )


def _runs(records: Records, rows: Sequence[Mapping[str, Any]]) -> list[SideRun]:
    columns = records.about.of("metric")
    return [
        SideRun(
            cell=row["cell"],
            arm=row["arm"],
            key=(row["host"], row["phase"], row["block"]),
            parameters={**json.loads(row["varied"]), **json.loads(row["parameters"])},
            metrics={column.of: _number(row[column.name]) for column in columns},
        )
        for row in rows
    ]


def _facts(environments: Sequence[Mapping[str, Any]], hosts: Sequence[str], folder: Path) -> dict[str, str]:
    """What may explain a difference, in words; several values of one fact are all named."""
    found: dict[str, dict[str, None]] = {"host": dict.fromkeys(hosts)}
    for environment in environments:
        for name, value in _facts_of(environment).items():
            found.setdefault(name, {})[value] = None
    source = folder / "source.ipynb"
    if source.exists():
        found["notebook code"] = {code_hash(source)[:12]: None}
    return {name: ", ".join(values) for name, values in found.items()}


def _facts_of(environment: Mapping[str, Any]) -> dict[str, str]:
    git = environment.get("git") or {}
    cpu = environment.get("cpu") or {}
    build = environment.get("llama_cpp") or {}
    every = {
        "CPU": cpu.get("name"),
        "GPUs": ", ".join(gpu["name"] for gpu in environment.get("gpus") or []),
        "commit": f"{git['commit'][:12]}{' (changed)' if git.get('dirty') else ''}" if git.get("commit") else None,
        "llama.cpp build": build.get("system_info"),
        "Python": environment.get("python"),
        **{f"model {name}": f"sha256 {m['sha256'][:12]}" for name, m in (environment.get("models") or {}).items()},
        **(environment.get("packages") or {}),
    }
    return {name: str(value) for name, value in every.items() if value}


def _apart(a: Side, b: Side, found: Match) -> dict[str, tuple[str, str]]:
    """Facts that are not the same on both sides."""
    names = dict.fromkeys([*a.facts, *b.facts])
    facts = {name: (a.facts.get(name, "not known"), b.facts.get(name, "not known")) for name in names}
    if "notebook code" not in facts and _other_code(found):
        facts["notebook code"] = ("that of A", "another one")
    return {name: values for name, values in facts.items() if values[0] != values[1]}


def _other_code(found: Match) -> bool:
    """Whether equal cells have unequal ids: parameters, block and the notebook's code make an id."""
    for pair in found.pairs:
        ids = {(run.arm, run.key[1:], json.dumps(dict(run.parameters), sort_keys=True)): run.cell for run in pair.a}
        for run in pair.b:
            same = ids.get((run.arm, run.key[1:], json.dumps(dict(run.parameters), sort_keys=True)))
            if same is not None:
                return same != run.cell
    return False


def _selected(side: Side, wanted: Values) -> Side:
    runs, unfinished = (
        [run for run in some if all(run.parameters.get(name) == value for name, value in wanted.items())]
        for some in (side.runs, side.unfinished)
    )
    known = {name for run in side.runs for name in run.parameters}
    for name in wanted:
        if name not in known:
            raise UnknownName("parameter", name, known)
    return dataclasses.replace(side, runs=runs, unfinished=unfinished)


def _measures(sides: Sequence[Side], asked: Sequence[str]) -> list[Objective | str]:
    """Metrics to compare, with a direction where a specification or the unit says which way is good."""
    known = {measure.metric: measure for side in sides for measure in side.objectives}
    recorded = dict.fromkeys(name for side in sides for run in side.runs for name in run.metrics)
    for name in asked:
        if name not in recorded:
            raise UnknownName("metric", name, recorded)
    named = asked or list(known) or [name for name in recorded if _by_unit(name)]
    return [known.get(name) or _by_unit(name) or name for name in named]


def _by_unit(metric: str) -> Objective | None:
    direction = next((way for ending, way in UNITS.items() if metric.endswith(ending)), None)
    return Objective(metric=metric, direction=direction) if direction else None


def _row(one: Difference) -> tuple[str, ...]:
    counts = f"{one.n_a}" if one.n_a == one.n_b else f"{one.n_a} and {one.n_b}"
    shown = show_effect(one.effect)
    ratio = f"{shown.rpartition(', n=')[0]}, n={counts}" if one.effect.n else shown
    verdict = f"{one.verdict}{', gate broken' if one.gated else ''}: {one.reason}"
    p = "-" if one.p_holm is None else f"{one.p_holm:.2g}"
    return (one.metric, one.label, _median(one.median_a), _median(one.median_b), ratio, p, verdict)


def _median(value: float | None) -> str:
    return "-" if value is None else f"{value:,.5g}"


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _plain(value: Any) -> Any:
    """NaN, which JSON does not know, becomes null."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
