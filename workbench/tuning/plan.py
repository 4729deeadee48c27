"""How a tune spends its time: the measuring method in numbers. See the project's method of measuring for why."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import InvalidSettings
from workbench.sweep.findings.statistics import BLOCKS_TO_DECIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Numbers of the search and of the final.

    Attributes:
        pairs: measurements of a candidate in the search, each in turn with the default's.
        finalists: candidates measured again in the final.
        rounds: rounds of the final; in each, every finalist, the default and the default's twin run once, in random
            order. With fewer than ten nothing is decided.
        max_trials: most trials of the search; ``None``: as many as the time allows.
        screening_share: of the time, when the quality of single changes has to be known.
        search_share: of the time, when the search ends.
        final_share: of the time, at least, for the final; a turn of the workload is cut so that it suffices.
        tolerance: loss in speed (0.01 = 1 %) at which a changed setting is put back to its default.
    """

    pairs: int = 3
    finalists: int = 3
    rounds: int = BLOCKS_TO_DECIDE
    max_trials: int | None = None
    screening_share: float = 0.35
    search_share: float = 0.6
    final_share: float = 0.3
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if min(self.pairs, self.finalists, self.rounds) < 1:
            raise InvalidSettings("pairs, finalists and rounds must be at least 1.")
        if not 0 < self.screening_share <= self.search_share <= 1 - self.final_share < 1:
            raise InvalidSettings(
                "screening_share, search_share and 1 - final_share must be in this order, within 0, 1."
            )
