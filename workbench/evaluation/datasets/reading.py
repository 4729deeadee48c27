"""Files of data sets, read so that whatever is wrong is told with its file and place.

Knows JSON, folders and :func:`workbench.settings.data_dir`; never what a data set means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.errors import StoreCorrupt, UsageError
from workbench.settings import data_dir

_NOUNS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


def data_folder(name: str) -> Path:
    """A data set's folder below ``WORKBENCH_DATA``.

    Raises:
        UsageError: WORKBENCH_DATA is not set, or has no such folder.
    """
    root = data_dir()
    if root is None:
        raise UsageError(f"WORKBENCH_DATA is not set. Set it to a folder that holds {name}/, or use small().")
    if not (root / name).is_dir():
        raise UsageError(f"There is no {name}/ in {root} (WORKBENCH_DATA). Put the data there, or use small().")
    return root / name


def read_file(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        UsageError: it is not there, or may not be read.
        StoreCorrupt: it is no UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}. Put it there, or use small().") from error
    except UnicodeDecodeError as error:
        raise StoreCorrupt(path, f"byte {error.start:,} is no UTF-8. Get the file again.") from error


def read_json(path: Path) -> Node:
    """The value a JSON file holds.

    Raises:
        UsageError: it is not there, or may not be read.
        StoreCorrupt: it is no JSON.
    """
    try:
        return Node(path, "", json.loads(read_file(path)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise StoreCorrupt(path, f"no JSON: {error}. Get the file again.") from error


def read_json_lines(path: Path) -> Iterator[Node]:
    """The values of a JSON Lines file (https://jsonlines.org); empty lines are passed over.

    Raises:
        UsageError: it is not there, or may not be read.
        StoreCorrupt: a line is no JSON; names it.
    """
    for number, line in enumerate(read_file(path).split("\n"), 1):
        if line.strip():
            try:
                yield Node(path, f"line {number}", json.loads(line))
            except (json.JSONDecodeError, RecursionError) as error:
                raise StoreCorrupt(path, f"line {number}: no JSON: {error}. Get the file again.") from error


class Node:
    """A JSON value that knows its place; asked for what it must be, it answers or raises ``StoreCorrupt``.

    Attributes:
        value: as ``json.loads`` gives it.
        place: like ``[2].conversation.session_1[0].text``.
    """

    def __init__(self, path: Path, place: str, value: Any) -> None:
        self.path, self.place, self.value = path, place, value

    def wrong(self, reason: str) -> StoreCorrupt:
        """What to raise when the value cannot be used."""
        return StoreCorrupt(self.path, f"{self.place or 'the top'} {reason}.")

    def __contains__(self, name: str) -> bool:
        """Whether an object has a field that is not null."""
        return self._as(dict).get(name) is not None

    def __getitem__(self, name: str) -> Node:
        """A field that must be there."""
        fields = self._as(dict)
        if name not in fields:
            raise self.wrong(f"has no {name!r}")
        return Node(self.path, f"{self.place}.{name}".lstrip("."), fields[name])

    def names(self) -> list[str]:
        """Names of an object's fields."""
        return list(self._as(dict))

    def __iter__(self) -> Iterator[Node]:
        """The items of a list."""
        for number, item in enumerate(self._as(list)):
            yield Node(self.path, f"{self.place}[{number}]", item)

    def text(self, *, may_be_empty: bool = False) -> str:
        """A text."""
        found: str = self._as(str)
        if not may_be_empty and not found.strip():
            raise self.wrong("must not be empty")
        return found

    def whole(self, low: int, high: int) -> int:
        """A whole number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.wrong(f"must be a whole number from {low} to {high}, not {self.value!r}")
        return self.value

    def number(self, low: float, high: float) -> float:
        """A number within bounds."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not low <= self.value <= high:
            raise self.wrong(f"must be a number from {low:g} to {high:g}, not {self.value!r}")
        return float(self.value)

    def moment(self) -> float:
        """A date and time in ISO 8601, in seconds since 1970; without an offset it is UTC."""
        try:
            found = datetime.fromisoformat(self.text())
        except ValueError as error:
            raise self.wrong(f"must be a time like 2024-05-31T18:30, not {self.value!r}") from error
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()

    def _as(self, kind: type) -> Any:
        if not isinstance(self.value, kind):
            raise self.wrong(f"must be {_NOUNS[kind]}, not {_NOUNS.get(type(self.value), 'null')}")
        return self.value


def parse_number(text: str, low: float, high: float) -> float | None:
    """A number within bounds; ``None`` if it is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and low <= found <= high else None
