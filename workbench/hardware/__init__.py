"""The machine: GPUs through NVML, the host's CPU, memory and energy, and a monitor that samples them.

Knows devices and counters; never engines or what they run. What cannot be read is ``None``, never 0. pynvml and psutil
are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import lazy_names

if TYPE_CHECKING:
    from workbench.hardware.gpu import Gpu, GpuReading, gpu_problem, gpus, read_gpu
    from workbench.hardware.host import (
        Cores,
        ProcessMemory,
        Ram,
        cores,
        cpu_name,
        cpu_temperature_c,
        frequency_mhz,
        process_memory,
        ram,
        rss_bytes,
    )
    from workbench.hardware.meter import Energy, EnergyMeter
    from workbench.hardware.monitor import Monitor
    from workbench.hardware.static import snapshot

_HOME = {
    "Cores": "host",
    "Energy": "meter",
    "EnergyMeter": "meter",
    "Gpu": "gpu",
    "GpuReading": "gpu",
    "Monitor": "monitor",
    "ProcessMemory": "host",
    "Ram": "host",
    "cores": "host",
    "cpu_name": "host",
    "cpu_temperature_c": "host",
    "frequency_mhz": "host",
    "gpu_problem": "gpu",
    "gpus": "gpu",
    "process_memory": "host",
    "ram": "host",
    "read_gpu": "gpu",
    "rss_bytes": "host",
    "snapshot": "static",
}

__all__ = [
    "Cores",
    "Energy",
    "EnergyMeter",
    "Gpu",
    "GpuReading",
    "Monitor",
    "ProcessMemory",
    "Ram",
    "cores",
    "cpu_name",
    "cpu_temperature_c",
    "frequency_mhz",
    "gpu_problem",
    "gpus",
    "process_memory",
    "ram",
    "read_gpu",
    "rss_bytes",
    "snapshot",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
