"""Traces leave as a table, as a Parquet file and as OpenTelemetry spans, with the same figures."""

import sys

import pandas as pd
import pytest

from workbench.errors import MissingExtra
from workbench.telemetry import OpenTelemetry, Trace, frame, span, subscribe, to_parquet, tracing


@pytest.fixture
def trace():
    made = Trace("turn", session="Ann", turn=3, reason=("a", "b"), nothing=None)
    with tracing(made), span("recall", k=10), span("database"):
        pass
    made.place("prefill", 2.0, 40.0)
    made.count("prompt_tokens", 120)
    made.end(total_ms=50.0)
    return made


def test_one_row_a_trace(trace):
    other = Trace("request")
    other.end(total_ms=5.0)
    table = frame([trace, other])
    first, second = table.iloc[0], table.iloc[1]
    assert (first["total_ms"], first["prefill_ms"], first["prompt_tokens"], first["label_turn"]) == (50, 40, 120, 3)
    assert first["recall.database_ms"] <= first["recall_ms"]
    assert first["label_reason"] == "('a', 'b')"
    assert "label_nothing" not in table
    assert pd.isna(second["prefill_ms"]), "what a trace does not have is missing, not 0"
    assert first["at"].tzinfo is not None
    assert frame([]).empty


def test_parquet_gives_the_same_table_back(trace, tmp_path):
    path = to_parquet([trace], tmp_path / "traces.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame([trace]), check_dtype=False)
    import pyarrow.parquet as pq

    assert pq.read_schema(path).metadata[b"workbench.trace"] == b"1"
    assert [file.name for file in tmp_path.iterdir()] == ["traces.parquet"], "nothing half-written is left"


def test_no_traces_are_a_file_too(tmp_path):
    assert pd.read_parquet(to_parquet([], tmp_path / "none.parquet")).empty


def test_opentelemetry_gets_stages_as_children(trace):
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with subscribe(OpenTelemetry(provider)):
        again = Trace("turn", session="Ann")
        with tracing(again), span("recall"), span("database"):
            pass
        again.count("prompt_tokens", 120)
        again.end()
    spans = {one.name: one for one in exporter.get_finished_spans()}
    root = spans["turn"]
    assert root.attributes["workbench.session"] == "Ann"
    assert root.attributes["workbench.prompt_tokens"] == 120
    assert spans["recall"].parent.span_id == root.context.span_id
    assert spans["database"].parent.span_id == spans["recall"].context.span_id
    assert root.start_time <= spans["recall"].start_time <= spans["recall"].end_time
    assert (root.end_time - root.start_time) / 1e6 == pytest.approx(again.total_ms, abs=0.01)
    provider.shutdown()


def test_without_opentelemetry_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtra, match=r"workbench\[otel\]"):
        OpenTelemetry()
