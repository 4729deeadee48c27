"""What a sweep has cost so far, over all calls, held against its budget."""

from __future__ import annotations

from workbench.storage.ledger import Attempt
from workbench.sweep.specification.parts import BudgetSpec


class Spending:
    """Runs that ended and the time they took, as the ledger has them.

    Args:
        budget: what all of it may cost.
    """

    def __init__(self, budget: BudgetSpec) -> None:
        self.budget, self.runs = budget, 0
        self._times: list[tuple[float, float]] = []
        self._seconds: float | None = None

    def add(self, attempt: Attempt) -> None:
        """Count an attempt that ended. One that was given up costs nothing: when it ended is not known."""
        if attempt.status not in ("done", "failed"):
            return
        self.runs += 1
        ended = attempt.started if attempt.finished is None else attempt.finished
        took = (attempt.payload or {}).get("elapsed_s", ended - attempt.started)
        self._seconds = None
        self._times.append((max(attempt.started, ended - took), ended))

    @property
    def seconds(self) -> float:
        """Wall time in which at least one run was going on: runs side by side count once."""
        if self._seconds is None:
            total, until = 0.0, float("-inf")
            for start, end in sorted(self._times):
                total += max(0.0, end - max(start, until))
                until = max(until, end)
            self._seconds = total
        return self._seconds

    @property
    def over(self) -> bool:
        """Whether nothing more may be begun."""
        return self.left(0) == 0

    def left(self, under_way: int) -> int | None:
        """How many more runs may be begun while so many are under way; ``None``: any number."""
        if self.budget.minutes is not None and self.seconds >= self.budget.minutes * 60:
            return 0
        return None if self.budget.runs is None else max(0, self.budget.runs - self.runs - under_way)
