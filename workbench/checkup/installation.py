"""Checks of what is installed: Python, llama.cpp's build, compilers, packages, Jupyter, other tools."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import workbench
from workbench.checkup.report import Check
from workbench.hardware.gpu import gpus
from workbench.hardware.host import cpu_features

REBUILD = "pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
REBUILD_CUDA = f'CMAKE_ARGS="-DGGML_CUDA=on" {REBUILD}'
_BUILD_FLAGS = {
    "avx": "AVX",
    "avx2": "AVX2",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "avx_vnni": "AVX_VNNI",
    "amx_int8": "AMX_INT8",
    "f16c": "F16C",
    "fma": "FMA",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
}
"""A CPU feature as Linux names it, and the flag of llama.cpp's system info that says it is used."""
_PROBE_S = 120.0
_PEERS = ("llama-server", "llama-bench", "ollama")


def python() -> Check:
    """The interpreter."""
    return Check("Python", "ok", f"{sys.version.split()[0]} ({sys.executable})")


def llama_cpp() -> Check:
    """llama.cpp's build: does it load, can it use the GPU, does it use what the CPU can do."""
    build, trouble = probe_llama()
    if build is None:
        return Check("llama.cpp", "problem", trouble, f"Build it anew: {REBUILD}")
    devices = "GPU offload" if build["gpu_offload"] else "CPU only"
    used = _used_flags(build["flags"])
    detail = f"llama-cpp-python {build['version']}, {devices}, built with {' '.join(used) or 'no flags it tells of'}"
    if gpus() and not build["gpu_offload"]:
        return Check("llama.cpp", "warning", f"{detail}. There is a GPU this build cannot use.", _cuda_remedy())
    missing = unused_features(build["flags"])
    if missing:
        detail += f". This CPU also has {', '.join(missing)}, which this build does not use."
        return Check("llama.cpp", "warning", detail, f"Build it on this machine: {REBUILD}")
    return Check("llama.cpp", "ok", detail)


def probe_llama() -> tuple[dict[str, Any] | None, str]:
    """(what llama.cpp says of itself, "") or (``None``, why it could not say it)."""
    command = [sys.executable, "-m", "workbench.checkup.llama_probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        return None, f"loading it took longer than {_PROBE_S:g} s"
    if done.returncode == 0:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer, ""
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        hint = ": it was built for another CPU" if name == "SIGILL" else ""
        return None, f"loading it ended with {name}{hint}"
    return None, (done.stderr.strip().splitlines() or ["it cannot be loaded"])[-1]


def unused_features(flags: str) -> list[str]:
    """Instruction sets this CPU has and the build with these ``flags`` does not use."""
    used = _used_flags(flags)
    return [flag for feature, flag in _BUILD_FLAGS.items() if feature in cpu_features() and flag not in used]


def compilers() -> Check:
    """What it takes to build llama.cpp."""
    compiler = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "cc")
    tools = {name: _tool_version(name) for name in (compiler, "cmake", "nvcc")}
    detail = ", ".join(f"{name} {found or 'not found'}" for name, found in tools.items())
    if not tools[compiler] or not tools["cmake"]:
        remedy = "Needed to build llama.cpp. Debian: apt-get install build-essential cmake; macOS: brew install cmake"
        return Check("Compilers", "warning", detail, remedy)
    if gpus() and not tools["nvcc"]:
        return Check("Compilers", "warning", detail, "Install the CUDA toolkit to build llama.cpp for the GPU.")
    return Check("Compilers", "ok", detail)


def packages() -> Check:
    """Versions of what workbench depends on, against its requirements and the tested pins."""
    needed = [Requirement(text) for text in requires("workbench") or ()]
    wanted = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    installed = {one.name: _version(one.name) for one in wanted}
    broken = [one for one in wanted if not _satisfies(one, installed[one.name])]
    if broken:
        detail = "; ".join(f"{one.name} is {installed[one.name] or 'missing'}, needed: {one}" for one in broken)
        return Check("Packages", "problem", detail, "pip install " + " ".join(f"'{one}'" for one in broken))
    pins = tested_pins()
    differing = [
        f"{name} {found} (tested: {pin})"
        for name, found in installed.items()
        if (pin := pins.get(canonicalize_name(name))) and found != pin
    ]
    if differing:
        remedy = f"To have the tested versions: pip install -c {_constraints()} workbench"
        return Check("Packages", "warning", f"differ from the tested versions: {', '.join(differing)}", remedy)
    shown = ("llama-cpp-python", "gguf", "numpy", "papermill", "plotly", "jupyterlab", "chromadb")
    versions = ", ".join(f"{name} {installed[name]}" for name in shown if name in installed)
    return Check("Packages", "ok", f"all {len(wanted)} as required: {versions}, …")


def tested_pins() -> dict[str, str]:
    """Name → version of the constraints file; empty where workbench is not run from its source tree."""
    file = _constraints()
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pairs = (line.split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name.strip()): pin.split(";")[0].strip() for name, pin in pairs}


def jupyter() -> Check:
    """JupyterLab and the kernel papermill starts."""
    found = {name: _version(name) for name in ("jupyterlab", "ipykernel", "ipywidgets", "papermill")}
    detail = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    if None in found.values():
        return Check("Jupyter", "problem", detail, "pip install --upgrade workbench")
    from jupyter_client.kernelspec import KernelSpecManager

    if "python3" not in KernelSpecManager().find_kernel_specs():
        remedy = f"{sys.executable} -m ipykernel install --sys-prefix"
        return Check("Jupyter", "problem", f"{detail}; there is no kernel named python3", remedy)
    return Check("Jupyter", "ok", f"{detail}; kernel python3")


def peers() -> Check:
    """Other engines on the search path, for comparisons. None is needed."""
    found = [f"{name} ({path})" for name in _PEERS if (path := shutil.which(name))]
    return Check("Other tools", "ok", ", ".join(found) or f"none of {', '.join(_PEERS)} (optional, for comparisons)")


def _used_flags(flags: str) -> list[str]:
    """What llama.cpp's system info says is on."""
    return re.findall(r"(\w+) = 1", flags)


def _cuda_remedy() -> str:
    if shutil.which("nvcc") is None:
        return f"Install the CUDA toolkit (nvcc), then rebuild: {REBUILD_CUDA}"
    return f"Rebuild for the GPU: {REBUILD_CUDA}"


def _tool_version(name: str) -> str | None:
    """A tool's version; ``None`` if it is not there, "unknown" if it does not say."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout  # noqa: S603 - found on the user's own PATH
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    numbers = re.search(r"release (\d+[.\d]+)", said) or re.search(r"(\d+\.\d+[.\d]*)", said)
    return numbers[1] if numbers else "unknown"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _satisfies(requirement: Requirement, installed: str | None) -> bool:
    return installed is not None and requirement.specifier.contains(installed, prereleases=True)


def _constraints() -> Path:
    return Path(workbench.__file__).parent.parent / "constraints.txt"
