"""What the machine was like during a run, as columns: what the run's monitor saw, else what was read at its end.

Clocks, power and temperatures fall within a second of the work's end, so a mean over the run's own samples comes first.
Of several GPUs the highest reading counts. None of these is a metric.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MACHINE_COLUMNS = (
    "load_1min",
    "cpu_mhz",
    "cpu_temperature_c",
    "gpu_temperature_c",
    "gpu_sm_clock_mhz",
    "gpu_power_watts",
)

_READINGS = {"gpu_temperature_c": "temperature_c", "gpu_sm_clock_mhz": "sm_clock_mhz", "gpu_power_watts": "power_w"}
"""Column → what NVML's reading and, behind ``gpu0_``, the monitor's series call it."""

Series = Mapping[str, Sequence[Sequence[float | None]]]


def machine_columns(environment: Mapping[str, Any], series: Series) -> dict[str, float | None]:
    """One value a column of :data:`MACHINE_COLUMNS`; ``None`` where nothing could be read.

    Args:
        environment: as :func:`workbench.sweep.records.environment.capture` made it.
        series: of the run's record.
    """
    return {
        "load_1min": environment.get("load_1min"),
        "cpu_mhz": environment.get("cpu_mhz"),
        "cpu_temperature_c": _first(_mean(series.get("cpu_temperature_c", ())), environment.get("cpu_temperature_c")),
        **{column: _of_gpus(reading, environment, series) for column, reading in _READINGS.items()},
    }


def _of_gpus(reading: str, environment: Mapping[str, Any], series: Series) -> float | None:
    sampled = (_mean(values) for name, values in series.items() if re.fullmatch(rf"gpu\d+_{reading}", name))
    at_the_end = (gpu.get(reading) for gpu in environment.get("gpu_readings") or ())
    return _first(_highest(sampled), _highest(at_the_end))


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(samples: Sequence[Sequence[float | None]]) -> float | None:
    values = [value for _, value in samples if value is not None]
    return statistics.fmean(values) if values else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
