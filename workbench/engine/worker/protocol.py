"""What goes through the pipes: one JSON object a line, and the values of requests and answers as such objects.

Parent to child, one at a time: ``{"op": "load" | "submit" | "cancel" | "call" | "close", …}``. Child to parent, all
there is to say since the line before in one object: ``taken``, ``refused``, ``chunks``, ``ends``, ``fails``,
``replies``, ``errors``, ``warnings``, ``stats``, ``settings``, ``beat``, ``ready``, ``failed``; so a step of the engine
is one line, however many sequences it served.

Knows neither processes nor engines. JSON, because unpickling runs whatever the other side sends.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from workbench.errors import InvalidSettings
from workbench.interfaces import Completion, EngineStats, FloatArray, Receipt, Request, Sampling, Timings
from workbench.settings import EngineSettings

MAX_LINE_BYTES = 1 << 30
"""A longer line is no message; a prompt of a million tokens takes 8 MB."""

_encode = json.JSONEncoder(separators=(",", ":")).encode

Message = dict[str, Any]


class NotAMessageError(ValueError):
    """The other side sent something that is no message."""


def pack(message: Mapping[str, Any]) -> bytes:
    """A message as one line; ASCII, with lone surrogates, NaN and infinities as Python's ``json`` spells them."""
    return _encode(message).encode("ascii") + b"\n"


def unpack(line: bytes) -> Message:
    """A line as a message.

    Raises:
        NotAMessageError: it is none.
    """
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotAMessageError(f"{line[:80]!r}: {error}") from error
    if not isinstance(message, dict):
        raise NotAMessageError(f"{line[:80]!r} is no object")
    return message


def read_messages(pipe: IO[bytes], most_bytes: int = MAX_LINE_BYTES) -> Iterator[Message]:
    """The messages of a pipe until it ends. The beginning of one that its sender did not live to finish is dropped.

    Raises:
        NotAMessageError: what came is none.
    """
    while line := pipe.readline(most_bytes):
        if not line.endswith(b"\n"):
            if len(line) >= most_bytes:
                raise NotAMessageError(f"{line[:80]!r}… has no end after {most_bytes:,} bytes")
            return
        yield unpack(line)


# -- requests ---------------------------------------------------------------------------------------------------------


def request_values(request: Request) -> Message:
    """A request without its prompt; what has its default is left out.

    Raises:
        InvalidSettings: a JSON schema that is no JSON.
    """
    values: Message = {
        "max_tokens": request.max_tokens,
        "stop": list(request.stop),
        "priority": request.priority,
        "cache_prompt": request.cache_prompt,
        "grammar": request.grammar,
        "json_schema": plain_schema(request.json_schema),
        "sampling": _sampling_values(request.sampling),
    }
    # an empty schema is a constraint (any JSON value), an empty list of stops is none
    return {name: value for name, value in values.items() if value not in (None, []) and (value or name != "sampling")}


def request_from(values: Mapping[str, Any], prompt: str | list[int]) -> Request:
    """The request that :func:`request_values` took apart."""
    fields = dict(values)
    sampling = dict(fields.pop("sampling", {}))
    if "logit_bias" in sampling:
        sampling["logit_bias"] = {int(token): bias for token, bias in sampling["logit_bias"]}
    return Request(prompt=prompt, sampling=Sampling(**sampling), **fields)


def _sampling_values(sampling: Sampling) -> Message:
    values = dataclasses.asdict(sampling)
    standard = dataclasses.asdict(Sampling())
    changed = {name: value for name, value in values.items() if value != standard[name]}
    if "logit_bias" in changed:
        changed["logit_bias"] = list(changed["logit_bias"].items())  # JSON would make texts of the token ids
    return changed


def plain_schema(schema: Any) -> Any:
    """A JSON schema as JSON values; a pydantic model class gives its own.

    Raises:
        InvalidSettings: it cannot be written as JSON.
    """
    if schema is None or isinstance(schema, str):
        return schema
    describe = getattr(schema, "model_json_schema", None)
    try:
        plain = json.loads(_encode(schema if describe is None else describe()))
    except (TypeError, ValueError) as error:
        raise InvalidSettings(
            f"json_schema must be a mapping of JSON values, JSON text or a pydantic model class: {error}"
        ) from error
    return plain


# -- answers ----------------------------------------------------------------------------------------------------------


def completion_values(completion: Completion) -> Message:
    """A completion without its text and tokens, which the chunks have carried already."""
    return {
        "reason": completion.finish_reason,
        "timings": dataclasses.asdict(completion.timings),
        "receipt": None if completion.receipt is None else dataclasses.asdict(completion.receipt),
        "settings": completion.settings.to_dict(),
    }


def timings_from(values: Mapping[str, Any]) -> Timings:
    """Timings from their fields."""
    return Timings(**{**values, "itl_ms": tuple(values["itl_ms"])})


def receipt_from(values: Mapping[str, Any] | None) -> Receipt | None:
    """A receipt from its fields."""
    return None if values is None else Receipt(**values)


def settings_from(values: Mapping[str, Any]) -> EngineSettings:
    """Settings from their fields."""
    return EngineSettings.from_mapping(values)


def stats_from(values: Mapping[str, Any]) -> EngineStats:
    """Stats from their fields."""
    return EngineStats(**values)


def array_values(array: FloatArray) -> str:
    """float32 values, exactly: base64 of their little-endian bytes."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def array_from(text: str) -> FloatArray:
    """(n,) float32 from :func:`array_values`; writable."""
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
