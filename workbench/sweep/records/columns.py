"""Attempts as typed columns of an Arrow table, without loss: what has no type of its own is JSON beside it.

A parameter gets a column of its own type if all its values have one, else their JSON; all parameters stand once more,
exact, in the JSON column ``parameters``. Column names differ by more than upper and lower case: SQL does not see that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from workbench.sweep.records.attempt_file import Document
from workbench.sweep.records.machine import MACHINE_COLUMNS, machine_columns

if TYPE_CHECKING:
    import pyarrow as pa

FACTS = (
    *("cell", "label", "block", "order", "arm", "host", "started_at", "elapsed_s"),
    *("phase", *MACHINE_COLUMNS),
    *("attempt", "status", "reason", "error", "finished_at", "counts", "planned", "git_commit"),
)
"""Columns every table of records has; ``counts``: it is its cell's; ``planned``: the sweep asks for its cell now."""

JSON_COLUMNS = ("parameters", "varied", "requested", "effective", "info", "environment")
"""Columns of JSON text. ``requested`` and ``effective`` are settings: what was asked for, what became of it."""

_TEXT = ("cell", "label", "arm", "host", "phase", "status", "reason", "error", "git_commit")
_WHOLE = ("block", "order", "attempt")
_TIME = ("started_at", "finished_at")
_TRUTH = ("counts", "planned")

Kind = Literal["parameter", "metric"]


@dataclass(frozen=True, slots=True)
class Column:
    """Where a parameter or a metric stands in the table, and whether as JSON text."""

    name: str
    kind: Kind
    of: str
    json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One attempt of a table: its document, and what only all of them together tell."""

    document: Document
    counts: bool
    planned: bool | None


def as_table(lines: Sequence[Line]) -> tuple[pa.Table, list[Column]]:
    """One row a line, and which column is which parameter and metric."""
    import pyarrow as pa

    facts = [_facts(line) for line in lines]
    arrays = {name: pa.array([fact[name] for fact in facts], _type(name)) for name in FACTS}
    named = _Names([*FACTS, *JSON_COLUMNS])
    columns = []
    kinds: tuple[tuple[Kind, Callable[[Document], Mapping[str, Any]]], ...]
    kinds = (("parameter", _parameters), ("metric", _metrics))
    for kind, values_of in kinds:
        rows = [values_of(line.document) for line in lines]
        for name in dict.fromkeys(name for row in rows for name in row):
            array, as_json = _typed([row.get(name, _ABSENT) for row in rows], kind)
            column = Column(named.take(name, kind), kind, name, as_json)
            columns.append(column)
            arrays[column.name] = array
    for name in JSON_COLUMNS:
        found = (_SOURCES[name](line.document) for line in lines)
        arrays[name] = pa.array([None if value is None else _as_json(value) for value in found], pa.string())
    return pa.table(arrays), columns


class _Names:
    """Hands out column names: the plain one, or, if it is taken, ``metric.speed``."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.casefold() for name in taken}

    def take(self, name: str, kind: str) -> str:
        chosen, number = name, 1
        while chosen.casefold() in self._taken:
            chosen = f"{kind}.{name}" if number == 1 else f"{kind}.{name}.{number}"
            number += 1
        self._taken.add(chosen.casefold())
        return chosen


class _Absent:
    """The value of a parameter an attempt was not given; ``None`` is one it may be given."""


_ABSENT = _Absent()


def _typed(values: Sequence[Any], kind: str) -> tuple[pa.Array, bool]:
    """The values as one Arrow array, and whether as JSON text. Metrics are numbers; a gap is null."""
    import pyarrow as pa

    plain = [None if value is _ABSENT else value for value in values]
    if kind == "metric":
        return pa.array([None if value is None else float(value) for value in plain], pa.float64()), False
    given = [value for value in plain if value is not None]
    for fits, type_ in ((_is_truth, pa.bool_()), (_is_whole, pa.int64()), (_is_number, pa.float64()), (_is_text, None)):
        if all(fits(value) for value in given):
            return pa.array(plain if type_ else [_clean(value) for value in plain], type_ or pa.string()), False
    return pa.array([None if value is _ABSENT else _as_json(value) for value in values], pa.string()), True


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    """1 and 1.5 make a column of numbers; a whole number that a float cannot hold makes one of JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= 2**53


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _facts(line: Line) -> dict[str, Any]:
    document = line.document
    environment, record = document["environment"] or {}, document["record"] or {}
    return {
        **{name: _clean(document[name]) for name in _TEXT if name in document},
        **{name: document[name] for name in (*_WHOLE, "elapsed_s")},
        **{name: document[name] and datetime.fromisoformat(document[name]) for name in _TIME},
        **machine_columns(environment, record.get("series", {})),
        "counts": line.counts,
        "planned": line.planned,
        "git_commit": (environment.get("git") or {}).get("commit"),
    }


def _clean(text: str | None) -> str | None:
    """Text that UTF-8 can hold: a lone surrogate (bytes of another encoding) becomes its escape."""
    return text if text is None else text.encode("utf-8", "backslashreplace").decode()


def _type(name: str) -> pa.DataType:
    import pyarrow as pa

    types = {
        **dict.fromkeys(_TEXT, pa.string()),
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_TIME, pa.timestamp("us", tz="UTC")),
        **dict.fromkeys(_TRUTH, pa.bool_()),
    }
    return types.get(name, pa.float64())


def _parameters(document: Document) -> Mapping[str, Any]:
    # a workload has a name even where the notebook is not told it
    return {**document["varied"], **document["parameters"]}


def _metrics(document: Document) -> Mapping[str, Any]:
    return dict((document["record"] or {}).get("metrics", {}))


def _info(document: Document) -> Mapping[str, Any] | None:
    return None if document["record"] is None else dict(document["record"].get("info", {}))


_SOURCES: Mapping[str, Callable[[Document], Any]] = {
    "parameters": lambda document: document["parameters"],
    "varied": lambda document: document["varied"],
    # a notebook that says nothing of settings was asked for its parameters
    "requested": lambda document: (_info(document) or {}).get("requested", document["parameters"]),
    "effective": lambda document: (_info(document) or {}).get("effective"),
    "info": _info,
    "environment": lambda document: document["environment"],
}


def _as_json(value: Any) -> str | None:
    return _clean(json.dumps(value, ensure_ascii=False))
