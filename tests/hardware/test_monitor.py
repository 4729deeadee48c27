"""The monitor: series on one clock, gaps where a reader fails, no series where there is nothing to read."""

import logging
import threading
import time

import pytest

from workbench.errors import InvalidSettings, UsageError
from workbench.hardware import Monitor
from workbench.hardware.sources import GPU_SERIES, CpuUse
from workbench.interfaces import Record


def run(monitor, samples=4):
    """Keep the monitor open until it took so many samples."""
    with monitor:
        deadline = time.monotonic() + 30
        while len(next(iter(monitor.series.values()))) < samples and time.monotonic() < deadline:
            time.sleep(0.002)
    return monitor


def values(monitor, name):
    return [value for _, value in monitor.series[name]]


def test_host_series(no_gpu):
    monitor = run(Monitor(0.01))
    assert {"cpu_percent", "process_cpu_percent", "rss_bytes", "ram_available_bytes"} <= set(monitor.series)
    assert all(value > 2**20 for value in values(monitor, "rss_bytes"))
    assert not [name for name in monitor.series if name.startswith("gpu")], "no GPU, no GPU series"
    assert values(monitor, "cpu_percent")[0] is None, "a share needs two readings"


def test_samples_share_one_rising_clock(no_gpu):
    monitor = run(Monitor(0.01))
    times = [at for at, _ in monitor.series["rss_bytes"]]
    assert times == sorted(times)
    assert times[0] >= 0
    assert len({len(samples) for samples in monitor.series.values()}) == 1


def test_a_block_shorter_than_the_interval_has_both_ends(no_gpu):
    with Monitor(3600) as monitor:
        pass
    assert len(monitor.series["rss_bytes"]) == 2


def test_gpu_series(nvml):
    monitor = run(Monitor(0.01))
    assert {f"gpu{index}_{name}" for index in (0, 1) for name in GPU_SERIES} <= set(monitor.series)
    assert set(values(monitor, "gpu0_power_w")) == {123.456}
    assert set(values(monitor, "gpu1_throttled")) == {1.0}


def test_what_a_gpu_does_not_support_is_a_gap_never_zero(nvml):
    nvml.errors["nvmlDeviceGetPowerUsage"] = nvml.errors["nvmlDeviceGetTotalEnergyConsumption"] = 3
    monitor = run(Monitor(0.01))
    assert set(values(monitor, "gpu0_power_w")) == {None}
    summary = monitor.summary()
    assert summary["mean_gpu0_power_w"] is None
    assert summary["gpu0_energy_joules"] is None


def test_energy_is_the_counters_difference(nvml):
    with Monitor(3600) as monitor:
        nvml.values["nvmlDeviceGetTotalEnergyConsumption"] += 42_000
    assert monitor.summary()["gpu0_energy_joules"] == pytest.approx(42.0)


def test_without_a_counter_power_is_integrated(nvml):
    nvml.errors["nvmlDeviceGetTotalEnergyConsumption"] = 3
    monitor = run(Monitor(0.01))
    times = [at for at, _ in monitor.series["gpu0_power_w"]]
    assert monitor.summary()["gpu0_energy_joules"] == pytest.approx(123.456 * (times[-1] - times[0]))


def test_integration_leaves_gaps_out(no_gpu):
    power = iter([10.0, 20.0, None, 30.0, 50.0])
    monitor = Monitor(0.01, readers={"device_power_w": lambda: next(power, None)})
    run(monitor, samples=5)
    (t0, _), (t1, _), _, (t3, _), (t4, _) = monitor.series["device_power_w"][:5]
    expected = 15.0 * (t1 - t0) + 40.0 * (t4 - t3)
    assert monitor.summary()["device_energy_joules"] == pytest.approx(expected)


def test_means_and_maxima(no_gpu):
    numbers = iter([1.0, 4.0, None, 7.0])
    monitor = run(Monitor(0.01, readers={"queue_length": lambda: next(numbers, None)}))
    assert monitor.summary()["mean_queue_length"] == pytest.approx(4.0)
    assert monitor.summary()["max_queue_length"] == 7.0


def test_a_failing_reader_leaves_gaps_and_one_line_in_the_log(no_gpu, caplog):
    def broken():
        raise OSError("sensor gone")

    with caplog.at_level(logging.WARNING):
        monitor = run(Monitor(0.01, readers={"broken": broken}))
    assert len(monitor.series["broken"]) >= 4
    assert set(values(monitor, "broken")) == {None}
    assert monitor.summary()["max_broken"] is None
    assert [record.getMessage() for record in caplog.records] == ["Sampling broken failed; gaps are left."]
    assert all(value is not None for value in values(monitor, "rss_bytes")), "the others go on"


def test_a_failing_block_is_sampled_to_its_end(no_gpu):
    monitor = Monitor(3600)
    with pytest.raises(ZeroDivisionError), monitor:
        _ = 1 / 0
    assert len(monitor.series["rss_bytes"]) == 2
    assert not [thread for thread in threading.enumerate() if thread.name == "workbench-monitor"]


def test_a_monitor_is_used_once(no_gpu):
    monitor = Monitor(3600)
    with monitor:
        pass
    monitor.stop()
    with pytest.raises(UsageError, match="Make a new Monitor"):
        monitor.start()


def test_before_the_start_there_is_nothing(no_gpu):
    monitor = Monitor()
    monitor.stop()
    assert monitor.series == {}
    assert monitor.summary() == {}


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_the_interval_must_be_above_zero(interval):
    with pytest.raises(InvalidSettings, match="above 0"):
        Monitor(interval)


def test_series_go_into_a_record(no_gpu):
    monitor = run(Monitor(0.01))
    record = Record(metrics=monitor.summary(), series=monitor.series)
    assert record.series["rss_bytes"][0][0] >= 0


def test_a_busy_process_uses_its_core():
    import psutil

    use = CpuUse(psutil.Process())
    assert use.read() == (None, None)
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    machine, own = use.read()
    assert own > 10
    assert 0 < machine <= 100


def test_cpu_use_without_a_tick_in_between_is_a_gap(monkeypatch):
    from collections import namedtuple
    from types import SimpleNamespace

    from workbench.hardware import sources

    times = namedtuple("times", "user system idle guest")(10.0, 5.0, 85.0, 2.0)
    monkeypatch.setattr(sources.psutil, "cpu_times", lambda: times)
    use = CpuUse(SimpleNamespace(cpu_times=lambda: SimpleNamespace(user=1.0, system=1.0)))
    use.read()
    machine, own = use.read()
    assert machine is None
    assert own == 0.0
