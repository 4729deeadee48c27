"""Checks of the machine, against machines to order."""

import pytest

from workbench.checkup import machine
from workbench.hardware import Cores, Ram


def test_a_gpu_and_its_driver(a_gpu):
    check = machine.gpu()
    assert check.status == "ok"
    for word in ("NVIDIA Test 9000", "24 GiB", "580.1", "13.0", "9.0"):
        assert word in check.detail


def test_no_gpu_is_no_trouble(no_gpu):
    assert machine.gpu().status == "ok"
    assert "CPU" in machine.gpu().detail


def test_a_card_without_a_driver_needs_one(no_gpu, monkeypatch):
    monkeypatch.setattr(machine, "nvidia_cards", lambda: 1)
    check = machine.gpu()
    assert check.status == "warning"
    assert "driver" in check.remedy


def test_a_driver_updated_under_way_needs_a_restart(no_gpu, monkeypatch):
    monkeypatch.setattr(machine, "gpu_problem", lambda: "Driver/library version mismatch")
    check = machine.gpu()
    assert check.status == "problem"
    assert "restart" in check.remedy


def test_nvidia_cards_are_found_on_the_bus(tmp_path):
    for slot, vendor, kind in (("0", "0x10de", "0x030000"), ("1", "0x10de", "0x040300"), ("2", "0x8086", "0x030000")):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "vendor").write_text(f"{vendor}\n")
        (tmp_path / slot / "class").write_text(f"{kind}\n")
    assert machine.nvidia_cards(tmp_path) == 1, "an NVIDIA sound device is no GPU, an Intel GPU no NVIDIA"
    assert machine.nvidia_cards(tmp_path / "none") == 0


@pytest.mark.parametrize(("available", "status"), [(2**30, "warning"), (16 * 2**30, "ok")])
def test_little_memory_is_a_warning(monkeypatch, available, status):
    monkeypatch.setattr(machine, "ram", lambda: Ram(total_bytes=32 * 2**30, available_bytes=available))
    check = machine.memory()
    assert check.status == status
    assert "of 32.0 GiB" in check.detail


def test_a_quota_is_told(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: Cores(physical=8, logical=16, usable=3))
    assert machine.cpu().detail.endswith("this process may use 3")


def test_closed_energy_counters_can_be_opened(monkeypatch, tmp_path):
    (tmp_path / "intel-rapl:0").mkdir()
    monkeypatch.setattr(machine, "POWERCAP", tmp_path)
    check = machine.cpu_energy()
    assert check.status == "warning"
    assert "sudo chmod" in check.remedy
