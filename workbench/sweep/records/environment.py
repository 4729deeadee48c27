"""Where a run was made: the machine, versions, build flags, models, commit. Absent facts are ``None``.

Knows nothing of what was run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from workbench import hardware
from workbench.storage import read_json, write_json

PACKAGES = (
    "workbench",
    "llama-cpp-python",
    "numpy",
    "papermill",
    "nbclient",
    "ipykernel",
    "chromadb",
    "sentence-transformers",
    "torch",
)
"""Packages whose version can change a result."""

_BUILD_QUERY = (
    "import json, sys, llama_cpp;"
    "info = llama_cpp.llama_print_system_info().decode(errors='replace');"
    "gpu = bool(llama_cpp.llama_supports_gpu_offload());"
    "json.dump({'system_info': info, 'gpu_offload': gpu}, sys.stdout)"
)
_BUILD_TIMEOUT_S = 60.0
_GIT_TIMEOUT_S = 10.0


def capture(*, build_cache: Path | None = None, energy: hardware.EnergyMeter | None = None) -> dict[str, Any]:
    """This machine now, as JSON values; what it was like during a run is in the series of its monitor.

    Args:
        build_cache: folder in which the answer about llama.cpp's build is kept: it takes a process to ask.
        energy: made when the run began: what the run took goes along.
    """
    # first of all: clocks fall as soon as the work is over, and what is asked below takes time
    readings = {
        "gpu_readings": [_plain(hardware.read_gpu(gpu.index)) for gpu in hardware.gpus()],
        "load_1min": _load(),
        "cpu_mhz": hardware.frequency_mhz(),
        "cpu_temperature_c": hardware.cpu_temperature_c(),
        "energy": None if energy is None else _plain(energy.read()),
    }
    machine = hardware.snapshot()
    return {
        **machine,
        "usable_cores": _usable_cores(),
        **readings,
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "packages": {name: _version(name) for name in PACKAGES},
        "llama_cpp": llama_build(build_cache),
    }


def model_facts(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """File, size and SHA-256 of models, by the name they are asked for.

    Raises:
        UnknownName: no such model.
        ModelFileError: the file is damaged; ModelHashMismatch: it is not the one whose SHA-256 is known.
    """
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        return {}
    from workbench.models import resolve, verify

    found = {name: resolve(name) for name in wanted}
    return {
        name: {
            "path": str(model.path),
            "size_bytes": model.size_bytes,
            "quantisation": model.quantisation,
            "sha256": verify(model),
        }
        for name, model in found.items()
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether tracked files differ from it; ``None`` outside a repository or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None else {"commit": commit, "dirty": bool(changes)}


def llama_build(cache: Path | None = None) -> dict[str, Any] | None:
    """llama.cpp's own words about how it was built; ``None`` if it is not installed or does not load.

    Asked in a process of its own: a library that was built for another CPU ends the process that loads it.
    """
    version = _version("llama-cpp-python")
    if version is None:
        return None
    kept = cache / f"llama-{version}-{platform.node()}.json" if cache else None
    if kept is not None and kept.exists():
        stored: dict[str, Any] | None = read_json(kept)
        return stored
    build = _ask_llama()
    if kept is not None:
        write_json(kept, build)
    return build


def _ask_llama() -> dict[str, Any] | None:
    try:
        answer = subprocess.run(  # noqa: S603 - this interpreter, a constant program
            [sys.executable, "-c", _BUILD_QUERY], capture_output=True, timeout=_BUILD_TIMEOUT_S, check=True
        )
        # Metal and CUDA builds greet on standard output before the answer
        build: dict[str, Any] = json.loads(answer.stdout[answer.stdout.rindex(b'{"system_info"') :])
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return build


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - constant arguments
            ["git", *arguments],  # noqa: S607 - the one on PATH is the one they use
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _usable_cores() -> int | None:
    """Cores this process may use: containers and ``taskset`` hide some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _plain(reading: Any) -> dict[str, Any]:
    """A reading as JSON has it: lists for tuples."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(reading).items()}


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
