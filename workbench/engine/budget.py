"""What this machine can give an engine: memory and threads."""

from __future__ import annotations

from workbench.engine.native.library import gpu_offload
from workbench.hardware import cores, gpus, ram, read_gpu
from workbench.settings import EngineSettings


def memory_for(settings: EngineSettings) -> int | None:
    """Bytes a model under ``settings`` may take; ``None``: this host's free memory.

    With layers on GPUs it is host and GPUs together: the upper bound of what any split over them can hold.
    """
    if settings.n_gpu_layers == 0 or not gpu_offload():
        return None
    return ram().available_bytes + sum(read_gpu(gpu.index).memory_free_bytes or 0 for gpu in gpus())


def default_threads() -> int:
    """Physical cores this process may use: a second thread on a core slows matrix products down."""
    here = cores()
    return min(here.physical or here.usable, here.usable)
