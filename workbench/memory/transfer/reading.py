"""A file → a checked document, or an error that names file, place and remedy. Changes nothing.

Stricter than :func:`json.loads`: NaN, infinity and a key given twice are refused, since two programs would read such a
file differently (RFC 8259, sections 4 and 6).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.errors import StoreCorrupt, UsageError
from workbench.memory.transfer.schema import KNOWN_KINDS, MODELS, ConversationFile, SessionFile
from workbench.memory.transfer.upgrades import Unreadable, upgraded

_MEANS = {
    "missing": "this key is missing.",
    "extra_forbidden": "this key is not known here.",
    "string_type": "a text is wanted here, not {value}.",
    "int_type": "a whole number is wanted here, not {value}.",
    "float_type": "a number is wanted here, not {value}.",
    "finite_number": "a finite number is wanted here, not {value}.",
    "list_type": "a list is wanted here, not {value}.",
    "dict_type": "an object is wanted here, not {value}.",
    "model_type": "an object is wanted here, not {value}.",
}


def read_file(path: Path | str) -> ConversationFile | SessionFile:
    """Read, upgrade and check a file.

    Raises:
        UsageError: there is no such file.
        StoreCorrupt: it is damaged, of an unknown format or of a newer version.
    """
    path = Path(path)
    value = _parse(path)
    try:
        document = upgraded(value, path)
        return MODELS[document["format"]].model_validate(document)
    except Unreadable as error:
        raise StoreCorrupt(path, str(error)) from error
    except ValidationError as error:
        raise StoreCorrupt(path, _explained(error)) from error


def _parse(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}. Name an exported file.") from error
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise StoreCorrupt(path, f"byte {error.start:,} is no UTF-8. Convert it, or export it again.") from error
    except json.JSONDecodeError as error:
        raise StoreCorrupt(
            path, f"line {error.lineno}, column {error.colno}: no JSON ({error.msg}). Export it again."
        ) from error
    except ValueError as error:
        raise StoreCorrupt(path, f"{error}. Correct it, or export it again.") from error
    except RecursionError as error:
        raise StoreCorrupt(path, "it is nested too deeply. Export it again.") from error


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is larger than a number can be")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return values


def _explained(error: ValidationError) -> str:
    """The first problem: its place, what is wrong, and what to do."""
    problem = error.errors(include_url=False)[0]
    value = problem.get("input")
    shown = repr(value)[:80] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    means = _MEANS.get(problem["type"])
    text = means.format(value=shown) if means else f"{problem['msg']}; it is {shown}."
    return f"{place_of(problem['loc'])}: {text} Correct it, or export it again."


def place_of(path: tuple[str | int, ...]) -> str:
    """``events[3].data.role``: as one would write it in a program. A union's tag is no key of the file."""
    tagged = len(path) > 2 and path[0] == "events" and path[2] in (*KNOWN_KINDS, "other")
    keys = (*path[:2], *path[3:]) if tagged else path
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.lstrip(".") or "the file"
