"""The specification of a sweep: what it says, checked for shape.

Whether the names in it exist is the business of :mod:`workbench.sweep.specification.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from workbench.errors import SpecError
from workbench.sweep.results import Objective
from workbench.sweep.specification import source as yaml_source
from workbench.sweep.specification.parts import (
    BudgetSpec,
    ClaimSpec,
    ObjectiveSpec,
    QualitySpec,
    SearchSpec,
    Strict,
    TargetSpec,
    Values,
)
from workbench.sweep.specification.problems import explain
from workbench.sweep.specification.source import KeyPath, Source

T = TypeVar("T")

MINIMUM_BLOCKS = 1
WORKLOAD = "workload"
"""The parameter that ``workloads`` vary: its levels are their names."""


class SweepSpec(Strict):
    """A sweep as its YAML file describes it.

    Attributes:
        name: short name; the results' folder is called after it.
        title: a heading for people.
        description: what the sweep is for.
        notebook: the notebook to run, relative to the file.
        parameters: name → levels; the sweep runs the full grid.
        linked: parameters that change together: name → levels, equally many; the grid takes them as one.
        configurations: further arms, each written out as name → value; what it leaves open stays as in ``fixed``, or
            as the notebook has it.
        when: name → condition; where that is false the parameter is left out of the configuration, and
            configurations that are then the same are one (:mod:`workbench.sweep.specification.conditions`).
        where: conditions; configurations for which one is false are not run.
        within: parameters that are situations, not choices (a workload): each configuration is compared with the first
            one of its own situation, and there is a recommendation for each.
        workloads: name → parameters of a use (prompts, history, requests at once): every configuration is measured
            under each, and compared within it; the notebook is told the name if it has a parameter ``workload``.
        slow: parameters that are expensive to change (a model to load): a block's cells with equal ones run one after
            the other, in one process that keeps the model (split plot).
        load: the parameter that says how many requests are at work at once; figures plot latency over it.
        fixed: parameters that stay the same.
        baseline: an extra arm: these override ``fixed`` and the first levels of the grid.
        twin: run the reference a second time in each block, to learn how far equal runs differ here (A/A).
        blocks: how often every configuration runs.
        more_blocks: up to so many further blocks, of those configurations only whose ranking is not decided yet.
        confirm: fresh blocks in which what was chosen runs once more against its reference.
        budget: what all of it may cost.
        memory_limit_gib: resident memory a run's processes may have together; beyond, the run is "out of memory".
        side_by_side: runs at the same time, for sweeps in which no time is measured.
        mode: "grid": every configuration; "search": Optuna chooses which (see ``search``).
        search: how.
        seed: of the order within blocks.
        timeout_s: longest time a run may take.
        retries: further attempts at a run that failed.
        objectives: metrics that decide.
        quality: metrics that must not get worse.
        targets: measures of a benchmark.
        claims: what was said about a technique, for ``workbench claims``.
        results: folder for the results, relative to the file; default ``results/<name>``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str = ""
    description: str = ""
    notebook: str = Field(min_length=1)
    parameters: dict[str, list[Any]] = Field(default_factory=dict)
    linked: tuple[dict[str, list[Any]], ...] = ()
    configurations: tuple[Values, ...] = ()
    when: dict[str, str] = Field(default_factory=dict)
    where: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    workloads: dict[str, Values] = Field(default_factory=dict)
    slow: tuple[str, ...] = ()
    load: str | None = None
    fixed: Values = Field(default_factory=dict)
    baseline: Values | None = None
    twin: bool = False
    blocks: int = Field(default=10, ge=MINIMUM_BLOCKS, le=10_000)
    more_blocks: int = Field(default=0, ge=0, le=10_000)
    confirm: int = Field(default=0, ge=0, le=1000)
    budget: BudgetSpec = BudgetSpec()
    memory_limit_gib: float | None = Field(default=None, gt=0)
    side_by_side: int = Field(default=1, ge=1, le=256)
    mode: Literal["grid", "search"] = "grid"
    search: SearchSpec | None = None
    seed: int = 1
    timeout_s: float = Field(default=600.0, gt=0)
    retries: int = Field(default=0, ge=0, le=10)
    objectives: tuple[ObjectiveSpec, ...] = ()
    quality: tuple[QualitySpec, ...] = ()
    targets: tuple[TargetSpec, ...] = ()
    claims: tuple[ClaimSpec, ...] = ()
    results: str | None = None

    _source: Source = PrivateAttr(default_factory=lambda: Source({}, None, {}))
    _remembered: dict[Any, Any] = PrivateAttr(default_factory=dict)

    @field_validator(
        "objectives",
        "quality",
        "targets",
        "claims",
        "linked",
        "configurations",
        "where",
        "within",
        "slow",
        mode="before",
    )
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="before")
    @classmethod
    def _workloads_are_situations(cls, value: object) -> object:
        """A workload is no choice, so that everything compares within it without being told."""
        if not isinstance(value, dict) or not value.get("workloads"):
            return value
        within = value.get("within", [])
        if not isinstance(within, list | tuple) or WORKLOAD in within:
            return value
        return {**value, "within": [*within, WORKLOAD]}

    @classmethod
    def from_file(cls, path: Path | str) -> SweepSpec:
        """Read and check a specification: its shape, then every name in it.

        Raises:
            SpecError: with file, line, key and the known names.
        """
        from workbench.sweep.specification.checks import check

        spec = cls.from_source(yaml_source.read(Path(path)))
        check(spec)
        return spec

    @classmethod
    def from_source(cls, source: Source) -> SweepSpec:
        """From parsed YAML, checked for shape only."""
        try:
            spec = cls.model_validate(source.value)
        except ValidationError as error:
            raise explain(error, source, cls) from error
        spec._source = source
        return spec

    @property
    def levels(self) -> dict[str, tuple[Any, ...]]:
        """Every parameter that is varied, and its levels in the order of the file; 1, 1.0 and true are three.

        A range that is searched has none of its own.
        """
        named = {WORKLOAD: list(self.workloads)} if self.workloads else {}
        ranged: dict[str, list[Any]] = {name: [] for name in self.search.ranges} if self.search else {}
        return _distinct([self.parameters, *self.linked, *map(_single, self.configurations), ranged, named])

    @property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """What tells runs apart: the levels, and what comes with a workload."""
        return {**self.levels, **_distinct(map(_single, self.workloads.values()))}

    @property
    def folder(self) -> Path:
        """What relative paths are relative to: the file's folder."""
        path = self._source.path
        return path.absolute().parent if path else Path.cwd()

    @property
    def notebook_path(self) -> Path:
        """Where the notebook lies."""
        return (self.folder / Path(self.notebook).expanduser()).resolve()

    @property
    def results_path(self) -> Path:
        """Where results go."""
        return self.folder / Path(self.results or f"results/{self.name}").expanduser()

    @property
    def measures(self) -> tuple[Objective, ...]:
        """Objectives, then quality metrics, as the results name them."""
        objectives = [Objective(metric=o.metric, direction=o.direction) for o in self.objectives]
        quality = [
            Objective(metric=q.metric, direction=q.direction, role="quality", tolerance=q.tolerance)
            for q in self.quality
        ]
        return (*objectives, *quality)

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returned the first time: a specification never changes, and some of it is dear to work out."""
        if key not in self._remembered:
            self._remembered[key] = make()
        found: T = self._remembered[key]
        return found

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON Schema (draft 2020-12) of a specification, with what each key means, for editors that complete YAML."""
        from workbench.sweep.specification.schema import schema_of

        return schema_of(cls)

    def error(self, problem: str, path: KeyPath = ()) -> SpecError:
        """A :class:`SpecError` that points at a key of this specification."""
        return self._source.error(problem, path)


def _single(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [value] for name, value in values.items()}


def _distinct(groups: Iterable[Mapping[str, Sequence[Any]]]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        for name, levels in group.items():
            found.setdefault(name, {}).update((repr(level), level) for level in levels)
    return {name: tuple(levels.values()) for name, levels in found.items()}
