"""Asks llama.cpp what it is, in a process of its own: run as a module, it prints one JSON line."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

from workbench.engine.native.library import build_flags, gpu_offload


def main() -> None:
    """Print version, GPU offload and build flags."""
    answer = {"version": version("llama-cpp-python"), "gpu_offload": gpu_offload(), "flags": build_flags()}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
