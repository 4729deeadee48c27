"""Room for an archive, looked for before it is needed.

Chroma's index writes its files without looking whether that went well: on a full disk it leaves them cut short, says
nothing, and drops the queue they were made from. So nothing is written where room is scarce, and an index whose files
do not fit together is taken for damaged.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from workbench.errors import StorageFull, StoreCorrupt

_SPARE_BYTES = 2**20
_BYTES_PER_LENGTH = 4  # length.bin: the norm of each vector there is room for, float32


def check_room(folder: Path) -> None:
    """Whether another batch can be written: all files may be written anew, and grow by a fifth.

    Raises:
        StorageFull: no; nothing was written.
    """
    sizes = [found.stat().st_size for found in folder.rglob("*") if found.is_file()] or [0]
    need, have = 2 * sum(sizes) + _SPARE_BYTES, shutil.disk_usage(folder if folder.exists() else folder.parent).free
    if have < need:
        raise StorageFull(folder, need_bytes=need, have_bytes=have)
    need, limit = max(sizes) * 3 // 2 + _SPARE_BYTES, _most_per_file()
    if limit is not None and limit < need:
        raise StorageFull(folder, need_bytes=need, have_bytes=limit)


def check_index(folder: Path) -> None:
    """Whether the index's files fit together.

    Raises:
        StoreCorrupt: one has been cut short.
    """
    for lengths in folder.glob("*/length.bin"):
        vectors = lengths.with_name("data_level0.bin")
        elements, rest = divmod(lengths.stat().st_size, _BYTES_PER_LENGTH)
        size = vectors.stat().st_size if vectors.exists() else 0
        if rest or (elements == 0) != (size == 0) or (elements and size % elements):
            raise StoreCorrupt(folder, f"its index has {size} bytes for {elements} vectors")


def _most_per_file() -> int | None:
    """The largest file this process may write, in bytes; ``None``: any."""
    if sys.platform == "win32":  # pragma: no cover - the tests run on Unix
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit
