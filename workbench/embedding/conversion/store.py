"""Converted models on disk: made once, whole or not at all, in the user's cache folder.

A folder's name holds a hash of what it was made from and the version of the code that made it, so neither another
model nor another conversion is ever taken for it. Deleting any of it is safe: it is made again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.embedding.conversion.to_onnx import onnx_bytes
from workbench.embedding.conversion.weights import from_folder
from workbench.errors import StorageFull
from workbench.models.hashing import file_hash
from workbench.settings import cache_dir
from workbench.storage.atomic import NO_ROOM

_VERSION = 1  # raise it whenever a conversion writes something else


def converted(name: str, sources: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` fills, from the cache if it is there.

    Args:
        name: of the conversion, for people: "all-minilm-l6-v2-gguf".
        sources: files it is made from.
        make: writes files into an empty folder.

    Raises:
        StorageFull: no room; nothing is left behind.
        ModelFileError: a source cannot be read.
    """
    told = "\0".join((str(_VERSION), *(file_hash(source) for source in sources)))
    folder = cache_dir() / "embedding" / f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        _fill(folder, make)
    return folder


def onnx_of_folder(folder: Path, name: str | None = None) -> Path:
    """The ONNX file of a sentence-transformers folder: its own, or one made of its weights.

    Args:
        folder: of the model.
        name: of the model, for people; ``None``: the folder's.

    Raises:
        InvalidSettings: it has none and is no BERT encoder.
    """
    for own in (folder / "onnx" / "model.onnx", folder / "model.onnx"):
        if own.is_file():
            return own

    def make(target: Path) -> None:
        (target / "model.onnx").write_bytes(onnx_bytes(from_folder(folder)))

    return (
        converted(f"{name or folder.name}-onnx", [folder / "model.safetensors", folder / "config.json"], make)
        / "model.onnx"
    )


def _fill(folder: Path, make: Callable[[Path], None]) -> None:
    """In a folder beside it, which then takes its name; who comes second finds the name taken, and what it needs."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            make(temporary)
            _sync(temporary)
            if not folder.is_dir():
                os.rename(temporary, folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull(folder) from error
        raise


def _sync(folder: Path) -> None:
    """On disk before the name is: a crash of the machine must not leave a name for empty files."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
