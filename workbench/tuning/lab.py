"""The seam between a tune and the machine: who measures. The tests' laboratory is scripted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from workbench.models import ModelFile
from workbench.tuning.candidate import Candidate
from workbench.tuning.quality import Quality
from workbench.tuning.workload import Workload


@dataclass(frozen=True, slots=True)
class Shot:
    """One measurement.

    Attributes:
        prefill_tps: prompt tokens per second.
        decode_tps: generated tokens per second, after the prompt.
    """

    prefill_tps: float
    decode_tps: float


class Lab(Protocol):
    """Measures candidates, one at a time. Used by one thread; the tune that was handed it closes it.

    Raises (every method): WorkbenchError: this candidate failed, whatever became of the process that ran it; the next
    one can be measured all the same.
    """

    def prepare(self, candidate: Candidate) -> ModelFile:
        """The file of a candidate, made if it has to be."""
        ...

    def measure(self, candidate: Candidate, workload: Workload) -> Shot:
        """One turn of the workload. What is measured for the first time in a process is warmed up before."""
        ...

    def quality(self, candidate: Candidate, limit_tokens: int) -> Quality:
        """Divergence from the untouched file under default settings, on at most so many tokens of the text."""
        ...

    def tidy(self, kept: Candidate | None) -> None:
        """Delete the files it made for candidates other than ``kept``."""
        ...

    def close(self) -> None:
        """Free everything. Idempotent."""
        ...
