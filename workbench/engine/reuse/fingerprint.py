"""What decides whether KV bytes written once can be used again: model, types, layout, positions, library.

What llama.cpp's ``llama_kv_cache::state_write`` stores is checked here against nothing else than equality: a state is
only ever offered to a context whose fingerprint is the same. GPU layers, threads and batch sizes change rounding at
most, the size of the context nothing, so they are left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

from workbench.models import ModelFile, known_hash
from workbench.settings import EngineSettings

_HEAD_BYTES = 4 * 2**20
"""Covers the header of nearly every model, its vocabulary included."""

_TAIL_BYTES = 2**20


def model_identity(model: ModelFile) -> str:
    """Which weights these are: the SHA-256 where it is known without reading the file, else a digest of its state.

    The digest takes each part's path, size and modification time, its first 4 MiB (the header) and its last MiB: some
    milliseconds for any size. Changes once, when the file's hash becomes known; what was kept until then is not found
    any more.

    Raises:
        OSError: the file is gone or cannot be read.
    """
    known = known_hash(model)
    if known is not None:
        return f"sha256:{known}"
    digest = hashlib.sha256()
    for path in model.parts:
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            digest.update(file.read(_HEAD_BYTES))
            file.seek(max(0, status.st_size - _TAIL_BYTES))
            digest.update(file.read())
    return f"file:{digest.hexdigest()}"


def fingerprint(model: str, settings: EngineSettings, library_version: str) -> str:
    """A name for everything that changes what KV bytes mean.

    Args:
        model: :func:`model_identity`, or the model's SHA-256.
        settings: *effective* settings. ``flash_attn`` decides whether V lies transposed, so it should not be open.
        library_version: of llama.cpp and its bindings: the format of a state is theirs to change.

    Returns:
        A SHA-256, hex.
    """
    facts = {
        "model": model,
        "type_k": settings.type_k,
        "type_v": settings.type_v,
        "flash_attn": settings.flash_attn,
        "rope_freq_base": settings.rope_freq_base or None,
        "rope_freq_scale": settings.rope_freq_scale or None,
        "swa_full": settings.swa_full,
        # state_write begins with the number of streams, and state_read refuses another: one, or one a sequence
        "streams": 1 if settings.unified else settings.n_seq_max,
        # quantised K and V are stored rotated unless this says otherwise, and the state does not tell which
        "rotation_disabled": os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
        "library": library_version,
        "byteorder": sys.byteorder,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
