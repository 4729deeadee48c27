"""Texts as vectors, one embedder a file.

Implements :class:`workbench.interfaces.Embedder`; never knows what is embedded, or why. Embedders are found by name in
:data:`workbench.embedders`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.embedding.bundled import all_minilm_l6_v2, paraphrase_minilm_l3_v2
    from workbench.embedding.cache import CachedEmbedder
    from workbench.embedding.gguf import GgufEmbedder
    from workbench.embedding.hashing import HashingEmbedder
    from workbench.embedding.onnx import OnnxEmbedder
    from workbench.embedding.sentence_transformers import SentenceTransformersEmbedder

_HOME = {
    "CachedEmbedder": "cache",
    "GgufEmbedder": "gguf",
    "HashingEmbedder": "hashing",
    "OnnxEmbedder": "onnx",
    "SentenceTransformersEmbedder": "sentence_transformers",
    "all_minilm_l6_v2": "bundled",
    "paraphrase_minilm_l3_v2": "bundled",
}

__all__ = [
    "CachedEmbedder",
    "GgufEmbedder",
    "HashingEmbedder",
    "OnnxEmbedder",
    "SentenceTransformersEmbedder",
    "all_minilm_l6_v2",
    "paraphrase_minilm_l3_v2",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
