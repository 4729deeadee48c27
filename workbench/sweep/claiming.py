"""The claims of a folder of sweeps: read, run where nothing has been measured yet, and held against what was measured.

>>> import workbench as wb
>>> print(wb.claims("experiments/claims"))                                    # doctest: +SKIP

Draws nothing. What the verdicts mean stands in :mod:`workbench.sweep.findings.claims`.
"""

from __future__ import annotations

import functools
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UnknownName, UsageError, WorkbenchError
from workbench.showing import Shown, Table, View
from workbench.sweep.execution.runner import CellFunction, Sweep
from workbench.sweep.findings.claim_figures import evaluate_claims
from workbench.sweep.findings.claims import CLAIM_VERDICTS, ClaimResult

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path("experiments/claims")
_WIDTH = 64
"""Characters of a line of a claim's text in the printed table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedSweep:
    """A sweep that tests claims, and what came out.

    Attributes:
        name: of its file, without the number in front.
        title: for people.
        description: what was claimed, and what exactly is measured.
        folder: of its results.
        audit: how far it is, in words.
        hosts: where it ran.
        results: its claims.
    """

    name: str
    title: str
    description: str
    folder: Path
    audit: str
    hosts: tuple[str, ...]
    results: tuple[ClaimResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTable(Shown):
    """Every claim of a folder.

    Attributes:
        sweeps: in the order of their numbers.
        unreadable: (file, why) of what could not be read.
    """

    sweeps: tuple[ClaimedSweep, ...]
    unreadable: tuple[tuple[Path, str], ...] = ()

    @property
    def results(self) -> tuple[ClaimResult, ...]:
        """The claims of all sweeps."""
        return tuple(result for sweep in self.sweeps for result in sweep.results)

    @property
    def counts(self) -> dict[str, int]:
        """Verdict → claims with it, in the order of the verdicts; none are left out."""
        counted = Counter(result.verdict for result in self.results)
        return {verdict: counted[verdict] for verdict in CLAIM_VERDICTS}

    def frame(self) -> pd.DataFrame:
        """One row a claim: sweep, claim, claimed, measured, low, high, n, verdict, reason."""
        import pandas as pd

        columns = ("sweep", "claim", "claimed", "measured", "low", "high", "n", "verdict", "reason")
        rows = [
            (
                sweep.name,
                result.claim.says,
                result.claimed,
                result.measured.estimate,
                result.measured.low,
                result.measured.high,
                result.measured.n,
                result.verdict,
                result.reason,
            )
            for sweep in self.sweeps
            for result in sweep.results
        ]
        return pd.DataFrame(rows, columns=list(columns))

    def __str__(self) -> str:
        """Claimed, measured with its interval, verdict; below each what there is to say about it."""
        rows = [("claim", "claimed", "measured", "verdict")]
        rows += [row for result in self.results for row in _rows(result)]
        widths = [max(len(row[place]) for row in rows) for place in range(4)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "", self._summary(), *self._unread()])

    def _summary(self) -> str:
        return ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items() if count) or "no claims"

    def _unread(self) -> list[str]:
        return [f"not read: {path}: {why}" for path, why in self.unreadable]

    def _view(self) -> View:
        rows = [(one.claim.says, one.claimed, one.text, one.verdict, one.reason) for one in self.results]
        table = Table(columns=("claim", "claimed", "measured", "verdict", "why"), rows=rows)
        return View(heading=self._summary(), tables=[table], notes=self._unread())


def _rows(result: ClaimResult) -> list[tuple[str, str, str, str]]:
    """A claim over as many lines as its text takes, then the reason."""
    first, *more = textwrap.wrap(result.claim.says, _WIDTH)
    more += textwrap.wrap(result.reason, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return [(first, result.claimed, result.text, result.verdict), *((line, "", "", "") for line in more)]


def claims(folder: Path | str = FOLDER, names: Iterable[str] = ()) -> ClaimTable:
    """Hold the claims of a folder's specifications against the results there are. Runs nothing.

    Args:
        folder: of specifications (YAML) with ``claims``.
        names: only these: file names, with or without the number in front; none: all.

    Raises:
        UnknownName: there is no specification of that name.
        UsageError: there is none at all.
    """
    read, unreadable = list[ClaimedSweep](), list[tuple[Path, str]]()
    for path in claim_files(folder, names):
        try:
            read.append(_claimed(path, Sweep.from_file(path)))
        except WorkbenchError as error:
            unreadable.append((path, str(error)))
    return ClaimTable(sweeps=tuple(read), unreadable=tuple(unreadable))


def claim_files(folder: Path | str, names: Iterable[str] = ()) -> list[Path]:
    """The specifications of a folder by their numbers.

    Raises:
        UnknownName: there is none of that name.
        UsageError: there are none at all.
    """
    found = {plain_name(path): path for path in sorted(Path(folder).glob("*.yaml"), key=_place)}
    if not found:
        raise UsageError(f"There are no specifications (*.yaml) in {folder}. Name the folder with those of the claims.")
    wanted = [plain_name(Path(name)) for name in names]
    for name in wanted:
        if name not in found:
            raise UnknownName("claim", name, found)
    return [path for name, path in found.items() if not wanted or name in wanted]


def to_run(folder: Path | str, names: Iterable[str] = (), *, function: CellFunction | None = None) -> list[Sweep]:
    """The sweeps of which runs are missing and of which at least one claim can be tested on this machine.

    Args:
        folder: as for :func:`claims`.
        names: likewise.
        function: runs a cell, see :class:`workbench.sweep.Sweep`.

    Raises:
        SpecError: a specification cannot run.
    """
    sweeps = [Sweep(Sweep.from_file(path).spec, function=function) for path in claim_files(folder, names)]
    lacking = lacking_here()
    return [one for one in sweeps if one.status().missing and _testable(one, lacking)]


def plain_name(path: Path) -> str:
    """A specification's name without its number: ``3_lookup.yaml`` is "lookup"."""
    number, _, rest = path.stem.partition("_")
    return rest if number.isdigit() and rest else path.stem


def lacking_here() -> tuple[str, ...]:
    """What claims may need and this machine has not, of :data:`workbench.sweep.findings.claims.REMEDIES`."""
    from workbench.settings import data_dir

    return (*(() if _has_gpu() else ("gpu",)), *(() if data_dir() is not None else ("data",)))


@functools.cache
def _has_gpu() -> bool:
    from workbench.hardware import gpus
    from workbench.sweep.records.environment import llama_build

    # llama.cpp is asked, in a process of its own, only where a GPU makes the answer matter
    return bool(gpus()) and bool((llama_build() or {}).get("gpu_offload"))


def _testable(sweep: Sweep, lacking: Sequence[str]) -> bool:
    return any(claim.needs not in lacking for claim in sweep.spec.claims)


def _place(path: Path) -> tuple[int, str]:
    number = path.stem.partition("_")[0]
    return (int(number) if number.isdigit() else 0, path.name)


def _claimed(path: Path, sweep: Sweep) -> ClaimedSweep:
    from workbench.sweep.specification.notebooks import parameter_defaults

    spec, audit, runs = sweep.spec, sweep.status(), sweep.runs()
    results = evaluate_claims(
        spec,
        runs,
        defaults=parameter_defaults(spec.notebook_path),
        lacking=lacking_here(),
        failure=audit.failures[-1][1] if audit.failures else "",
    )
    return ClaimedSweep(
        name=plain_name(path),
        title=spec.title or spec.name,
        description=spec.description.strip(),
        folder=sweep.folder,
        audit=str(audit),
        hosts=tuple(sorted({run.host for run in runs})),
        results=tuple(results),
    )
