"""``record(...)``: how results leave a notebook.

Inside a sweep the runner names a file in ``WORKBENCH_RECORD`` and reads it when the run is over; outside, the record is
simply returned, so that the same notebook works on its own. Knows neither cells nor the ledger.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.interfaces import Record
from workbench.storage import read_json, write_json
from workbench.storage.redaction import Redaction

RECORD_VARIABLE = "WORKBENCH_RECORD"
"""Environment variable with the path of the record of the run in progress."""

Series = Mapping[str, Sequence[tuple[float, float | None]]]


def record(
    metrics: Mapping[str, float | None] | None = None,
    *,
    info: Mapping[str, Any] | None = None,
    series: Series | None = None,
    **more_metrics: float | None,
) -> Record:
    """Keep what was measured. May be called several times in one run; the records add up.

    Args:
        metrics: name with unit → value. ``None`` and values that are not finite are kept as gaps, never as 0.
        info: what is not a number (effective settings, hashes, texts): JSON values. ``info["definitions"]``, a mapping
            of metric → formula in words, travels with the results.
        series: name → samples over time, (seconds since the start, value) pairs.
        more_metrics: metrics as keyword arguments.

    Returns:
        What has been recorded in this run so far.

    Raises:
        UsageError: a value is not a number, or a metric was recorded before with another value.
    """
    new = Record(
        metrics={name: _number(name, value) for name, value in {**(metrics or {}), **more_metrics}.items()},
        info=Redaction().within(_plain(info or {})),
        series={name: _samples(name, values) for name, values in (series or {}).items()},
    )
    target = os.environ.get(RECORD_VARIABLE)
    if not target:
        return new
    path = Path(target)
    merged = _merge(load_record(path), new) if path.exists() else new
    write_json(path, to_dict(merged))
    return merged


def load_record(path: Path) -> Record:
    """Read a record back.

    Raises:
        StoreCorrupt: it is not JSON.
    """
    return from_dict(read_json(path))


def to_dict(recorded: Record) -> dict[str, Any]:
    """As JSON values."""
    return {"metrics": dict(recorded.metrics), "info": dict(recorded.info), "series": dict(recorded.series)}


def from_dict(value: Mapping[str, Any]) -> Record:
    """From what :func:`to_dict` made."""
    series = {name: [(float(at), read) for at, read in samples] for name, samples in value["series"].items()}
    return Record(metrics=value["metrics"], info=value["info"], series=series)


def _merge(old: Record, new: Record) -> Record:
    for name, value in new.metrics.items():
        if name in old.metrics and old.metrics[name] != value:
            raise UsageError(
                f"The metric {name!r} was recorded as {old.metrics[name]!r} before and now as {value!r}. "
                "One run has one value: record the summary, or use another name."
            )
    return Record(
        metrics={**old.metrics, **new.metrics},
        info={**old.info, **new.info},
        series={**old.series, **new.series},
    )


def _number(name: str, value: object) -> float | None:
    """A finite number or a gap. Numpy's scalars are numbers; booleans are not, they would average silently."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise UsageError(
            f"The metric {name!r} is {value!r}, not a number. Put texts and settings into record(info={{...}})."
        )
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if math.isfinite(value) else None


def _samples(name: str, values: Iterable[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    samples = []
    for at, value in values:
        second = _number(name, at)
        if second is None:
            raise UsageError(f"The series {name!r} has a sample without a time. Give (seconds, value) pairs.")
        samples.append((second, _number(name, value)))
    return samples


def _plain(value: Any) -> Any:
    """As JSON can keep it: mappings, lists, texts, numbers; anything else by its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, numbers.Real):
        return _number("info", value)
    return str(value)
