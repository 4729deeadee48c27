"""Checks of what the machine is made of."""

from __future__ import annotations

from pathlib import Path

from workbench.checkup.report import Check
from workbench.hardware.energy import POWERCAP, PackageEnergy
from workbench.hardware.gpu import Gpu, gpu_problem, gpus
from workbench.hardware.host import cores, cpu_features, cpu_name, ram

_GIB = 2**30
_LITTLE_RAM_BYTES = 2 * _GIB  # a small quantised model, its KV cache and a notebook kernel
_PCI = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_SHOWN_FEATURES = ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")


def cpu() -> Check:
    """The CPU, its cores and the instruction sets matrix kernels use."""
    found = cores()
    features = ", ".join(name for name in _SHOWN_FEATURES if name in cpu_features()) or "instruction sets unknown"
    detail = f"{cpu_name()}: {found.physical or '?'} cores, {found.logical} threads, {features}"
    if found.usable < found.logical:
        detail += f"; this process may use {found.usable}"
    return Check("CPU", "ok", detail)


def memory() -> Check:
    """Main memory this process can count on."""
    found = ram()
    detail = f"{found.available_bytes / _GIB:,.1f} of {found.total_bytes / _GIB:,.1f} GiB available"
    if found.available_bytes < _LITTLE_RAM_BYTES:
        return Check("Memory", "warning", detail, "Close other programs, or use models and contexts that fit.")
    return Check("Memory", "ok", detail)


def gpu() -> Check:
    """NVIDIA GPUs and their driver."""
    found, trouble = gpus(), gpu_problem()
    if found:
        return Check("GPU", "ok", "; ".join(_described(one) for one in found))
    if "mismatch" in (trouble or "").lower():
        remedy = "The driver was updated while it was loaded: restart the machine."
        return Check("GPU", "problem", f"the driver cannot be used: {trouble}", remedy)
    if cards := nvidia_cards():
        detail = f"{cards} NVIDIA card(s) on the bus, but no driver answers ({trouble or 'NVML sees none'})"
        return Check("GPU", "warning", detail, "Install NVIDIA's driver; `nvidia-smi` must list the GPU.")
    return Check("GPU", "ok", "no NVIDIA GPU; everything runs on the CPU")


def cpu_energy() -> Check:
    """Whether the CPU's energy counters can be read."""
    if PackageEnergy().available:
        return Check("CPU energy", "ok", "counters can be read")
    if any(POWERCAP.glob("intel-rapl:*")):
        remedy = "To measure joules: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        return Check("CPU energy", "warning", "the counters belong to root; energy is left out of records", remedy)
    return Check("CPU energy", "ok", "no counters on this machine; energy is left out of records")


def nvidia_cards(root: Path = _PCI) -> int:
    """NVIDIA display controllers on the PCI bus, driver or not."""
    vendors = (folder / "vendor" for folder in root.glob("*") if _text(folder / "class").startswith(_DISPLAY))
    return sum(_text(vendor) == _NVIDIA for vendor in vendors)


def _described(one: Gpu) -> str:
    size = "" if one.memory_total_bytes is None else f", {one.memory_total_bytes / _GIB:,.0f} GiB"
    versions = f"driver {one.driver or '?'} (CUDA {one.cuda or '?'}, compute {one.compute_capability or '?'})"
    return f"{one.index}: {one.name or 'unnamed'}{size}, {versions}"


def _text(file: Path) -> str:
    """A sysfs value; empty where it cannot be read."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
