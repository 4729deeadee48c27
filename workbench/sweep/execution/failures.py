"""Why a run failed, for a program: from an exception's name and words, from how a process ended, from its last words.

Out of memory is a result of a sweep, not an accident, so it is told from everything else, and never guessed: a process
that was killed counts as out of memory only if it said so or the system counted such a kill meanwhile.
"""

from __future__ import annotations

import re
import signal

from workbench.errors import FailureKind

_NAMES = {"MemoryError", "_ArrayMemoryError", "OutOfMemory", "OutOfMemoryError", "CUDAOutOfMemoryError"}
"""Exceptions that mean it whatever they say: Python's, numpy's, this package's, torch's, Numba's."""

_ALLOCATORS = {"CudaError", "CudaAPIError", "DecodeError", "ModelLoadError", "OSError", "RuntimeError", "ValueError"}
"""Exceptions through which an allocator's words come; in any other the same words are somebody's prose."""

_WORDS = re.compile(
    r"CUDA out of memory|CUDA error: out of memory|cudaMalloc failed|CUDA_ERROR_OUT_OF_MEMORY|"
    r"CUBLAS_STATUS_ALLOC_FAILED|ErrorOutOfDeviceMemory|std::bad_alloc|\bMemoryError\b|"
    r"(?:cannot|(?:failed|unable) to) allocate|Memory is short|ran out of memory|came to its memory limit",
    re.IGNORECASE,
)


def of_error(name: str, text: str, *, oom_kills: int = 0) -> FailureKind:
    """What an exception stands for.

    Args:
        name: its class's name.
        text: what it says.
        oom_kills: processes the system killed for want of memory during the run.
    """
    if name in _NAMES or (name in _ALLOCATORS and _WORDS.search(text)):
        return "out_of_memory"
    if name == "WorkerDied" and (_WORDS.search(text) or (oom_kills and "SIGKILL" in text)):
        return "out_of_memory"
    return "error"


def of_death(exit_code: int | None, said: str = "", *, oom_kills: int = 0) -> FailureKind:
    """What the end of a process stands for.

    Args:
        exit_code: negative for a signal; ``None``: unknown.
        said: the end of what it printed.
        oom_kills: processes the system killed for want of memory during the run.
    """
    killed = oom_kills > 0 and exit_code == -signal.SIGKILL
    return "out_of_memory" if killed or _WORDS.search(said) else "died"


def describe(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is None:
        return "it does not answer"
    if exit_code >= 0:
        return f"exit status {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:  # real-time signals have no names
        return f"killed by signal {-exit_code}"
