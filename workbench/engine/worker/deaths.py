"""Why a worker process ended, in words that help. Knows exit codes and last words, nothing else."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.errors import WorkerDied

_SMALLER = "Use a smaller n_ctx, n_batch or model, or a quantised KV cache (type_k, type_v)."

HINTS = {
    "SIGABRT": "llama.cpp gave up on an assertion: the model file is damaged, hostile, or of a kind this version does "
    "not support. Check its SHA-256, download it again, or update llama-cpp-python.",
    "SIGBUS": "The model file was cut or replaced while it was in use. Restore it; use_mmap=False reads it as a whole "
    "instead.",
    "SIGSEGV": "llama.cpp touched memory that is not its own: a damaged model file, or a bug. Check its SHA-256; "
    "repack=False or flash_attn=False take other code.",
    "SIGKILL": f"Probably the system's out-of-memory killer, or somebody's kill -9. {_SMALLER}",
    "SIGILL": "This llama.cpp build uses instructions the CPU lacks. Build llama-cpp-python on this machine.",
    "SIGFPE": "llama.cpp divided by zero: a damaged model file, or a bug. Check the file's SHA-256.",
    "SIGTERM": "Somebody asked it to end.",
}

_TELLING = (
    re.compile(r"GGML_ASSERT|GGML_ABORT|terminate called|what\(\):|CUDA error"),
    re.compile(r"^(?!Fatal Python).*(Error\b|failed|unable to)", re.IGNORECASE),
    re.compile(r"^Fatal Python error"),
    re.compile(r"."),
)
"""Lines worth quoting, the most telling kind first: llama.cpp's own, errors, the fault handler's headline, any."""

_FOLDERS = re.compile(r"\S*/(?=[\w.-]+\.(?:c|cpp|cu|h|py)\b)")
_OUT_OF_MEMORY = re.compile(
    r"bad_alloc|MemoryError|(?:out of|insufficient) memory|"
    r"cannot allocate|failed to allocate|unable to allocate|can't start new thread",
    re.IGNORECASE,
)
_QUOTE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended.

    Attributes:
        hint: what probably happened, and the remedy.
        exitcode: as in :class:`WorkerDied`.
        signal: as in :class:`WorkerDied`.
        would_recur: the same work would end the next process the same way.
    """

    hint: str
    exitcode: int | None
    signal: str | None = None
    would_recur: bool = False

    def error(self, partial: str = "") -> WorkerDied:
        """As an error, for a request that had come to ``partial``."""
        return WorkerDied(self.hint, exitcode=self.exitcode, signal=self.signal, partial=partial)


def explain(exitcode: int, said: Sequence[str], *, memory_limit_bytes: int | None = None) -> Death:
    """A death nobody here has caused.

    Args:
        exitcode: as :class:`subprocess.Popen` gives it: negative for a signal.
        said: the last lines of its standard error, oldest first.
        memory_limit_bytes: the limit it ran under.
    """
    name = signal_name(exitcode)
    quoted = quote(said)
    short_of_memory = any(_OUT_OF_MEMORY.search(line) for line in said)
    if short_of_memory:
        hint = f"It ran out of memory. {_SMALLER}" if memory_limit_bytes is None else over_limit(memory_limit_bytes)
    elif name is not None:
        hint = HINTS.get(name, "It was ended from outside.")
    elif exitcode == 0:
        hint = "It ended by itself in the middle of its work."
    else:
        hint = "It could not go on."
    return Death(f"{hint}{quoted}", exitcode, name, would_recur=short_of_memory)


def no_answer(what: str) -> Death:
    """It was killed because it hung."""
    return Death(f"{what} It was stopped; the next request starts a new one.", None)


def over_limit(memory_limit_bytes: int) -> str:
    """It wanted more memory than it may have."""
    return f"It came to its memory limit of {memory_limit_bytes / 2**20:,.0f} MiB. Raise memory_limit_bytes. {_SMALLER}"


def signal_name(exitcode: int) -> str | None:
    """The name of the signal in a negative exit code."""
    if exitcode >= 0:
        return None
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"


def quote(said: Sequence[str]) -> str:
    """Its last words: the line that tells most, or the last one; empty if it said nothing."""
    lines = [_FOLDERS.sub("", line.strip()) for line in said if line.strip()]
    for kind in _TELLING:
        if telling := [line for line in lines if kind.search(line)]:
            return f" Its last words: {telling[-1][:_QUOTE_CHARACTERS]}"
    return ""
