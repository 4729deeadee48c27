"""The host: cores and memory this process may use, what processes take."""

import mmap
import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from workbench.hardware import cores, cpu_name, host, process_memory, ram, rss_bytes
from workbench.hardware.cgroup import Limits


@pytest.fixture
def limited(monkeypatch):
    """Pretend a container's limits."""

    def limit(**values):
        made = Limits(**{"cpus": None, "memory_bytes": None, "memory_available_bytes": None, **values})
        monkeypatch.setattr(host, "limits", lambda: made)

    return limit


def test_cores_are_counted(limited):
    limited()
    found = cores()
    assert 1 <= found.usable <= found.logical
    assert found.usable == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("quota", "usable"), [(0.5, 1), (1.0, 1), (1.5, 2), (64.0, 3)])
def test_a_quota_and_the_affinity_bound_the_usable_cores(limited, monkeypatch, quota, usable):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    limited(cpus=quota)
    assert cores().usable == usable


def test_memory_is_the_containers_where_that_is_less(limited):
    limited(memory_bytes=1000, memory_available_bytes=10)
    assert (ram().total_bytes, ram().available_bytes) == (1000, 10)
    limited(memory_bytes=2**60, memory_available_bytes=2**60)
    assert ram().total_bytes == psutil.virtual_memory().total


def test_resident_memory_grows_with_what_is_touched():
    before = rss_bytes()
    with mmap.mmap(-1, 64 * 2**20) as block:  # fresh pages; the allocator might hand out ones it kept
        block.write(b"x" * (64 * 2**20))
        assert rss_bytes() - before > 24 * 2**20


def test_the_memory_of_another_process_can_be_read():
    code = "print('ready', flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert rss_bytes(child.pid) > 2**20
    finally:
        child.communicate(b"\n")
    with pytest.raises(psutil.NoSuchProcess):
        rss_bytes(child.pid)


def test_shared_pages_count_less_in_pss():
    found = process_memory()
    assert 0 < found.private_bytes <= found.pss_bytes <= found.rss_bytes * 1.05


def test_processes_that_may_not_be_looked_into_have_rss_only(monkeypatch):
    class Closed:
        def __init__(self, pid):
            pass

        def memory_full_info(self):
            raise psutil.AccessDenied

        def memory_info(self):
            return SimpleNamespace(rss=7)

    monkeypatch.setattr(psutil, "Process", Closed)
    found = process_memory(1)
    assert (found.rss_bytes, found.pss_bytes, found.private_bytes) == (7, None, None)


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Pretend a /proc/cpuinfo."""

    def write(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(host, "_CPUINFO", tmp_path / "cpuinfo")
        host.cpu_name.cache_clear()
        host.cpu_features.cache_clear()

    yield write
    host.cpu_name.cache_clear()
    host.cpu_features.cache_clear()


def test_the_cpu_is_named(cpuinfo):
    cpuinfo("processor\t: 0\nmodel name\t: Test CPU 3000\nflags\t\t: fpu avx2 avx512f sse4_2\n\nprocessor\t: 1\n")
    assert cpu_name() == "Test CPU 3000"
    assert host.cpu_features() == {"avx2", "avx512f", "sse4_2"}, "only what matters to matrix kernels"


def test_an_arm_cpu_has_features_too(cpuinfo):
    cpuinfo("processor : 0\nFeatures : fp asimd asimddp i8mm sve\nHardware : Test SoC\n")
    assert cpu_name() == "Test SoC"
    assert host.cpu_features() == {"asimd", "asimddp", "i8mm", "sve"}


def test_elsewhere_than_on_linux_the_platform_names_the_cpu(cpuinfo, monkeypatch, tmp_path):
    cpuinfo("")
    monkeypatch.setattr(host, "_CPUINFO", tmp_path / "none")
    assert cpu_name()
    assert host.cpu_features() == frozenset()


def test_no_thermometer_is_none(monkeypatch):
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    assert host.cpu_temperature_c() is None


def test_the_hottest_cpu_sensor_counts(monkeypatch):
    readings = {
        "coretemp": [SimpleNamespace(current=50.0), SimpleNamespace(current=71.5), SimpleNamespace(current=None)],
        "nvme": [SimpleNamespace(current=90.0)],
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: readings, raising=False)
    assert host.cpu_temperature_c() == 71.5


@pytest.mark.parametrize("reading", [None, SimpleNamespace(current=0.0)])
def test_no_clock_is_none(monkeypatch, reading):
    monkeypatch.setattr(psutil, "cpu_freq", lambda: reading)
    assert host.frequency_mhz() is None


def test_load_has_three_values():
    assert len(host.load_average()) == 3
