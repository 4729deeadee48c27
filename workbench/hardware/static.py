"""Everything about this machine that does not change while an experiment runs, as plain JSON values for records."""

from __future__ import annotations

import dataclasses
import platform
import socket
from typing import Any

from workbench.hardware.gpu import gpus
from workbench.hardware.host import cores, cpu_features, cpu_name, ram


def snapshot() -> dict[str, Any]:
    """Host, operating system, CPU, memory and GPUs of this machine."""
    found = gpus()
    return {
        "host": socket.gethostname(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": {"name": cpu_name(), "features": sorted(cpu_features()), **dataclasses.asdict(cores())},
        "ram_total_bytes": ram().total_bytes,
        "gpus": [dataclasses.asdict(gpu) for gpu in found],
        "driver": found[0].driver if found else None,
    }
