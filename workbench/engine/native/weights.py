"""A model's weights, loaded. Knows devices and files, not contexts."""

from __future__ import annotations

import ctypes
import time
import warnings
from typing import Any

from workbench.engine.native.library import gpu_offload, library, log_tail
from workbench.engine.native.vocabulary import Vocabulary
from workbench.errors import GpuUnavailable, ModelLoadError
from workbench.models import ModelFile
from workbench.settings import EngineSettings

_LOAD_MODE = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}
"""``enum llama_load_mode`` by (use_mmap, use_mlock)."""

_SPLIT_MODE = {"none": 0, "layer": 1, "row": 2}


class Weights:
    """``llama_model *`` and its vocabulary. Free it after its contexts.

    Attributes:
        load_ms: time it took to load; ``None``: handed on by :mod:`.kept`, nothing was loaded.

    Args:
        file: the GGUF, read and found sane.
        settings: which devices, and how to read the file.

    Raises:
        ModelLoadError: llama.cpp refused; quotes what it said.
    """

    def __init__(self, file: ModelFile, settings: EngineSettings) -> None:
        self._lib = library()
        self.file, self._settings = file, settings
        self.n_gpu_layers = effective_gpu_layers(settings.n_gpu_layers, file.n_layer)
        self.raw: Any = None
        self.load_ms: float | None = None
        self.load()

    @property
    def loaded(self) -> bool:
        """Whether they are in memory."""
        return bool(self.raw)

    def load(self) -> None:
        """Read them, at first and after :meth:`free`."""
        started = time.perf_counter()
        with log_tail.capture() as said:
            self.raw = self._lib.llama_model_load_from_file(str(self.file.path).encode(), self._params(self._settings))
        if not self.raw:
            raise ModelLoadError(f"{self.file.path}: llama.cpp could not load it. {quote(said)}")
        self.load_ms = 1e3 * (time.perf_counter() - started)
        self.vocabulary = Vocabulary(self.raw)
        self.n_ctx_train = int(self._lib.llama_model_n_ctx_train(self.raw))
        self.size_bytes = int(self._lib.llama_model_size(self.raw))
        self.window = int(self._lib.llama_model_n_swa(self.raw))
        lib = self._lib
        self.recurrent = bool(lib.llama_model_is_recurrent(self.raw) or lib.llama_model_is_hybrid(self.raw))

    def _params(self, settings: EngineSettings) -> Any:
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = self.n_gpu_layers
        params.main_gpu = settings.main_gpu
        params.split_mode = _SPLIT_MODE[settings.split_mode]
        params.load_mode = _LOAD_MODE[settings.use_mmap, settings.use_mlock]
        params.use_extra_bufts = settings.repack
        if settings.tensor_split:
            devices = int(self._lib.llama_max_devices())
            self._split = (ctypes.c_float * devices)(*settings.tensor_split[:devices])  # must outlive the call
            params.tensor_split = self._split
        return params

    def free(self) -> None:
        """Give the memory back. Idempotent."""
        if self.raw:
            self._lib.llama_model_free(self.raw)
            self.raw = None


def effective_gpu_layers(asked: int | None, n_layer: int) -> int:
    """Layers that will be on a GPU: what was asked for, or 0 with a loud notice when no GPU can be used."""
    if gpu_offload():
        everything = n_layer + 1  # llama.cpp counts the output layer
        return everything if asked is None or asked < 0 else min(asked, everything)
    if asked:
        warnings.warn(
            f"n_gpu_layers={asked} asks for a GPU, but this llama.cpp build has none to use: everything runs on the "
            "CPU (effective n_gpu_layers=0). `workbench doctor` says what is missing.",
            GpuUnavailable,
            stacklevel=2,
        )
    return 0


def quote(said: list[str], lines: int = 3) -> str:
    """The last lines llama.cpp said, for an error message."""
    return f"It said: {' / '.join(said[-lines:])}" if said else "It gave no reason."
