"""The specification of a sweep: what it says, checked for shape.

Whether the names in it exist is the business of :mod:`workbench.sweep.specification.checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator

from workbench.errors import SpecError, UnknownName
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
from workbench.sweep.specification.source import KeyPath, Source

MINIMUM_BLOCKS = 1


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
            under each, and compared within it.
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
        claim: what was said about a technique, for ``workbench claims``.
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
    claim: ClaimSpec | None = None
    results: str | None = None

    _source: Source = PrivateAttr(default_factory=lambda: Source({}, None, {}))

    @field_validator(
        "objectives", "quality", "targets", "linked", "configurations", "where", "within", "slow", mode="before"
    )
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

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
            raise _explain(error, source) from error
        spec._source = source
        return spec

    @property
    def levels(self) -> dict[str, tuple[Any, ...]]:
        """Every parameter that is varied, and its levels in the order of the file; 1, 1.0 and true are three."""
        found: dict[str, dict[str, Any]] = {}
        groups = [
            self.parameters,
            *self.linked,
            *({name: [value] for name, value in c.items()} for c in self.configurations),
        ]
        for group in groups:
            for name, levels in group.items():
                found.setdefault(name, {}).update((repr(level), level) for level in levels)
        return {name: tuple(levels.values()) for name, levels in found.items()}

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

    def error(self, problem: str, path: KeyPath = ()) -> SpecError:
        """A :class:`SpecError` that points at a key of this specification."""
        return self._source.error(problem, path)


_MEANS = {
    "list_type": "a list is wanted here: write [{value}] for a single value.",
    "tuple_type": "a list is wanted here.",
    "dict_type": "a mapping of names to values is wanted here.",
    "model_type": "a mapping of names to values is wanted here.",
    "string_type": "text is wanted here: put {value} in quotes.",
    "int_type": "a whole number is wanted here, not {value}.",
    "float_type": "a number is wanted here, not {value}.",
    "bool_type": "true or false is wanted here, not {value}.",
    "missing": "this key is missing.",
    "string_pattern_mismatch": "{value} cannot be a name: use letters, digits, '-', '_' and '.', at most 64.",
}


def _explain(error: ValidationError, source: Source) -> SpecError:
    """The first problem of a validation, in terms of the file. Misspelt keys first: they explain the missing ones."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    path = tuple(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return source.error(str(UnknownName("key", str(path[-1]), _known_keys(path[:-1]))), path)
    value = problem.get("input")
    shown = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    text = _MEANS.get(problem["type"])
    return source.error(text.format(value=shown) if text else f"{problem['msg']} (it is {shown}).", path)


def _known_keys(path: KeyPath) -> Mapping[str, Any]:
    """The keys of the model that stands at ``path``."""
    models: dict[str | int, type[BaseModel]] = {
        "objectives": ObjectiveSpec,
        "quality": QualitySpec,
        "targets": TargetSpec,
        "budget": BudgetSpec,
        "claim": ClaimSpec,
        "search": SearchSpec,
    }
    return (models[path[0]] if path else SweepSpec).model_fields
