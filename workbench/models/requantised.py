"""Copies of models at another quantisation, made here: how they are told from models somebody published.

Beside each lies a note, ``<name>.json``. Knows names and notes, not how the copies are made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import StoreCorrupt
from workbench.storage import read_json

COST = (
    "Weights that were quantised twice are further from the original than either step alone: measure what it costs "
    "(`workbench tune` states KL divergence and same-top rate) before relying on its answers."
)


def provenance_file(model: Path) -> Path:
    """Where the note about a copy lies, whether it exists or not."""
    return model.with_suffix(".json")


def provenance(model: Path) -> dict[str, Any] | None:
    """What a copy was made from: ``note``, ``source``, ``type``, ``sha256``, ``made``; ``None``: no copy of ours."""
    try:
        stored = read_json(provenance_file(model))
    except (OSError, StoreCorrupt):
        return None
    return stored if isinstance(stored, dict) and {"source", "type", "note"} <= stored.keys() else None
