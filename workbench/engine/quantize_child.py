"""The process that quantises one file: a JSON request on standard input, llama.cpp's words on standard error.

Exit status 0: the file is written. It may die of a signal instead; that is why it is a process.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any


def main() -> int:
    """Quantise, and say how it went by the exit status."""
    from llama_cpp import llama_cpp

    request = json.load(sys.stdin)
    say = llama_cpp.llama_log_callback(_say)  # a local name keeps it alive through the call below
    llama_cpp.llama_log_set(say, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    params = _params(llama_cpp, request)
    source, target = request["source"].encode(), request["target"].encode()
    return int(llama_cpp.llama_model_quantize(source, target, ctypes.byref(params)))


def _params(llama_cpp: Any, request: dict[str, Any]) -> Any:
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = request["ftype"]
    params.nthread = request["threads"]
    params.allow_requantize = request["allow_requantize"]
    params.keep_split = request["keep_split"]
    return params


def _say(level: int, text: bytes, _: Any) -> None:
    if level != 1:  # debug
        sys.stderr.write(text.decode("utf-8", "replace"))


if __name__ == "__main__":
    sys.exit(main())
