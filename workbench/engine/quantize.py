"""A model file at another quantisation, through llama.cpp's own quantiser.

The work runs in a child process (:mod:`workbench.engine.quantize_child`): llama.cpp aborts over what it cannot convert,
and its log belongs to nobody's notebook. Knows file types and bytes, not whether a type is fast or good enough here:
that is measured by whoever asks. Source: `llama_model_quantize` (`src/llama-quant.cpp`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from workbench.engine.native.library import log_tail
from workbench.errors import ModelFileError, StorageFull, UnknownName, UsageError
from workbench.models import ModelFile, read_model_file, resolve, verify
from workbench.models.requantised import COST, provenance_file
from workbench.settings import home
from workbench.storage import replacing, safe_name, write_json

_EMBEDDING_BITS = 8.5
"""Tables of token embeddings and the output layer are kept finer than the rest, at Q8_0 or Q6_K."""

BITS: dict[str, float] = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.5625,
    "Q5_0": 5.5,
    "Q5_1": 6.0,
    "Q5_K_S": 5.6,
    "Q5_K_M": 5.8,
    "Q4_0": 4.5,
    "Q4_1": 5.0,
    "Q4_K_S": 4.7,
    "Q4_K_M": 5.0,
    "IQ4_NL": 4.6,
    "IQ4_XS": 4.4,
    "Q3_K_S": 3.6,
    "Q3_K_M": 4.0,
    "Q3_K_L": 4.4,
    "Q2_K": 3.2,
}
"""Types that need no importance matrix → bits a weight, as llama.cpp's own table of types has them, rounded up."""

_MARGIN = 1.1
"""Tensors whose width no block of the type divides fall back to a wider one."""


def quantize(
    source: ModelFile | Path | str,
    target: Path | str,
    type: str = "Q4_0",  # noqa: A002 - what llama.cpp and everybody calls it
    *,
    allow_requantize: bool = True,
    threads: int | None = None,
    timeout_s: float | None = None,
) -> Path:
    """Write ``source`` at another quantisation. What that costs in quality is not known until it is measured.

    Args:
        source: a model, its name, or the path of a GGUF.
        target: the file to write; it is old or new, never half.
        type: a name of :data:`BITS`.
        allow_requantize: also convert weights that are quantised already, which loses more than quantising the
            original weights would.
        threads: ``None``: as many as llama.cpp likes.
        timeout_s: most time it may take; ``None``: no limit.

    Returns:
        ``target``.

    Raises:
        UnknownName: no such type; lists the known ones.
        UsageError: ``target`` is the source itself.
        ModelFileError: llama.cpp could not convert it, or took too long; quotes what it said.
        StorageFull: the disk has no room for it; nothing was written.
    """
    file, target = resolve(source), Path(target).absolute()
    ftype = _ftype(type)
    if target.resolve() in {part.resolve() for part in file.parts}:
        raise UsageError(f"{target} is the model itself. Name another file for the result.")
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_room(file, target, type)
    with replacing(target) as written:
        _convert(file, written, ftype, allow_requantize, threads, timeout_s)
        read_model_file(written)  # a whole, sane file, or it does not take the place of one
    return target


def requantised(
    model: ModelFile | Path | str,
    type: str = "Q4_0",  # noqa: A002
    *,
    threads: int | None = None,
    timeout_s: float | None = None,
) -> ModelFile:
    """The model at another quantisation, below ``models`` in workbench's own folder; made if it is not there yet.

    A note beside it (``<name>.json``) says what it was made from; :func:`workbench.models.list_models` lists it.

    Raises:
        UnknownName, ModelFileError, StorageFull: as :func:`quantize`.
    """
    file = resolve(model)
    sha256 = verify(file)
    target = requantised_path(file, sha256, type)
    if not provenance_file(target).is_file() or not target.is_file():
        quantize(file, target, type, threads=threads, timeout_s=timeout_s)
        write_json(provenance_file(target), _provenance(file, sha256, target, type))
    return read_model_file(target)


def requantised_path(file: ModelFile, sha256: str, type: str) -> Path:  # noqa: A002
    """Where :func:`requantised` keeps its result: ``<model>-<type>-<first 8 of the source's SHA-256>.gguf``."""
    stem = safe_name(file.name).rsplit("-", 1)[0]
    return home() / "models" / f"{stem}-{type}-{sha256[:8]}.gguf"


def expected_bytes(file: ModelFile, type: str) -> int:  # noqa: A002
    """Upper bound of what the file will take: bits a weight, embeddings and output at no less than 8.5 bits."""
    wide = sum(_elements(tensor.shape) for tensor in file.tensors if tensor.name in _TABLES)
    bits = wide * max(BITS[type], _EMBEDDING_BITS) + (file.parameters - wide) * BITS[type]
    header = max(file.size_bytes - file.weights_bytes, 0)
    return int(_MARGIN * bits / 8) + header


_TABLES = ("token_embd.weight", "output.weight")


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def check_type(type: str) -> None:  # noqa: A002
    """Refuse a type nobody knows.

    Raises:
        UnknownName: lists the known ones.
    """
    if type not in BITS:
        raise UnknownName("quantisation", type, BITS)


def _ftype(type: str) -> int:  # noqa: A002
    """``enum llama_ftype`` by name."""
    check_type(type)
    from llama_cpp import llama_cpp

    return int(getattr(llama_cpp, f"LLAMA_FTYPE_{'ALL' if type == 'F32' else 'MOSTLY'}_{type}"))


def _check_room(file: ModelFile, target: Path, type: str) -> None:  # noqa: A002
    need, have = expected_bytes(file, type), shutil.disk_usage(target.parent).free
    if need > have:
        raise StorageFull(target, need_bytes=need, have_bytes=have)


def _convert(
    file: ModelFile, written: Path, ftype: int, allow_requantize: bool, threads: int | None, timeout_s: float | None
) -> None:
    request = {
        "source": str(file.path),
        "target": str(written),
        "ftype": ftype,
        "allow_requantize": allow_requantize,
        "threads": threads or 0,
        "keep_split": False,
    }
    command = [sys.executable, "-m", "workbench.engine.quantize_child"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, this package
            command,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(file.path, f"could not be requantised within {timeout_s:g} s. Allow more time.") from error
    said = done.stderr.decode("utf-8", "replace").splitlines()
    for line in said:
        log_tail.add(_INFO, line.encode())
    if done.returncode:
        raise ModelFileError(file.path, f"could not be requantised: {_why(done.returncode, said)}")


_INFO = 2  # enum ggml_log_level


def _why(returncode: int, said: list[str]) -> str:
    how = f"llama.cpp died of {signal.Signals(-returncode).name}. " if returncode < 0 else ""
    telling = [line.strip() for line in said if "failed" in line or "error" in line.lower()] or said
    return f"{how}It said: {' / '.join(telling[-3:]) or 'nothing'}."


def _provenance(file: ModelFile, sha256: str, target: Path, type: str) -> dict[str, Any]:  # noqa: A002
    return {
        "note": f"Requantised from {file.name} ({file.quantisation}, SHA-256 {sha256}) to {type}. {COST}",
        "source": {"name": file.name, "path": str(file.path), "sha256": sha256, "quantisation": file.quantisation},
        "type": type,
        "sha256": verify(read_model_file(target)),
        "llama_cpp": version("llama-cpp-python"),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
