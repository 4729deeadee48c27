"""Errors and warnings of the child as JSON values, and as the same classes again in the parent.

Only classes of :mod:`workbench.errors` and Python's own exceptions are made here: a name is looked up, never imported.
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import errors
from workbench.errors import EngineError, WorkbenchError, WorkbenchWarning

_MEANING = {
    "MemoryError": "The engine's process has no memory left for this. Use a smaller n_ctx, n_batch or prompt, or raise "
    "memory_limit_bytes."
}
"""For Python's exceptions that usually come without words."""


def error_values(error: BaseException) -> dict[str, Any]:
    """An error's class, message and data."""
    data = {name: _plain(value) for name, value in vars(error).items() if not name.startswith("_")}
    return {"class": type(error).__name__, "message": _message(error), "data": data}


def error_from(values: Mapping[str, Any]) -> BaseException:
    """The error again; one whose class is known on neither side becomes an :class:`EngineError` with its words."""
    name, message = str(values["class"]), str(values["message"])
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, WorkbenchError)):
        kind = getattr(builtins, name, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, UnicodeError):
            return EngineError(f"{name}: {message}")
        return kind(message or _MEANING.get(name, ""))
    error: WorkbenchError = kind.__new__(kind)
    Exception.__init__(error, message)  # the class's own would compose the message anew
    vars(error).update({key: _rich(value) for key, value in values["data"].items()})
    return error


def reissue(category: str, text: str, stacklevel: int = 3) -> None:
    """Issue a warning of the child here, where the user's filters are."""
    kind = getattr(errors, category, WorkbenchWarning)
    known = isinstance(kind, type) and issubclass(kind, WorkbenchWarning)
    warnings.warn(text, kind if known else WorkbenchWarning, stacklevel=stacklevel)


def _message(error: BaseException) -> str:
    # str() of a KeyError is its repr
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _plain(value: Any) -> Any:
    """JSON values; what JSON has no word for is tagged."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, tuple | list):
        return {"tuple" if isinstance(value, tuple) else "list": [_plain(item) for item in value]}
    return str(value)


def _rich(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    [(tag, content)] = value.items()
    if tag == "path":
        return Path(content)
    items = [_rich(item) for item in content]
    return tuple(items) if tag == "tuple" else items
