"""Where the peers' programs are, and how settings are spelt for them.

Knows command lines, nothing of processes or requests. Options as in llama.cpp's `common/arg.cpp`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from workbench.engine.budget import default_threads
from workbench.engine.native.weights import effective_gpu_layers
from workbench.errors import InvalidSettings, UsageError
from workbench.models import ModelFile
from workbench.settings import UNQUANTISED_KV_TYPES, EngineSettings

_FIXED: dict[str, tuple[Any, ...]] = {
    "disk_cache_bytes": (0,),
    "speculation": ("off",),
    "queue_limit": (EngineSettings().queue_limit,),
    "idle_release_s": (EngineSettings().idle_release_s, None),
    "model_release_s": (EngineSettings().model_release_s, None),
    "gpu_sampling": (False,),
}
"""Settings that are not handed to a server, and the only values that then are true of it or do not matter."""

_LOAD_MODE = {(False, False): "none", (True, False): "mmap", (False, True): "mlock", (True, True): "mmap+mlock"}


def find_program(name: str) -> Path | None:
    """A peer's program: what its variable names (``LLAMA_SERVER``, ``LLAMA_BENCH``), or the one on PATH."""
    found = shutil.which(os.environ.get(_variable(name)) or name)
    return Path(found) if found else None


def program_path(name: str) -> Path:
    """As :func:`find_program`.

    Raises:
        UsageError: there is none.
    """
    found = find_program(name)
    if found is None:
        raise UsageError(
            f"There is no {name} here. Build it from llama.cpp (cmake --build build --target {name}) and put it on "
            f"PATH, or set {_variable(name)} to its path."
        )
    return found


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def check_settings(settings: EngineSettings) -> None:
    """Refuse what a server cannot honour.

    Raises:
        InvalidSettings: names the setting and the value that is possible.
    """
    for name, allowed in _FIXED.items():
        if getattr(settings, name) not in allowed:
            raise InvalidSettings(
                f"The llama-server peer has no {name}; leave it at {allowed[0]!r}, or use engine='tuned'."
            )


def effective(file: ModelFile, settings: EngineSettings) -> EngineSettings:
    """The settings with everything chosen.

    Threads and flash attention as the tuned engine would, the rest as llama-server does when nobody says: the trained
    context, one KV buffer for each of several sequences.
    """
    threads = settings.n_threads or default_threads()
    layers = effective_gpu_layers(settings.n_gpu_layers, file.n_layer)
    flash = settings.flash_attn
    if flash is None:
        flash = layers > 0 or settings.type_v not in UNQUANTISED_KV_TYPES
    n_batch = settings.n_batch
    return settings.replace(
        n_ctx=settings.n_ctx or file.n_ctx_train,
        n_batch=n_batch,
        n_ubatch=settings.n_ubatch or min(512, n_batch),
        n_threads=threads,
        n_threads_batch=settings.n_threads_batch or threads,
        n_gpu_layers=layers,
        flash_attn=flash,
        kv_unified=settings.n_seq_max == 1 if settings.kv_unified is None else settings.kv_unified,
    )


def shared_options(file: ModelFile, settings: EngineSettings) -> list[str]:
    """Options that llama-server and llama-bench spell alike, from :func:`effective` settings."""
    return [
        *("-m", str(file.path), "-t", str(settings.n_threads)),
        *("-b", str(settings.n_batch), "-ub", str(settings.n_ubatch)),
        *("-ctk", settings.type_k, "-ctv", settings.type_v),
        *("-ngl", str(settings.n_gpu_layers), "-sm", settings.split_mode, "-mg", str(settings.main_gpu)),
    ]


def server_options(file: ModelFile, settings: EngineSettings, port: int) -> list[str]:
    """llama-server's command line for :func:`effective` settings. What is not named stays as its users have it."""
    options = [
        *("--host", "127.0.0.1", "--port", str(port), "--no-webui", "--offline", "--fit", "off", "-lv", "2"),
        *shared_options(file, settings),
        *("-c", str(settings.n_ctx), "-np", str(settings.n_seq_max), "-tb", str(settings.n_threads_batch)),
        *("-fa", "on" if settings.flash_attn else "off"),
        "--kv-unified" if settings.kv_unified else "--no-kv-unified",
        *_load_mode(settings),
        *([] if settings.offload_kqv else ["--no-kv-offload"]),
        *([] if settings.repack else ["--no-repack"]),
        *(["--swa-full"] if settings.swa_full else []),
        *(["--context-shift", "--keep", str(settings.n_keep)] if settings.context_shift else []),
    ]
    if settings.tensor_split:
        options += ["-ts", ",".join(f"{share:g}" for share in settings.tensor_split)]
    if settings.host_cache_bytes is not None:
        options += ["--cache-ram", str(settings.host_cache_bytes // 2**20)]
    for flag, value in (("--rope-freq-base", settings.rope_freq_base), ("--rope-freq-scale", settings.rope_freq_scale)):
        options += [flag, f"{value:g}"] if value else []
    return options


def _load_mode(settings: EngineSettings) -> list[str]:
    """Nothing for the default, which servers older than this option have as well."""
    mode = _LOAD_MODE[settings.use_mmap, settings.use_mlock]
    return [] if mode == "mmap" else ["--load-mode", mode]


def clean_environment() -> dict[str, str]:
    """The environment without ``LLAMA_ARG_*``: those would change settings behind our back."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_ARG_")}
