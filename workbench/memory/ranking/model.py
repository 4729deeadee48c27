"""The learned ranker: a weight for each feature, in a file that can be read.

A linear model of standardised features, trained listwise (see :mod:`workbench.memory.ranking.training`). Trees and a
second stage on top gained half a point of recall on unseen conversations and were left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from workbench.errors import StoreCorrupt
from workbench.interfaces import FloatArray
from workbench.memory.ranking.features import FEATURES
from workbench.storage import write_text

BUNDLED = Path(__file__).parent / "weights.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Ranker:
    """Weights for :data:`FEATURES`.

    Attributes:
        weights: feature → weight; what is not named weighs nothing.
        facts: on what it was trained, and how well it ranked what it had not seen.
    """

    weights: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | str = BUNDLED) -> Self:
        """Weights from a file.

        Raises:
            StoreCorrupt: it is not such a file, or names features this version does not compute.
        """
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            weights = {str(name): float(weight) for name, weight in values["weights"].items()}
            known = values["format"] == _FORMAT
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreCorrupt(path, f"it holds no ranker's weights ({error!r}). {_REMEDY}") from error
        unknown = sorted(set(weights) - set(FEATURES))
        if not known or unknown or not np.isfinite(list(weights.values())).all():
            raise StoreCorrupt(path, f"it is of another version; unknown features: {unknown}. {_REMEDY}")
        return cls(weights, dict(values.get("facts", {})))

    def save(self, path: Path | str) -> None:
        """Write the weights, the heaviest first."""
        ordered = sorted(self.weights.items(), key=lambda item: -abs(item[1]))
        values = {"format": _FORMAT, "facts": self.facts, "weights": {name: round(w, 4) for name, w in ordered}}
        write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")

    def scores(self, table: FloatArray) -> FloatArray:
        """One score a message, (messages,), of its features, (features, messages)."""
        row = np.array([self.weights.get(name, 0.0) for name in FEATURES], np.float32)
        scores: FloatArray = row @ table
        return scores


_REMEDY = "Train one with train_ranker() and save it, or leave out the path for the one that comes with the package."


@lru_cache(maxsize=1)
def bundled() -> Ranker:
    """The ranker that comes with the package."""
    return Ranker.load()
