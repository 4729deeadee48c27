"""SHA-256 of model files: computed once per file state, compared with the known one where there is one.

A hash is known for bundled models (our catalogue), for Ollama's blobs and for Hugging Face's (both are named by it).
"""

from __future__ import annotations

import hashlib
import re
import warnings
from pathlib import Path
from typing import Any

from workbench.errors import ModelFileError, ModelHashMismatch, StorageError, StoreCorrupt, WorkbenchWarning
from workbench.models.catalogue import known_sha256
from workbench.models.gguf_file import ModelFile
from workbench.settings import home
from workbench.storage import read_json, write_json

_BLOB_NAME = re.compile(r"(?:sha256-)?([0-9a-f]{64})")


def verify(model: ModelFile) -> str:
    """The SHA-256 of a model, hex, checked against the known one.

    Reads the file only if it has changed since it was last hashed (by size and modification time).

    Returns:
        The file's hash; of a split model, the hash of its parts' hex hashes joined.

    Raises:
        ModelHashMismatch: the file is not the one whose hash is known.
        ModelFileError: the file cannot be read.
    """
    hashes = _hashes(model.parts)
    for path, actual in zip(model.parts, hashes, strict=True):
        expected = expected_sha256(path)
        if expected is not None and expected != actual:
            raise ModelHashMismatch(path, expected, actual)
    return _joined(hashes)


def known_hash(model: ModelFile) -> str | None:
    """What :func:`verify` would return, if it can be told without reading the file; ``None``: it cannot."""
    recorded = _recorded()
    hashes = [_recorded_hash(path, recorded.get(str(path.resolve()))) for path in model.parts]
    known = [hashed for hashed in hashes if hashed is not None]
    return _joined(known) if len(known) == len(hashes) else None


def file_hash(path: Path) -> str:
    """SHA-256 of any file of a model, hex, computed once per state of the file (size and modification time).

    Raises:
        ModelFileError: the file cannot be read.
    """
    return _hash(path, _recorded().get(str(path.resolve())))


def expected_sha256(path: Path) -> str | None:
    """The hash a file must have: from the catalogue, or from the name of its blob; ``None``: unknown."""
    real = path.resolve()
    named = _BLOB_NAME.fullmatch(real.name) if real.parent.name == "blobs" else None
    return named[1] if named else known_sha256(path)


def _hashes(paths: tuple[Path, ...]) -> list[str]:
    recorded = _recorded()
    return [_hash(path, recorded.get(str(path.resolve()))) for path in paths]


def _joined(hashes: list[str]) -> str:
    """One hash for all parts of a model."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _hash(path: Path, recorded: object) -> str:
    """The recorded hash if the file is as it was then, else a new one."""
    try:
        known = _recorded_hash(path, recorded)
        if known is not None:
            return known
        state = _state(path)
        with path.open("rb") as file:
            computed = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from error
    _record(str(path.resolve()), {**state, "sha256": computed})
    return computed


def _recorded_hash(path: Path, recorded: object) -> str | None:
    """The hash in a file's record, if the file is as it was then."""
    if not isinstance(recorded, dict) or not recorded.items() >= _state(path).items():
        return None
    known = recorded.get("sha256")
    return known if isinstance(known, str) else None


def _state(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _record_file() -> Path:
    return home() / "model_hashes.json"


def _recorded() -> dict[str, Any]:
    """Recorded hashes by path; none where the record is missing, damaged or unreadable: they are computed again."""
    try:
        stored = read_json(_record_file())
    except (OSError, StoreCorrupt):
        return {}
    return stored if isinstance(stored, dict) else {}


def _record(key: str, entry: dict[str, Any]) -> None:
    try:
        write_json(_record_file(), {**_recorded(), key: entry})
    except (OSError, StorageError) as error:
        warnings.warn(f"The hash of {key} is not recorded: {error}", WorkbenchWarning, stacklevel=5)
