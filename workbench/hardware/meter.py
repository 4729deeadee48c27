"""Energy of a whole stretch of work, by the devices' own counters: read twice, nothing in between."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from workbench.hardware.energy import POWERCAP, PackageEnergy
from workbench.hardware.gpu import gpus, read_gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What a stretch of work took.

    Attributes:
        seconds: how long it was.
        cpu_joules: of all CPU packages; ``None`` without a counter, or if it may have wrapped around more than once.
        gpu_joules: of each GPU, in NVML's order; ``None`` for one without a counter.
    """

    seconds: float
    cpu_joules: float | None
    gpu_joules: tuple[float | None, ...]


class EnergyMeter:
    """Counts from when it is made.

    Args:
        root: where powercap lies.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self._packages = PackageEnergy(root)
        self._gpus = _counters()
        self._started = time.monotonic()

    def read(self) -> Energy:
        """Energy so far."""
        seconds = time.monotonic() - self._started
        gpus_now = dict(_counters())
        return Energy(
            seconds=seconds,
            cpu_joules=self._packages.joules() if seconds < self._packages.wraps_after_s else None,
            gpu_joules=tuple(_difference(before, gpus_now.get(index)) for index, before in self._gpus),
        )


def _counters() -> list[tuple[int, float | None]]:
    return [(gpu.index, read_gpu(gpu.index).energy_joules) for gpu in gpus()]


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
