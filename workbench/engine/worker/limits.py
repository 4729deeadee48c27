"""The worker's memory limit: set in the child, watched from the parent.

Tried: ``RLIMIT_AS`` counts the mapped weights, the 8 MiB of address space of each thread's stack and the hundreds of
gigabytes a GPU driver reserves, so that no figure means anything. ``RLIMIT_DATA`` (Linux 4.7 and later: private writable
memory, `mm/mmap.c`, ``may_expand_vm``) counts what KV cache, buffers and repacked weights take and leaves mapped weights,
which the system can drop at any time, out. An allocation beyond it fails at once, as an error rather than a death where
llama.cpp can say so. Elsewhere it does not bind, so the parent also watches the resident private memory.
"""

from __future__ import annotations

import sys

import psutil


def limit_private_memory(limit_bytes: int) -> None:
    """Let every allocation fail that would take this process beyond ``limit_bytes`` of private memory. Linux only."""
    if sys.platform != "linux":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))


def private_bytes(pid: int) -> int | None:
    """Resident memory of a process without what it shares with files; ``None``: it is gone."""
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.Error:
        return None
    return int(info.rss - getattr(info, "shared", 0))
