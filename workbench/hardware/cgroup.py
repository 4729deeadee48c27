"""Limits a container or a job scheduler puts on this process: CPU time and memory, cgroup v1 and v2.

A limit of any ancestor counts, so the tree is walked upward. Reference: kernel.org, Documentation/admin-guide/cgroup-v1
and cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OOM_COUNTERS = ("memory.events", "memory.oom_control")
_UNLIMITED_BYTES = 2**60  # cgroup v1 writes "no limit" as the largest page-aligned 63-bit number


@dataclass(frozen=True, slots=True)
class Limits:
    """What this process may use; ``None``: no limit.

    Attributes:
        cpus: CPUs' worth of time per period, e.g. 1.5.
        memory_bytes: the lowest memory limit.
        memory_available_bytes: what is left below it; page cache that can be dropped counts as free.
    """

    cpus: float | None
    memory_bytes: int | None
    memory_available_bytes: int | None


def limits(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> Limits:
    """The limits in force now. Without cgroups (macOS, Windows) there are none."""
    quotas = [quota for folder in _folders(root, membership, "cpu") if (quota := _quota(folder)) is not None]
    rooms = [room for folder in _folders(root, membership, "memory") if (room := _memory(folder)) is not None]
    return Limits(
        cpus=min(quotas, default=None),
        memory_bytes=min((limit for limit, _ in rooms), default=None),
        memory_available_bytes=min((left for _, left in rooms), default=None),
    )


def oom_kills(
    root: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
    machine: Path = Path("/proc/vmstat"),
) -> int | None:
    """Processes the system has killed for want of memory: in this process's group, else on the whole machine.

    Counts up; ``None``: nobody counts (macOS, Windows, old kernels). Compare two readings.
    """
    files = (folder / name for folder in _folders(root, membership, "memory") for name in _OOM_COUNTERS)
    counts = (_fields(file).get("oom_kill") for file in (*files, machine))
    return next((int(count) for count in counts if count is not None), None)


def _folders(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """This process's group for a controller and its ancestors, of both versions."""
    text = _text(membership) or ""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            base = root
        elif controller in controllers.split(","):
            # distributions name the mount after one controller or all that share it
            base = next((root / name for name in (controller, controllers) if (root / name).is_dir()), root)
        else:
            continue
        group = base.joinpath(*Path(path).parts[1:])
        yield from (folder for folder in (group, *group.parents) if folder == base or base in folder.parents)


def _quota(folder: Path) -> float | None:
    """CPUs' worth of time a group may use per period."""
    quota, _, period = (_text(folder / "cpu.max") or "").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or ""
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _memory(folder: Path) -> tuple[int, int] | None:
    """(limit, bytes left) of a group."""
    limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
    if limit is None or used is None or limit >= _UNLIMITED_BYTES:
        return None
    droppable = _statistic(folder, "inactive_file") or _statistic(folder, "total_inactive_file")
    return limit, max(0, limit - used + droppable)


def _statistic(folder: Path, name: str) -> int:
    return int(_fields(folder / "memory.stat").get(name, 0))


def _fields(file: Path) -> dict[str, str]:
    """A file of lines "name value"; empty if there is none."""
    return dict(line.split(" ", 1) for line in (_text(file) or "").splitlines())


def _number(*files: Path) -> int | None:
    """The number in the first file that has one; "max" is none."""
    texts = (_text(file) for file in files)
    return next((int(text) for text in texts if text and text.isdigit()), None)


def _text(file: Path) -> str | None:
    """A file's text without the final newline; ``None`` where the kernel has no such file or keeps it to itself."""
    try:
        return file.read_text().strip()
    except OSError:
        return None
