"""Texts as vectors, one embedder a file.

Implements :class:`workbench.interfaces.Embedder`; never knows what is embedded, or why. Embedders are found by name in
:data:`workbench.embedders`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.embedding.hashing import HashingEmbedder

_HOME = {"HashingEmbedder": "hashing"}

__all__ = ["HashingEmbedder"]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
