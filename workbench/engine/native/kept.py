"""Weights that outlive their engine, for a process that loads the same model again and again.

With the environment variable ``WORKBENCH_KEEP_WEIGHTS=1`` an engine that is closed leaves its weights here, and the
next one that asks for the same file in the same way gets them: nothing is read or mapped anew. One model at most is
kept; any other load, and whoever reckons with free memory, has it freed first. Contexts are never kept, so no state of
one engine reaches the next. Draft models are loaded each time.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any

from workbench.engine.native.weights import Weights
from workbench.models import ModelFile
from workbench.settings import EngineSettings

VARIABLE = "WORKBENCH_KEEP_WEIGHTS"

_SETTINGS = ("n_gpu_layers", "main_gpu", "split_mode", "tensor_split", "use_mmap", "use_mlock", "repack")
"""What decides, besides the file, how weights lie in memory."""

_guard = threading.Lock()
_kept: tuple[Any, Weights] | None = None
_used = False


def weights_for(file: ModelFile, settings: EngineSettings) -> Weights:
    """Weights, kept or loaded. They are the caller's; :func:`give_back` takes them.

    Raises:
        ModelLoadError: llama.cpp refused.
    """
    weights = _take(_key(file, settings))
    if weights is None:
        return Weights(file, settings)
    weights.load_ms = None  # it took no time that could be compared with a load
    return weights


def give_back(weights: Weights, settings: EngineSettings) -> None:
    """The engine is closed: keep its weights if this process was asked to, else free them."""
    global _kept
    if not weights.loaded or os.environ.get(VARIABLE) != "1":
        weights.free()
        return
    release()
    with _guard:
        _kept = (_key(weights.file, settings), weights)


def make_room(file: ModelFile, settings: EngineSettings) -> bool:
    """Free what is kept, unless it is what is to be loaded; True: it is, and needs no memory of its own."""
    with _guard:
        key = _kept[0] if _kept is not None else None
    same = key is not None and key == _key(file, settings)
    if not same:
        release()
    return same


def release() -> None:
    """Free what is kept. Idempotent."""
    weights = _take(None)
    if weights is not None:
        weights.free()


def free_unused() -> None:
    """Free what is kept if nobody has asked for it since the last call: between two notebooks of one process."""
    global _used
    if not _used:
        release()
    _used = False


def _take(key: Any) -> Weights | None:
    """What is kept, if it has this key; any other is freed. ``None`` as key: whatever it is."""
    global _kept, _used
    with _guard:
        kept, _kept = _kept, None
        _used = _used or key is not None
    if kept is None or key is None or kept[0] == key:
        return kept[1] if kept is not None else None
    kept[1].free()
    return None


def _key(file: ModelFile, settings: EngineSettings) -> Any:
    """Equal for weights that are alike in memory. A file that was replaced meanwhile is another one."""
    state = os.stat(file.path)
    how = (getattr(settings, name) for name in _SETTINGS)
    return (os.path.realpath(file.path), state.st_size, state.st_mtime_ns, *how)


atexit.register(release)
