"""What was predicted for each load on this machine and what llama.cpp then allocated: the margin is learned from it.

One JSON line a load in ``memory_ledger.jsonl`` of the home folder, the oldest dropped in time. Keeping it never fails a
load: a full disk or a damaged line is a warning in the log. Knows numbers, not who loaded what for what.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from workbench.errors import StorageError
from workbench.models.footprint import MemoryEstimate
from workbench.models.gguf_file import ModelFile
from workbench.settings import EngineSettings, home
from workbench.storage import write_text

DEFAULT_MARGIN = 1.05
"""Where nothing has been recorded: an allowance for what llama.cpp takes beside its buffers, not a measurement."""

PARTS = ("weights", "kv", "output", "compute")

_QUANTILE = 0.95
_ENOUGH = 5
_LATEST = 200
_MOST_MARGIN = 2.0
_MOST_BYTES = 512 * 1024
_KEPT = 400
_log = logging.getLogger(__name__)


def ledger_file() -> Path:
    """Where the lines are."""
    return home() / "memory_ledger.jsonl"


def predicted_parts(estimated: MemoryEstimate) -> dict[str, int]:
    """An estimate by :data:`PARTS`, as llama.cpp reports them: mapped weights count with the whole mapped range."""
    plain = estimated.mapped_bytes or estimated.weights_bytes - estimated.repacked_bytes
    return {
        "weights": plain + estimated.repacked_bytes,
        "kv": estimated.kv_bytes,
        "output": estimated.output_bytes,
        "compute": estimated.compute_bytes,
    }


def record(model: ModelFile, settings: EngineSettings, predicted: MemoryEstimate, actual: Mapping[str, int]) -> None:
    """Note one load. Never raises for want of room.

    Args:
        model: what was loaded.
        settings: effective settings.
        predicted: the estimate for it.
        actual: bytes by :data:`PARTS`, as llama.cpp reported them; parts it did not report are left out.
    """
    foreseen = predicted_parts(predicted)
    known = {part: n_bytes for part, n_bytes in actual.items() if part in foreseen and n_bytes > 0}
    line = {
        "time": time.time(),
        "machine": platform.node(),
        "model": {"name": model.name, "architecture": model.architecture, "bytes": model.size_bytes},
        "settings": settings.to_dict(),
        "exact": predicted.exact,
        "predicted": {part: foreseen[part] for part in known},
        "actual": known,
    }
    try:
        _append(json.dumps(line, ensure_ascii=False) + "\n")
    except (OSError, StorageError) as error:
        _log.warning("The memory of this load is not recorded: %s", error)


def records() -> list[dict[str, Any]]:
    """Every load noted on this machine, oldest first; damaged lines are left out."""
    return [line for line in _lines() if line.get("machine") == platform.node()]


def margin(*, exact: bool = True, default: float = DEFAULT_MARGIN) -> float:
    """The factor by which an estimate has to be made larger here to be enough in 95 of 100 loads; at least 1.

    The upper empirical quantile of allocated / predicted over the last 200 loads: single wild ones do not count.

    Args:
        exact: of models whose graph is known node by node, or of the others.
        default: with fewer than five loads on record.
    """
    noted = [_ratio(line) for line in records() if line.get("exact") is exact]
    ratios = sorted([ratio for ratio in noted if ratio > 0][-_LATEST:])
    if len(ratios) < _ENOUGH:
        return default
    return min(_MOST_MARGIN, max(1.0, ratios[math.ceil(_QUANTILE * len(ratios)) - 1]))


def _ratio(line: Mapping[str, Any]) -> float:
    """Allocated / predicted; 0 where a line does not say."""
    predicted, actual = line.get("predicted"), line.get("actual")
    if not isinstance(predicted, dict) or not isinstance(actual, dict):
        return 0.0
    foreseen = sum(value for value in predicted.values() if isinstance(value, int))
    return sum(value for value in actual.values() if isinstance(value, int)) / foreseen if foreseen else 0.0


def _lines() -> tuple[dict[str, Any], ...]:
    try:
        status = ledger_file().stat()
        return _parsed(ledger_file(), status.st_mtime_ns, status.st_size)
    except FileNotFoundError:
        return ()
    except OSError as error:
        _log.warning("The record of past loads cannot be read: %s", error)
        return ()


@functools.lru_cache(maxsize=1)
def _parsed(path: Path, mtime_ns: int, size: int) -> tuple[dict[str, Any], ...]:
    """Read once for each state of the file: a check before every context must cost next to nothing."""
    del mtime_ns, size
    return tuple(_read(path.read_text(encoding="utf-8", errors="replace")))


def _read(text: str) -> Iterator[dict[str, Any]]:
    for row in text.splitlines():
        try:
            line = json.loads(row)
        except ValueError:  # a line cut off by a full disk or a crash; the next record begins a new one
            _log.debug("A line of the record of past loads is damaged.")
            continue
        if isinstance(line, dict):
            yield line


def _append(line: str) -> None:
    """One write with O_APPEND: lines of several processes do not mix."""
    path = ledger_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _MOST_BYTES:
        kept = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_KEPT:]
        write_text(path, "\n".join(kept) + "\n")
    with path.open("a+b", buffering=0) as file:
        file.seek(0, 2)
        cut = file.tell() > 0 and _last_byte(file) != b"\n"
        file.write((b"\n" if cut else b"") + line.encode())


def _last_byte(file: IO[bytes]) -> bytes:
    file.seek(-1, 2)
    return file.read(1)
