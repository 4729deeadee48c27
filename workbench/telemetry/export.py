"""Traces on their way out: a table, a Parquet file, a collector that speaks OpenTelemetry."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import MissingExtra
from workbench.storage import write_bytes
from workbench.telemetry.trace import Span, Trace

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "1"
"""Version of the table; it stands in the Parquet file's metadata as ``workbench.trace``."""


def frame(traces: Iterable[Trace]) -> pd.DataFrame:
    """One row a trace.

    Columns: ``id``, ``kind``, ``at`` (UTC), ``total_ms``; each stage as ``<stage>_ms`` and each part of a stage as
    ``<stage>.<part>_ms``; the counts by name; the labels as ``label_<name>``. What a trace does not have is missing,
    never 0.
    """
    import pandas as pd

    table = pd.DataFrame([_row(trace) for trace in traces])
    if not table.empty:
        table["at"] = pd.to_datetime(table["at"], unit="s", utc=True)
    return table


def to_parquet(traces: Iterable[Trace], path: Path | str) -> Path:
    """Write :func:`frame` to a Parquet file, whole or not at all.

    Raises:
        StorageFull: no room; what was there before is intact.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame(traces), preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"workbench.trace": SCHEMA.encode()})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_bytes(Path(path), buffer.getvalue())
    return Path(path)


class OpenTelemetry:
    """Hands traces to OpenTelemetry as they end: ``with subscribe(OpenTelemetry()): …``.

    A trace is a root span, each stage a child of it; counts and labels are attributes named ``workbench.<name>``.

    Args:
        provider: a ``TracerProvider``; ``None``: the global one, as an application has set it up.

    Raises:
        MissingExtra: opentelemetry is not installed.
    """

    def __init__(self, provider: Any = None) -> None:
        try:
            from opentelemetry import trace as otel
        except ImportError as error:
            raise MissingExtra("opentelemetry-sdk", "otel") from error
        self._otel = otel
        self._tracer = (provider or otel.get_tracer_provider()).get_tracer("workbench")

    def __call__(self, trace: Trace) -> None:
        """Send one trace."""
        began = int(1e9 * trace.started_at)
        root = self._tracer.start_span(trace.kind, start_time=began, attributes=_attributes(trace))
        inside = self._otel.set_span_in_context(root)
        outer: dict[str, Any] = {}
        for one in trace.spans:
            context = outer.get(one.within or "", inside)
            child = self._tracer.start_span(
                one.name, context, start_time=_at(began, one.start_ms), attributes=_plain(one.fields)
            )
            outer[one.name] = self._otel.set_span_in_context(child)
            child.end(_at(began, one.start_ms + one.elapsed_ms))
        root.end(_at(began, trace.total_ms))


def _row(trace: Trace) -> dict[str, Any]:
    row: dict[str, Any] = {"id": trace.id, "kind": trace.kind, "at": trace.started_at, "total_ms": trace.total_ms}
    row |= {f"{stage}_ms": took for stage, took in trace.stages.items()}
    row |= {f"{part}_ms": took for part, took in _parts(trace.spans).items()}
    row |= trace.counts
    return row | {f"label_{name}": value for name, value in _plain(trace.labels).items()}


def _parts(spans: Iterable[Span]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for one in spans:
        if one.within is not None:
            name = f"{one.within}.{one.name}"
            sums[name] = sums.get(name, 0.0) + one.elapsed_ms
    return sums


def _at(began_ns: int, after_ms: float) -> int:
    return began_ns + int(1e6 * after_ms)


def _attributes(trace: Trace) -> dict[str, Any]:
    counts = {f"workbench.{name}": value for name, value in trace.counts.items()}
    return (
        counts
        | {f"workbench.{name}": value for name, value in _plain(trace.labels).items()}
        | {"workbench.id": trace.id}
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """What a table and an attribute can hold: text, numbers and switches; all else as text, nothing left out."""
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in values.items()
        if value is not None
    }
