"""Server-sent events as bytes, plain or as awkward as the standard allows (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import json
from typing import Any

from workbench.testing.endpoint.faults import Met

DONE = b"data: [DONE]\n\n"


def encoded(event: dict[str, Any], met: Met) -> bytes:
    """One event, in the manner the faults ask for: comments before it, several data lines, CRLF."""
    if "multiline" in met:  # a line break is white space in JSON, wherever one may stand
        lines = json.dumps(event, ensure_ascii=False, indent=1).splitlines()
        text = "".join(f"data: {line}\n" for line in lines) + "\n"
    else:
        text = f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n"
    return manner(text.encode(), met)


def manner(event: bytes, met: Met) -> bytes:
    """An event's bytes with comments before it and its line ends as ordered."""
    if "comments" in met:
        event = b": keep-alive\n\n" + event
    return event.replace(b"\n", b"\r\n") if "crlf" in met else event


def cut_in_character(event: bytes) -> int | None:
    """Where to cut within a character of several bytes; ``None``: all are single bytes."""
    return next((place + 1 for place, byte in enumerate(event) if byte >= 0xC0), None)
