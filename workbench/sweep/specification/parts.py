"""The sections of a specification that have keys of their own. Shapes only; nothing is looked up."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Values = dict[str, Any]


class Strict(BaseModel):
    """Frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ObjectiveSpec(Strict):
    """A metric that decides, and which way is good."""

    metric: str = Field(min_length=1)
    direction: Literal["maximize", "minimize"]


class QualitySpec(ObjectiveSpec):
    """A metric that must not get worse by more than ``tolerance`` (0.01 = 1 %)."""

    tolerance: float = Field(default=0.01, ge=0, lt=1)


class TargetSpec(Strict):
    """One measure of a benchmark.

    Held against ``at_least`` or ``at_most`` is the ratio of two arms (with ``against``), the ratio of two metrics that
    the same runs recorded (with ``against_metric``: contenders paired inside one run), or the median of one arm.
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
        if self.against is not None and self.against_metric is not None:
            raise ValueError("give one of against (another arm) and against_metric (another metric of the same run)")
        return self

    @property
    def asked(self) -> str:
        """The bound in words."""
        unit = "" if self.against is None and self.against_metric is None else " ×"
        return f"≥ {self.at_least:g}{unit}" if self.at_least is not None else f"≤ {self.at_most:g}{unit}"


class ClaimSpec(Strict):
    """Something that was said about a technique, to be tested.

    It is about a ratio (with ``against`` or ``against_metric``) or about a value.

    Attributes:
        says: the claim as it was made.
        metric: what it is about.
        of: the arm that has the technique.
        against: the arm without it.
        against_metric: or another metric of the same run.
        low: lower end of what is claimed.
        high: upper end; ``None``: "at least ``low``".
        direction: "maximize": above ``low`` is better than claimed; "minimize": below ``high`` is.
        needs: "gpu": on a machine without one the claim cannot be tested.
    """

    says: str = Field(min_length=1)
    metric: str = Field(min_length=1)
    of: Values = Field(default_factory=dict)
    against: Values | None = None
    against_metric: str | None = Field(default=None, min_length=1)
    low: float | None = None
    high: float | None = None
    direction: Literal["maximize", "minimize"]
    needs: Literal["gpu"] | None = None


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
        startup: configurations chosen by chance first.
    """

    trials: int = Field(default=50, ge=1, le=10_000)
    sampler: Literal["auto", "tpe", "nsga2", "random"] = "auto"
    ranges: dict[str, RangeSpec] = Field(default_factory=dict)
    repeats: int = Field(default=1, ge=1, le=100)
    startup: int = Field(default=10, ge=1)
