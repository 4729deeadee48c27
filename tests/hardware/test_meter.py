"""Energy of a stretch of work: differences of counters, None where there is none or it may have wrapped around."""

import pytest

from workbench.hardware import EnergyMeter


@pytest.fixture
def package(tmp_path):
    """package(energy_uj, max_uj) sets the counter of the only CPU package."""

    def write(energy_uj, max_uj=262_000_000_000):
        zone = tmp_path / "intel-rapl:0"
        zone.mkdir(exist_ok=True)
        for name, value in (("name", "package-0"), ("energy_uj", energy_uj), ("max_energy_range_uj", max_uj)):
            (zone / name).write_text(f"{value}\n")

    write.root = tmp_path
    return write


def test_every_device_counts_what_it_took(package, nvml):
    package(1_000_000)
    meter = EnergyMeter(package.root)
    package(4_500_000)
    nvml.values["nvmlDeviceGetTotalEnergyConsumption"] += 12_000
    energy = meter.read()
    assert energy.cpu_joules == pytest.approx(3.5)
    assert energy.gpu_joules == pytest.approx((12.0, 12.0))
    assert energy.seconds >= 0


def test_a_device_without_a_counter_is_none(tmp_path, nvml):
    nvml.errors["nvmlDeviceGetTotalEnergyConsumption"] = nvml.NVML_ERROR_NOT_SUPPORTED
    energy = EnergyMeter(tmp_path).read()
    assert energy.cpu_joules is None
    assert energy.gpu_joules == (None, None)


def test_a_counter_that_may_have_wrapped_twice_is_none(package, no_gpu):
    package(0, max_uj=0)
    meter = EnergyMeter(package.root)
    assert meter.read().cpu_joules == 0.0  # a counter that does not tell its range
    package(0, max_uj=1)  # a microjoule is over in nanoseconds
    meter = EnergyMeter(package.root)
    package(1, max_uj=1)
    assert meter.read().cpu_joules is None
    assert meter.read().gpu_joules == ()
