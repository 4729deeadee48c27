"""What the monitor reads: a source feeds one or more series of the same moment.

A source that can never give anything on this machine (no GPU, no thermometer, no power counter) is not made at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from workbench.hardware.energy import PackageEnergy
from workbench.hardware.gpu import gpus, read_gpu
from workbench.hardware.host import cpu_temperature_c, ram

GPU_SERIES = (
    "memory_used_bytes",
    "utilisation_percent",
    "power_w",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "energy_joules",
    "throttled",
)
"""Fields of :class:`~workbench.hardware.gpu.GpuReading` that become series; ``throttled`` as 0 or 1."""


@dataclass(frozen=True, slots=True)
class Source:
    """One reader and the series it feeds, one value each."""

    names: tuple[str, ...]
    read: Callable[[], Sequence[float | None]]


def single(name: str, read: Callable[[], float | None]) -> Source:
    """A source of one series."""
    return Source((name,), lambda: (read(),))


def host_sources() -> list[Source]:
    """CPU, memory and, where they can be read, temperature and energy of the host."""
    process, energy = psutil.Process(), PackageEnergy()
    sources = [
        Source(("cpu_percent", "process_cpu_percent"), CpuUse(process).read),
        single("rss_bytes", lambda: process.memory_info().rss),
        single("ram_available_bytes", lambda: ram().available_bytes),
    ]
    if cpu_temperature_c() is not None:
        sources.append(single("cpu_temperature_c", cpu_temperature_c))
    if energy.available:
        sources.append(single("cpu_energy_joules", energy.joules))
    return sources


def gpu_sources() -> list[Source]:
    """One source per GPU; series are named ``gpu0_power_w``."""
    return [_gpu_source(gpu.index) for gpu in gpus()]


class CpuUse:
    """Shares of CPU time between two readings, in percent. The first has nothing before it, so it is a gap.

    psutil's own ``cpu_percent`` keeps its last reading per thread for the whole process; this one disturbs nobody.
    """

    def __init__(self, process: Any) -> None:
        self._process = process
        self._last: tuple[float, float, float, float] | None = None

    def read(self) -> Sequence[float | None]:
        """(of the whole machine: 100 is all cores busy; of this process: 100 is one core busy)."""
        machine, own = psutil.cpu_times(), self._process.cpu_times()
        # user time includes guests' time on Linux
        total = sum(machine) - getattr(machine, "guest", 0) - getattr(machine, "guest_nice", 0)
        idle = machine.idle + getattr(machine, "iowait", 0)
        now = (total, total - idle, own.user + own.system, time.perf_counter())
        last, self._last = self._last, now
        if last is None:
            return None, None
        passed, busy, used, wall = (after - before for after, before in zip(now, last, strict=True))
        return _percent(busy, passed), _percent(used, wall)


def _percent(part: float, whole: float) -> float | None:
    """``None`` where the clock did not tick in between; iowait may run backwards (proc(5)), hence the floor."""
    return 100 * max(0.0, part) / whole if whole > 0 else None


def _gpu_source(index: int) -> Source:
    def read() -> list[float | None]:
        reading = read_gpu(index)
        return [None if (value := getattr(reading, name)) is None else float(value) for name in GPU_SERIES]

    return Source(tuple(f"gpu{index}_{name}" for name in GPU_SERIES), read)
