"""GPUs through NVML: what they are, and what they read now.

A GPU may support only part of NVML (MIG slices have no utilisation, unified-memory chips no memory size, laptops no
energy counter): each reading stands alone and is ``None`` where it cannot be had. NVML numbers all GPUs of the machine
by PCI bus and knows nothing of ``CUDA_VISIBLE_DEVICES``. Reference: NVML API, docs.nvidia.com/deploy/nvml-api.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from workbench.errors import UnknownName

T = TypeVar("T")
_log = logging.getLogger(__name__)

THROTTLE_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks",
    0x004: "software_power_cap",
    0x008: "hardware_slowdown",
    0x010: "sync_boost",
    0x020: "software_thermal",
    0x040: "hardware_thermal",
    0x080: "power_brake",
    0x100: "display_clocks",
}
"""Bits of ``nvmlClocksEventReasons`` (nvml.h)."""

BENIGN_REASONS = frozenset({"gpu_idle", "applications_clocks", "display_clocks"})
"""Reasons for a low clock that do not mean the GPU was held back under load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, as it is built and driven.

    Attributes:
        index: NVML's number.
        name: product name.
        uuid: the same GPU keeps it, whatever its number.
        memory_total_bytes: memory on the board.
        driver: driver version.
        cuda: newest CUDA version the driver supports, "13.0".
        compute_capability: "9.0".
        power_limit_w: enforced power limit.
    """

    index: int
    name: str | None
    uuid: str | None
    memory_total_bytes: int | None
    driver: str | None
    cuda: str | None
    compute_capability: str | None
    power_limit_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """What a GPU reads now; each field ``None`` where NVML does not say.

    Attributes:
        memory_used_bytes: by all processes and the driver.
        memory_free_bytes: what could still be allocated.
        utilisation_percent: share of the last sample period in which a kernel ran.
        memory_utilisation_percent: share of it in which memory was read or written.
        power_w: draw of the whole board.
        sm_clock_mhz: clock of the multiprocessors.
        memory_clock_mhz: clock of the memory.
        temperature_c: of the die.
        energy_joules: counter since the driver was loaded; take differences.
        throttle_reasons: why clocks are lower than they could be, names of :data:`THROTTLE_REASONS`.
    """

    memory_used_bytes: int | None
    memory_free_bytes: int | None
    utilisation_percent: float | None
    memory_utilisation_percent: float | None
    power_w: float | None
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    temperature_c: float | None
    energy_joules: float | None
    throttle_reasons: tuple[str, ...] | None

    @property
    def throttled(self) -> bool | None:
        """Whether power or heat holds the GPU back."""
        return None if self.throttle_reasons is None else not BENIGN_REASONS.issuperset(self.throttle_reasons)


class _Nvml:
    """NVML, opened once in this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tried = False
        self._module: Any = None
        self._reported: set[tuple[str, int]] = set()
        self.problem: str | None = None

    def module(self) -> Any:
        """pynvml, initialised, or ``None``: then :attr:`problem` says why."""
        with self._lock:
            if not self._tried:
                self._tried = True
                self._open()
            return self._module

    def _open(self) -> None:
        import pynvml

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self.problem = str(error)
            _log.debug("NVML cannot be used: %s", error)
            return
        self._module = pynvml
        atexit.register(self.close)

    def close(self) -> None:
        """Give NVML back; the next use opens it again."""
        with self._lock:
            module, self._module, self._tried = self._module, None, False
        atexit.unregister(self.close)
        if module is not None:
            self.read("nvmlShutdown", module.nvmlShutdown)

    def forget(self) -> None:
        """In a forked child: NVML has to be opened anew there (NVML API, "Initialization and Cleanup")."""
        self.__init__()  # type: ignore[misc]

    def read(self, what: str, call: Callable[..., T], *args: Any) -> T | None:
        """One reading, ``None`` if NVML refuses it; anything but "not supported" is logged, once."""
        import pynvml

        try:
            return call(*args)
        except pynvml.NVMLError as error:
            code = int(getattr(error, "value", -1))
            if code != pynvml.NVML_ERROR_NOT_SUPPORTED and (what, code) not in self._reported:
                self._reported.add((what, code))
                _log.warning("%s: %s", what, error)
            return None


_nvml = _Nvml()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_nvml.forget)


def gpu_problem() -> str | None:
    """NVML's words on why no GPU can be seen ("Driver/library version mismatch"); ``None`` when it works."""
    return None if _nvml.module() is not None else _nvml.problem


def gpus() -> tuple[Gpu, ...]:
    """Every NVIDIA GPU of this machine; empty without a driver."""
    nvml = _nvml.module()
    if nvml is None:
        return ()
    count = _nvml.read("nvmlDeviceGetCount", nvml.nvmlDeviceGetCount) or 0
    return tuple(_describe(nvml, index) for index in range(count))


def read_gpu(index: int) -> GpuReading:
    """What one GPU reads now. Takes well below a millisecond on most boards; safe from any thread.

    Raises:
        UnknownName: there is no GPU of that number; lists those there are.
    """
    nvml = _nvml.module()
    count = _nvml.read("nvmlDeviceGetCount", nvml.nvmlDeviceGetCount) if nvml is not None else None
    if not 0 <= index < (count or 0):
        raise UnknownName("GPU", str(index), map(str, range(count or 0)), "See workbench.doctor() for the driver.")
    device = _nvml.read("nvmlDeviceGetHandleByIndex", nvml.nvmlDeviceGetHandleByIndex, index)
    return _read(nvml, device)


def _describe(nvml: Any, index: int) -> Gpu:
    device = _nvml.read("nvmlDeviceGetHandleByIndex", nvml.nvmlDeviceGetHandleByIndex, index)
    get = _reader(nvml, device)
    memory, capability = get("nvmlDeviceGetMemoryInfo"), get("nvmlDeviceGetCudaComputeCapability")
    cuda = _nvml.read("nvmlSystemGetCudaDriverVersion_v2", nvml.nvmlSystemGetCudaDriverVersion_v2)
    return Gpu(
        index=index,
        name=get("nvmlDeviceGetName"),
        uuid=get("nvmlDeviceGetUUID"),
        memory_total_bytes=memory and int(memory.total),
        driver=_nvml.read("nvmlSystemGetDriverVersion", nvml.nvmlSystemGetDriverVersion),
        cuda=cuda and f"{cuda // 1000}.{cuda % 1000 // 10}",
        compute_capability=capability and ".".join(map(str, capability)),
        power_limit_w=_scaled(get("nvmlDeviceGetEnforcedPowerLimit"), 1e-3),
    )


def _read(nvml: Any, device: Any) -> GpuReading:
    get = _reader(nvml, device)
    memory, rates = get("nvmlDeviceGetMemoryInfo"), get("nvmlDeviceGetUtilizationRates")
    reasons = get("nvmlDeviceGetCurrentClocksThrottleReasons")
    return GpuReading(
        memory_used_bytes=None if memory is None else int(memory.used),
        memory_free_bytes=None if memory is None else int(memory.free),
        utilisation_percent=None if rates is None else float(rates.gpu),
        memory_utilisation_percent=None if rates is None else float(rates.memory),
        power_w=_scaled(get("nvmlDeviceGetPowerUsage"), 1e-3),
        sm_clock_mhz=_scaled(get("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM), 1.0),
        memory_clock_mhz=_scaled(get("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM), 1.0),
        temperature_c=_scaled(get("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU), 1.0),
        energy_joules=_scaled(get("nvmlDeviceGetTotalEnergyConsumption"), 1e-3),
        throttle_reasons=None if reasons is None else _names_of(reasons),
    )


def _reader(nvml: Any, device: Any) -> Callable[..., Any]:
    """A function that reads one thing of one device, ``None`` where that cannot be had."""

    def get(name: str, *args: Any) -> Any:
        return None if device is None else _nvml.read(name, getattr(nvml, name), device, *args)

    return get


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value * unit


def _names_of(reasons: int) -> tuple[str, ...]:
    return tuple(name for bit, name in THROTTLE_REASONS.items() if reasons & bit)
