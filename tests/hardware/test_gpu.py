"""GPUs through NVML: everything it says, and None for everything it does not."""

import dataclasses
import logging
import subprocess
import sys
import threading

import pytest

from workbench.errors import UnknownName
from workbench.hardware import GpuReading, gpu_problem, gpus, read_gpu

NOT_SUPPORTED, LOST = 3, 15


def test_a_gpu_is_described(nvml):
    first, second = gpus()
    assert (first.index, second.index) == (0, 1)
    assert first.name == "NVIDIA Test 9000"
    assert first.uuid == "GPU-123"
    assert first.memory_total_bytes == 24 * 2**30
    assert (first.driver, first.cuda, first.compute_capability) == ("580.1", "13.1", "9.0")
    assert first.power_limit_w == pytest.approx(300.0)
    assert gpu_problem() is None


def test_a_reading_has_units(nvml):
    reading = read_gpu(1)
    assert reading.memory_used_bytes == 2**30
    assert reading.memory_free_bytes == 23 * 2**30
    assert (reading.utilisation_percent, reading.memory_utilisation_percent) == (37.0, 12.0)
    assert reading.power_w == pytest.approx(123.456)
    assert (reading.sm_clock_mhz, reading.memory_clock_mhz) == (1980.0, 2619.0)
    assert reading.temperature_c == 61.0
    assert reading.energy_joules == pytest.approx(5000.0)
    assert reading.throttle_reasons == ("gpu_idle", "software_power_cap")
    assert reading.throttled is True


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("nvmlDeviceGetMemoryInfo", {"memory_used_bytes", "memory_free_bytes"}),
        ("nvmlDeviceGetUtilizationRates", {"utilisation_percent", "memory_utilisation_percent"}),
        ("nvmlDeviceGetPowerUsage", {"power_w"}),
        ("nvmlDeviceGetClockInfo", {"sm_clock_mhz", "memory_clock_mhz"}),
        ("nvmlDeviceGetTemperature", {"temperature_c"}),
        ("nvmlDeviceGetTotalEnergyConsumption", {"energy_joules"}),
        ("nvmlDeviceGetCurrentClocksThrottleReasons", {"throttle_reasons"}),
    ],
)
def test_what_is_not_supported_is_none_and_nothing_else(nvml, caplog, call, fields):
    nvml.errors[call] = NOT_SUPPORTED
    reading = dataclasses.asdict(read_gpu(0))
    assert {name for name, value in reading.items() if value is None} == fields
    assert not caplog.records, "not supported is no news"


def test_a_zero_is_a_zero(nvml):
    nvml.values["nvmlDeviceGetPowerUsage"] = 0
    nvml.values["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0
    reading = read_gpu(0)
    assert reading.power_w == 0.0
    assert reading.throttle_reasons == ()
    assert reading.throttled is False


def test_a_lost_gpu_reads_none_and_is_logged_once(nvml, caplog):
    nvml.errors["nvmlDeviceGetHandleByIndex"] = LOST
    with caplog.at_level(logging.WARNING):
        readings = [read_gpu(0) for _ in range(3)]
    assert all(value is None for reading in readings for value in dataclasses.asdict(reading).values())
    assert readings[0].throttled is None
    assert len(caplog.records) == 1


def test_a_gpu_that_describes_nothing_is_still_listed(nvml):
    for call in list(nvml.values):
        if call != "nvmlDeviceGetCount":
            nvml.errors[call] = NOT_SUPPORTED
    assert [gpu.name for gpu in gpus()] == [None, None]


def test_without_a_driver_there_is_no_gpu(no_gpu):
    assert gpus() == ()
    assert "12" in gpu_problem()
    with pytest.raises(UnknownName, match=r"Unknown GPU '0'.*doctor"):
        read_gpu(0)
    assert no_gpu.calls.count("nvmlInit") == 1, "a missing driver is looked for once"


@pytest.mark.parametrize("index", [-1, 2])
def test_an_unknown_gpu_lists_the_known(nvml, index):
    with pytest.raises(UnknownName, match="Known: 0, 1"):
        read_gpu(index)


def test_nvml_is_opened_once_by_many_threads(nvml):
    threads = [threading.Thread(target=gpus) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert nvml.calls.count("nvmlInit") == 1


def test_nvml_can_be_closed_and_used_again(nvml):
    from workbench.hardware import gpu

    assert len(gpus()) == 2
    gpu._nvml.close()
    assert not nvml.open
    assert len(gpus()) == 2
    assert nvml.calls.count("nvmlInit") == 2


def test_benign_reasons_are_no_throttling(nvml):
    nvml.values["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0x1 | 0x2 | 0x100
    assert read_gpu(0).throttled is False


def test_a_forked_child_opens_nvml_anew():
    """NVML's state must not be used across a fork."""
    code = (
        "import os\nfrom workbench.hardware.gpu import _nvml, gpus\ngpus()\nassert _nvml._tried\n"
        "pid = os.fork()\nif pid == 0: os._exit(_nvml._tried)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_reading_is_plain_data(nvml):
    assert isinstance(read_gpu(0), GpuReading)
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_gpu(0).power_w = 1
