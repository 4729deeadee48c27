"""What goes through the pipes: a JSON object and, behind it, bytes (vectors as little-endian float32).

JSON, because unpickling runs whatever the other side sends.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

_LENGTHS = struct.Struct(">II")


def write_frame(pipe: IO[bytes], head: Mapping[str, Any], body: bytes = b"") -> None:
    """Send one frame.

    Raises:
        OSError: nobody reads any more.
    """
    told = json.dumps(head, separators=(",", ":")).encode("ascii")
    pipe.write(_LENGTHS.pack(len(told), len(body)) + told + body)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; ``None``: the other side is gone, in the middle of one or not."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head, body = _LENGTHS.unpack(lengths)
    told, rest = pipe.read(head), pipe.read(body)
    if len(told) < head or len(rest) < body:
        return None
    return json.loads(told), rest
