"""The worker's memory limit: set in the child, watched from the parent.

``RLIMIT_AS`` counts the mapped weights, the address space of each thread's stack and the hundreds of gigabytes a GPU
driver reserves, so that no figure means anything. ``RLIMIT_DATA`` (private writable memory, `mm/mmap.c`,
``may_expand_vm``; Linux 4.7 and later) counts what KV cache, buffers and repacked weights take, and leaves out mapped
weights, which the system can drop at any time. An allocation beyond it fails at once: an error where llama.cpp looks, a
death where it does not. Elsewhere it does not bind, so the parent also watches the resident private memory.
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
