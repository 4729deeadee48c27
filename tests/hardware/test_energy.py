"""RAPL counters: differences, wrap-around, and None where they belong to root."""

import pytest

from workbench.hardware.energy import PackageEnergy


@pytest.fixture
def powercap(tmp_path):
    """zone(name, energy_uj, …) writes a zone as powercap shows it."""

    def zone(folder, name, energy_uj, max_uj=1000_000_000):
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / "name").write_text(f"{name}\n")
        (path / "max_energy_range_uj").write_text(f"{max_uj}\n")
        (path / "energy_uj").write_text(f"{energy_uj}\n")

    zone.root = tmp_path
    return zone


def test_packages_add_up_from_the_start(powercap):
    powercap("intel-rapl:0", "package-0", 5_000_000)
    powercap("intel-rapl:1", "package-1", 0)
    meter = PackageEnergy(powercap.root)
    assert meter.joules() == 0.0
    powercap("intel-rapl:0", "package-0", 7_000_000)
    powercap("intel-rapl:1", "package-1", 500_000)
    assert meter.joules() == pytest.approx(2.5)
    assert meter.joules() == pytest.approx(2.5)


def test_parts_and_the_platform_do_not_count_twice(powercap):
    for folder, name in (("intel-rapl:0:0", "core"), ("intel-rapl:2", "psys"), ("intel-rapl:0", "package-0")):
        powercap(folder, name, 0)
    meter = PackageEnergy(powercap.root)
    for folder, name in (("intel-rapl:0:0", "core"), ("intel-rapl:2", "psys"), ("intel-rapl:0", "package-0")):
        powercap(folder, name, 1_000_000)
    assert meter.joules() == pytest.approx(1.0)


def test_a_counter_that_wraps_goes_on(powercap):
    powercap("intel-rapl:0", "package-0", 900, max_uj=1000)
    meter = PackageEnergy(powercap.root)
    powercap("intel-rapl:0", "package-0", 100, max_uj=1000)
    assert meter.joules() == pytest.approx(200e-6)


def test_a_counter_that_vanishes_is_none(powercap):
    powercap("intel-rapl:0", "package-0", 900)
    meter = PackageEnergy(powercap.root)
    (powercap.root / "intel-rapl:0" / "energy_uj").unlink()
    assert meter.joules() is None


def test_without_counters_there_is_no_energy(powercap):
    meter = PackageEnergy(powercap.root)
    assert not meter.available
    assert meter.joules() is None
