"""llama.cpp itself: loaded once, quietly, its log kept for error messages.

The low-level module is used, never ``llama_cpp.Llama``; the experimental ``llama_cpp_ext`` is not touched.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger("workbench.llama")

_DEBUG, _INFO, _WARN, _ERROR = 1, 2, 3, 4  # enum ggml_log_level
_LEVELS = {_INFO: logging.DEBUG, _WARN: logging.INFO, _ERROR: logging.WARNING}


class LogTail:
    """The last lines llama.cpp said, for the messages of errors and for settings it chose itself."""

    def __init__(self, size: int = 200) -> None:
        self._lines: deque[str] = deque(maxlen=size)
        self._said = 0

    def add(self, level: int, text: bytes) -> None:
        """Called by llama.cpp, on any thread. Debug lines are dropped: some builds print thousands a context."""
        if level == _DEBUG:
            return
        line = text.decode("utf-8", "replace").rstrip()
        if line:
            self._lines.append(line)
            self._said += 1
            log.log(_LEVELS.get(level, logging.DEBUG), "%s", line)

    @contextmanager
    def capture(self) -> Iterator[list[str]]:
        """The lines said inside the block; filled when it ends, however it ends."""
        lines: list[str] = []
        before = self._said
        try:
            yield lines
        finally:
            new = min(self._said - before, len(self._lines))
            lines.extend(list(self._lines)[len(self._lines) - new :])


log_tail = LogTail()


@functools.cache
def library() -> Any:
    """The bindings, ``llama_cpp.llama_cpp``, with the back-end initialised and the log redirected."""
    from llama_cpp import llama_cpp

    callback = llama_cpp.llama_log_callback(lambda level, text, _: log_tail.add(level, text))
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    _kept.append(callback)
    llama_cpp.llama_backend_init()
    return llama_cpp


_kept: list[Any] = []  # ctypes holds no reference to a callback; a collected one crashes the process


def gpu_offload() -> bool:
    """Whether this build of llama.cpp can use a GPU at all."""
    return bool(library().llama_supports_gpu_offload())


def library_version() -> str:
    """Version of the bindings, and with it of the llama.cpp they carry."""
    import llama_cpp

    return str(llama_cpp.__version__)


def build_flags() -> str:
    """What llama.cpp was compiled with and which instructions it uses, in its own words."""
    return str(library().llama_print_system_info().decode())


GGML_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
"""``enum ggml_type`` of the types a KV cache can have (`ggml/include/ggml.h`)."""
