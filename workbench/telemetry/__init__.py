"""What happened while something was done: stages on one clock, counts, alerts, and their way out.

Knows names, times and numbers; never who is being timed. Nothing is kept unless somebody opened a trace.
"""

from workbench.telemetry.alerts import Alert, Alerts, AlertSettings
from workbench.telemetry.export import OpenTelemetry, frame, to_parquet
from workbench.telemetry.requests import tell_request
from workbench.telemetry.trace import Span, Trace, count, current, label, span, subscribe, tracing

__all__ = [
    "Alert",
    "AlertSettings",
    "Alerts",
    "OpenTelemetry",
    "Span",
    "Trace",
    "count",
    "current",
    "frame",
    "label",
    "span",
    "subscribe",
    "tell_request",
    "to_parquet",
    "tracing",
]
