"""The trace of one request to an engine, made of what the engine has timed itself."""

from __future__ import annotations

from workbench.interfaces import Completion
from workbench.telemetry.trace import Trace, listened_to


def tell_request(completion: Completion) -> None:
    """Tell everybody who subscribed of a request that has ended: queue, prefill and decode. Nobody there: nothing.

    A trace of its own, of kind "request": within a turn the turn's own stages say what it waited for.
    """
    if not listened_to():
        return
    timings, began = completion.timings, completion.timings.queue_ms
    trace = Trace("request", model=completion.model, finish=completion.finish_reason)
    trace.place("queue", 0.0, timings.queue_ms)
    trace.place("prefill", began, timings.prefill_ms)
    trace.place("decode", began + timings.prefill_ms, timings.decode_ms)
    for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
        trace.count(name, getattr(timings, name))
    trace.end(total_ms=timings.total_ms)
