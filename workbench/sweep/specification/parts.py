"""The sections of a specification that have keys of their own. Shapes only; nothing is looked up."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Values = dict[str, Any]


class Strict(BaseModel):
    """Frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _refuse_two_references(against: Values | None, against_metric: str | None) -> None:
    if against is not None and against_metric is not None:
        raise ValueError("give one of against (another arm) and against_metric (another metric of the same run)")


class ObjectiveSpec(Strict):
    """A metric that decides, and which way is good.

    Attributes:
        metric: its name, as the notebook records it.
        direction: which way is good.
    """

    metric: str = Field(min_length=1)
    direction: Literal["maximize", "minimize"]


class QualitySpec(ObjectiveSpec):
    """A metric that must not get worse.

    Attributes:
        tolerance: largest acceptable relative loss (0.01 = 1 %).
    """

    tolerance: float = Field(default=0.01, ge=0, lt=1)


class TargetSpec(Strict):
    """One measure of a benchmark.

    Held against ``at_least`` or ``at_most`` is the ratio of two arms (with ``against``), the ratio of two metrics that
    the same runs recorded (with ``against_metric``: contenders paired inside one run), or the median of one arm.

    Attributes:
        name: what is measured, for people.
        metric: its name, as the notebook records it.
        of: the arm it is measured on: enough parameters to tell it from the others.
        against: another arm, for a ratio.
        against_metric: another metric of the same run, for a ratio.
        at_least: lower bound.
        at_most: upper bound; give one of the two.
    """

    name: str = Field(min_length=1)
    metric: str = Field(min_length=1)
    of: Values = Field(default_factory=dict)
    against: Values | None = None
    against_metric: str | None = Field(default=None, min_length=1)
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give exactly one of at_least and at_most")
        _refuse_two_references(self.against, self.against_metric)
        return self

    @property
    def asked(self) -> str:
        """The bound in words."""
        unit = "" if self.against is None and self.against_metric is None else " ×"
        return f"≥ {self.at_least:g}{unit}" if self.at_least is not None else f"≤ {self.at_most:g}{unit}"


class ClaimSpec(Strict):
    """Something that was said about a technique, to be tested.

    It is about the ratio of two arms (with ``against``), the ratio of two metrics that the same runs recorded (with
    ``against_metric``), or a value. What the verdicts mean stands in :mod:`workbench.sweep.findings.claims`.

    Attributes:
        says: the claim as it was made.
        metric: what it is about.
        of: the arm that has the technique.
        against: the arm without it.
        against_metric: or another metric of the same run.
        low: lower end of what is claimed.
        high: upper end. Neither: no size was claimed, only that there is an effect.
        direction: "maximize": the claim holds from ``low`` upwards; "minimize": from ``high`` downwards.
        nothing: for a value: what it would be without any effect; a ratio's is 1.
        bounds: for a value: two metrics of the same runs that are its 95 % interval.
        trials: for a share: the metric that says of how many, for an exact interval (Clopper and Pearson 1934).
        exact: the figure does not vary by chance (a count, a size): its range over the blocks is its interval, and a
            single block decides.
        needs: "gpu": on a machine without one the claim cannot be tested; "data": nor can it without WORKBENCH_DATA.
    """

    says: str = Field(min_length=1)
    metric: str = Field(min_length=1)
    of: Values = Field(default_factory=dict)
    against: Values | None = None
    against_metric: str | None = Field(default=None, min_length=1)
    low: float | None = None
    high: float | None = None
    direction: Literal["maximize", "minimize"]
    nothing: float | None = None
    bounds: tuple[str, str] | None = None
    trials: str | None = Field(default=None, min_length=1)
    exact: bool = False
    needs: Literal["gpu", "data"] | None = None

    @field_validator("bounds", mode="before")
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _refuse_two_references(self.against, self.against_metric)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low must not be above high")
        if (self.low is None) != (self.high is None) and self.threshold is None:
            raise ValueError(f"to {self.direction} give {'low' if self.direction == 'maximize' else 'high'}")
        own = [name for name in ("nothing", "bounds", "trials") if getattr(self, name) is not None]
        if self.is_ratio and own:
            raise ValueError(f"{', '.join(own)}: for values only; a ratio has its own")
        if not self.is_ratio and self.threshold is None and self.nothing is None:
            raise ValueError("a value needs low, high or nothing to be held against")
        return self

    @property
    def is_ratio(self) -> bool:
        """Whether it is about a ratio."""
        return self.against is not None or self.against_metric is not None

    @property
    def threshold(self) -> float | None:
        """Where the claimed range begins, seen from no effect; ``None``: no size was claimed."""
        return self.low if self.direction == "maximize" else self.high


class BudgetSpec(Strict):
    """What a sweep may cost in all; what is left then counts as left out.

    Attributes:
        minutes: wall time over all calls, finished runs included; the run in progress is let finish.
        runs: finished runs, failed ones included.
    """

    minutes: float | None = Field(default=None, gt=0)
    runs: int | None = Field(default=None, ge=1)


class RangeSpec(Strict):
    """Numbers a search may choose from: whole ones if both ends are whole.

    Attributes:
        low: smallest.
        high: largest.
        log: choose on a logarithmic scale.
        step: only every so much from ``low`` on.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic range starts above 0 and has no step")
        return self


class SearchSpec(Strict):
    """How ``mode: search`` looks for good configurations.

    Attributes:
        trials: configurations to try.
        sampler: "auto": TPE for one objective, NSGA-II for several.
        ranges: parameter → range, beside the levels of ``parameters``.
        repeats: blocks in which each configuration runs before its median is told to the sampler.
        startup: configurations chosen by chance first; with NSGA-II also the size of a generation.
        finalists: how many of the best are then measured in ordinary blocks; default 3 for one objective, at most 8 of
            those that none beats in everything for several.
    """

    trials: int = Field(default=50, ge=1, le=10_000)
    sampler: Literal["auto", "tpe", "nsga2", "random"] = "auto"
    ranges: dict[str, RangeSpec] = Field(default_factory=dict)
    repeats: int = Field(default=1, ge=1, le=100)
    startup: int = Field(default=10, ge=2)
    finalists: int | None = Field(default=None, ge=1, le=50)
