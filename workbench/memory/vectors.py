"""The embedder of a memory: by name or as given, with a cache in the memory's folder.

Knows that vectors are kept so that nothing is embedded twice, never what they are compared for.
"""

from __future__ import annotations

from pathlib import Path

from workbench.embedding.cache import CachedEmbedder
from workbench.interfaces import Embedder
from workbench.registry import embedders

DEFAULT_EMBEDDER = "all-minilm-l6-v2"


def embedder_for(embedder: Embedder | str, folder: Path | str | None) -> CachedEmbedder:
    """``embedder`` behind a cache: in ``folder``, or in memory only.

    Args:
        embedder: a registered name, or an embedder, which stays its owner's and is not closed with the cache.
        folder: the memory's.
    """
    path = None if folder is None else Path(folder) / "vectors.sqlite"
    if isinstance(embedder, CachedEmbedder):
        return embedder
    if isinstance(embedder, str):
        return CachedEmbedder(embedders.create(embedder), path, owns=True)
    return CachedEmbedder(embedder, path)
