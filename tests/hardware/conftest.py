"""A driver to order: a stand-in for pynvml."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from workbench.hardware import gpu


class NVMLError(Exception):
    def __init__(self, value):
        self.value = value
        super().__init__(f"NVML error {value}")


NOT_SUPPORTED, LOST, LIBRARY_NOT_FOUND, NOT_INITIALIZED = 3, 15, 12, 1


class FakeNvml(ModuleType):
    """Two GPUs. ``errors``: name of a call → code it fails with; ``calls``: names in order."""

    NVMLError = NVMLError
    NVML_ERROR_NOT_SUPPORTED = NOT_SUPPORTED
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self):
        super().__init__("pynvml")
        self.errors, self.calls = {}, []
        self.open = False
        self.values = {
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetName": "NVIDIA Test 9000",
            "nvmlDeviceGetUUID": "GPU-123",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=24 * 2**30, used=2**30, free=23 * 2**30),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37, memory=12),
            "nvmlDeviceGetPowerUsage": 123_456,
            "nvmlDeviceGetEnforcedPowerLimit": 300_000,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetTotalEnergyConsumption": 5_000_000,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1 | 0x4,
            "nvmlDeviceGetCudaComputeCapability": (9, 0),
            "nvmlSystemGetDriverVersion": "580.1",
            "nvmlSystemGetCudaDriverVersion_v2": 13010,
        }

    def __getattr__(self, name):
        if not name.startswith("nvml"):
            raise AttributeError(name)
        return lambda *args: self.call(name, *args)

    def call(self, name, *args):
        self.calls.append(name)
        if name in self.errors:
            raise NVMLError(self.errors[name])
        if name == "nvmlInit":
            self.open = True
            return None
        if not self.open:
            raise NVMLError(NOT_INITIALIZED)
        if name == "nvmlShutdown":
            self.open = False
            return None
        if name == "nvmlDeviceGetHandleByIndex":
            return f"device {args[0]}"
        if name == "nvmlDeviceGetClockInfo":
            return {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 2619}[args[1]]
        return self.values[name]


@pytest.fixture
def nvml(monkeypatch):
    """The stand-in, in place of pynvml, with NVML not yet opened."""
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(gpu, "_nvml", gpu._Nvml())
    yield fake
    gpu._nvml.close()


@pytest.fixture
def no_gpu(nvml):
    """A machine without a driver."""
    nvml.errors["nvmlInit"] = LIBRARY_NOT_FOUND
    return nvml
