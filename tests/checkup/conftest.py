"""Machines and installations to order."""

from __future__ import annotations

import pytest

from workbench.checkup import installation, machine
from workbench.hardware import Gpu


@pytest.fixture
def a_gpu(monkeypatch):
    """A machine with one GPU and its driver."""
    gpu = Gpu(
        index=0,
        name="NVIDIA Test 9000",
        uuid="GPU-1",
        memory_total_bytes=24 * 2**30,
        driver="580.1",
        cuda="13.0",
        compute_capability="9.0",
        power_limit_w=300.0,
    )
    for module in (machine, installation):
        monkeypatch.setattr(module, "gpus", lambda: (gpu,))
    monkeypatch.setattr(machine, "gpu_problem", lambda: None)
    return gpu


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without one."""
    for module in (machine, installation):
        monkeypatch.setattr(module, "gpus", lambda: ())
    monkeypatch.setattr(machine, "gpu_problem", lambda: "NVML Shared Library Not Found")
    monkeypatch.setattr(machine, "nvidia_cards", lambda: 0)


@pytest.fixture
def build(monkeypatch):
    """build(gpu_offload=…, flags=…): what llama.cpp says of itself."""

    def say(**answer):
        made = {"version": "0.3.36", "gpu_offload": False, "flags": "CPU : AVX2 = 1 | ", **answer}
        monkeypatch.setattr(installation, "probe_llama", lambda: (made, ""))

    return say


@pytest.fixture
def path(monkeypatch, tmp_path):
    """path(name, prints): programs on an otherwise empty search path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)

    def add(name, prints="version 1.2.3", status=0):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{prints}'\nexit {status}\n")
        program.chmod(0o755)

    return add
