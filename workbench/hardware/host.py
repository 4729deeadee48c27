"""The host: CPU, memory and what a process of it takes.

Honours what a container allows: the cores and the memory this process may use, not those of the machine around it.
"""

from __future__ import annotations

import functools
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from workbench.hardware.cgroup import limits

_CPUINFO = Path("/proc/cpuinfo")
_MATRIX_FEATURES = (
    "amx",
    "asimd",
    "avx",
    "bf16",
    "bmi2",
    "f16c",
    "fma",
    "fphp",
    "i8mm",
    "rvv",
    "sme",
    "sse4",
    "ssse3",
    "sve",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Cores of the machine and of this process.

    Attributes:
        physical: cores; ``None`` where the system does not say.
        logical: hardware threads.
        usable: hardware threads this process may use (affinity), at most the container's quota, rounded up.
    """

    physical: int | None
    logical: int
    usable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ram:
    """Memory for this process: the machine's, or the container's where that is less.

    Attributes:
        total_bytes: all there is.
        available_bytes: what can be taken without swapping.
    """

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMemory:
    """Memory of one process.

    Attributes:
        rss_bytes: resident pages, shared and mapped ones included (a mapped model counts as far as it was touched).
        pss_bytes: shared pages divided by their users; ``None`` where the system does not say.
        private_bytes: pages of this process alone; ``None`` where the system does not say.
    """

    rss_bytes: int
    pss_bytes: int | None
    private_bytes: int | None


@functools.cache
def cpu_name() -> str:
    """The CPU's marketing name, as the system has it."""
    fields = _cpuinfo()
    named = next((fields[key] for key in ("model name", "Model", "Hardware") if key in fields), "")
    return named or platform.processor() or platform.machine()


@functools.cache
def cpu_features() -> frozenset[str]:
    """Instruction sets that matter to matrix kernels, as Linux names them ("avx2", "avx512f", "asimddp").

    Empty where the system does not say.
    """
    fields = _cpuinfo()
    flags = (fields.get("flags") or fields.get("Features") or "").lower().split()
    return frozenset(flag for flag in flags if flag.startswith(_MATRIX_FEATURES))


def cores() -> Cores:
    """Cores there are, and how many this process may use now."""
    logical = psutil.cpu_count(logical=True) or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    quota = limits().cpus
    usable = min(allowed, math.ceil(quota)) if quota else allowed
    return Cores(physical=psutil.cpu_count(logical=False), logical=logical, usable=max(1, usable))


def ram() -> Ram:
    """Memory this process can count on."""
    machine, group = psutil.virtual_memory(), limits()
    total = machine.total if group.memory_bytes is None else min(machine.total, group.memory_bytes)
    left = group.memory_available_bytes
    return Ram(total_bytes=total, available_bytes=machine.available if left is None else min(machine.available, left))


def rss_bytes(pid: int | None = None) -> int:
    """Resident bytes of a process (this one by default).

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    return int(psutil.Process(pid).memory_info().rss)


def process_memory(pid: int | None = None) -> ProcessMemory:
    """Resident, proportional and private bytes of a process. Walks its page tables: milliseconds, not microseconds.

    Raises:
        psutil.NoSuchProcess: it is gone.
    """
    process = psutil.Process(pid)
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        full = process.memory_info()
    return ProcessMemory(
        rss_bytes=int(full.rss), pss_bytes=getattr(full, "pss", None), private_bytes=getattr(full, "uss", None)
    )


def frequency_mhz() -> float | None:
    """Mean clock of the cores now; ``None`` where the system does not say (most virtual machines on Arm)."""
    reading = psutil.cpu_freq()
    return float(reading.current) if reading and reading.current else None


def load_average() -> tuple[float, float, float] | None:
    """Runnable threads over 1, 5 and 15 minutes; ``None`` on Windows."""
    return os.getloadavg() if hasattr(os, "getloadavg") else None


def cpu_temperature_c() -> float | None:
    """The hottest CPU sensor; ``None`` where there is none (virtual machines, macOS)."""
    sensors: Mapping[str, Any] = getattr(psutil, "sensors_temperatures", dict)()
    readings = [
        entry.current
        for chip in ("coretemp", "k10temp", "zenpower", "cpu_thermal")
        for entry in sensors.get(chip, ())
        if entry.current
    ]
    return max(readings, default=None)


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo; empty elsewhere than on Linux."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
