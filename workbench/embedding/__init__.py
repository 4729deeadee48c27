"""Texts as vectors, one embedder a file.

Implements :class:`workbench.interfaces.Embedder`; never knows what is embedded, or why. Embedders are found by name in
:data:`workbench.embedders`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.embedding.hashing import HashingEmbedder

_HOME = {"HashingEmbedder": "hashing"}

__all__ = ["HashingEmbedder"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
