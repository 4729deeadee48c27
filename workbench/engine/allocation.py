"""What llama.cpp says it allocated, beside what was predicted from the header alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from workbench.engine.native import kept
from workbench.engine.native.context import Context
from workbench.engine.native.library import log_tail
from workbench.engine.native.weights import Weights
from workbench.models import ModelFile, estimate, memory_ledger, resolve
from workbench.models.memory_ledger import predicted_parts
from workbench.settings import EngineSettings

_LINE = re.compile(r"(\S+) +(model|KV|output|compute) buffer size = +([\d.]+) MiB")
_PARTS = {"model": "weights", "KV": "kv", "output": "output", "compute": "compute"}


def allocated(said: Iterable[str]) -> dict[str, int]:
    """Bytes by part ("weights", "kv", "output", "compute"), all devices together, from llama.cpp's log.

    The log gives MiB with two decimals. A part it does not mention is left out.
    """
    parts: dict[str, int] = {}
    for line in said:
        if match := _LINE.search(line):
            part = _PARTS[match[2]]
            parts[part] = parts.get(part, 0) + int(float(match[3]) * 2**20)
    return parts


def record_allocation(
    file: ModelFile, settings: EngineSettings, said: Iterable[str], *, n_ctx: int, n_ids: int | None = None
) -> None:
    """Note in the memory ledger what was predicted for a context and what llama.cpp allocated. Never fails a load.

    Only for a model that lies on the host as a whole: a split adds copies that are not predicted.

    Args:
        file: the model.
        settings: effective settings.
        said: llama.cpp's log lines from loading the weights and making the context, or from one of the two.
        n_ctx: as asked for, before llama.cpp rounded it.
        n_ids: sequence ids of the context.
    """
    actual = allocated(said)
    if actual and not settings.n_gpu_layers:
        memory_ledger.record(file, settings, estimate(file, settings, n_ctx, n_ids=n_ids), actual)


def estimate_error(
    model: str | Path | ModelFile, settings: EngineSettings | None = None, *, n_ctx: int = 2048
) -> dict[str, float]:
    """Load a model, make a context, and compare with what was predicted.

    Args:
        model: a model, its name, or the path of a GGUF.
        settings: ``None``: all chosen by the engine.
        n_ctx: context in tokens, where the settings leave it open.

    Returns:
        ``predicted_<part>_bytes`` and ``allocated_<part>_bytes`` for the parts weights, kv, output and compute;
        ``predicted_bytes`` and ``allocated_bytes`` of all; ``error``: (predicted - allocated) / allocated.

    Raises:
        OutOfMemory, ModelLoadError: it could not be loaded.
    """
    file, chosen = resolve(model), settings or EngineSettings()
    n_ctx = chosen.n_ctx or n_ctx
    kept.release()
    with log_tail.capture() as said:
        weights = Weights(file, chosen)
        try:
            context = Context(weights, chosen, n_ctx)
            effective, n_ids = context.settings, context.n_ids
            context.free()
        finally:
            weights.free()
    predicted = predicted_parts(estimate(file, effective, n_ctx, n_ids=n_ids))
    actual = allocated(said)
    result: dict[str, float] = {}
    for part, foreseen in predicted.items():
        result |= {f"predicted_{part}_bytes": foreseen, f"allocated_{part}_bytes": actual.get(part, 0)}
    whole, real = sum(predicted.values()), sum(actual.values())
    return result | {"predicted_bytes": whole, "allocated_bytes": real, "error": (whole - real) / real}
