"""All attempts of a sweep in two Parquet files: ``records.parquet``, a row an attempt, and ``samples.parquet``.

Compressed with zstd. What the columns mean travels in the files' own metadata (key ``workbench``), with the stamp of
the ledger they were made from: a file whose stamp is not the ledger's is never read, whatever its date.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import SweepError
from workbench.storage import replacing
from workbench.sweep.records.columns import Column, Line, as_table
from workbench.sweep.records.migrations import SCHEMA_VERSION, refuse_newer
from workbench.sweep.records.samples import flat

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS = "records.parquet"
SAMPLES = "samples.parquet"
SERIES_FACTS = ("cell", "attempt", "label", "phase", "block")

_KEY = b"workbench"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the files say about themselves.

    Attributes:
        name: the sweep's name.
        title: for people.
        objectives: metrics that decide; runs are searched for outliers in them.
        parameters: those the sweep varies, in its order; none: not known.
        definitions: metric → its formula in words.
        columns: which column is which parameter or metric.
        ledger: stamp of the ledger; ``None``: there was none.
        plan: stamp of what the sweep asked for; ``None``: not known.
        schema_version: of the files.
    """

    name: str = ""
    title: str = ""
    objectives: Sequence[str] = ()
    parameters: Sequence[str] = ()
    definitions: dict[str, str] = dataclasses.field(default_factory=dict)
    columns: Sequence[Column] = ()
    ledger: str | None = None
    plan: str | None = None
    schema_version: int = SCHEMA_VERSION

    def of(self, kind: str) -> list[Column]:
        """The columns of parameters, or of metrics."""
        return [column for column in self.columns if column.kind == kind]


@dataclass(frozen=True, slots=True)
class Compact:
    """The two tables and what is to be said about them; the samples, if they lie in a file, are read when needed."""

    records: pa.Table
    samples: pa.Table | Path
    about: About

    def whole_samples(self) -> pa.Table:
        """The samples, read."""
        if not isinstance(self.samples, Path):
            return self.samples
        import pyarrow.parquet as pq

        return pq.read_table(self.samples)


def compact(lines: Sequence[Line], about: About) -> Compact:
    """Tables in memory, from whatever there is."""
    records, columns = as_table(lines)
    about = dataclasses.replace(about, columns=columns, definitions=_definitions(lines))
    return Compact(records, _samples(lines), about)


def write(folder: Path, tables: Compact) -> None:
    """Both files, each old or new but never half.

    Raises:
        StorageFull: no room; the old files are as they were.
    """
    write_table(folder / SAMPLES, tables.whole_samples(), tables.about)
    write_table(folder / RECORDS, tables.records, tables.about)


def write_table(path: Path, table: pa.Table, about: About) -> None:
    """One table and what is to be said about it, atomically."""
    import pyarrow.parquet as pq

    note = json.dumps(dataclasses.asdict(about))
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_KEY: note.encode()}), temporary, compression="zstd")


def read_about(path: Path) -> About | None:
    """What a Parquet file says about itself; ``None`` if there is none.

    Raises:
        SweepError: it is no table of records, or a newer workbench wrote it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        note = pq.read_schema(path).metadata or {}
        found: dict[str, Any] = json.loads(note[_KEY])
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise SweepError(
            f"{path} is not a table of records, or it is damaged. Remove it; `workbench sweep export` writes one."
        ) from error
    refuse_newer(found.get("schema_version"), path)
    return About(**{**found, "columns": [Column(**column) for column in found["columns"]]})


def read(records: Path, samples: Path | None, about: About) -> Compact:
    """The tables as they lie in files; without a file of samples there are none."""
    import pyarrow.parquet as pq

    return Compact(pq.read_table(records), _samples([]) if samples is None else samples, about)


def kept(folder: Path) -> set[str]:
    """Names of the attempts' folders that ``records.parquet`` has a row of."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / RECORDS, columns=["cell", "attempt"]).to_pylist()
    return {f"{row['cell']}-{row['attempt']}" for row in rows}


def _definitions(lines: Sequence[Line]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        info = (line.document["record"] or {}).get("info", {})
        definitions = info.get("definitions")
        if isinstance(definitions, dict):
            found.update({str(name): str(text) for name, text in definitions.items()})
    return found


def _samples(lines: Sequence[Line]) -> pa.Table:
    """A row a sample of any series of any attempt: ``at_s`` on the attempt's own clock, a gap null."""
    import pyarrow as pa

    series = [
        {**{name: line.document[name] for name in SERIES_FACTS}, "series": name, "samples": values}
        for line in lines
        for name, values in ((line.document["record"] or {}).get("series") or {}).items()
    ]
    which, at_s, value = flat([one["samples"] for one in series])
    text = pa.dictionary(pa.int32(), pa.string())
    types = {"attempt": pa.int64(), "block": pa.int64()}
    facts = (*SERIES_FACTS, "series")
    arrays = {name: pa.array([one[name] for one in series], types.get(name, text)) for name in facts}
    return pa.table(
        {
            **{name: array.take(pa.array(which)) for name, array in arrays.items()},
            "at_s": pa.array(at_s, pa.float64()),
            "value": pa.array(value, pa.float64(), from_pandas=True),  # NaN: a gap
        }
    )
