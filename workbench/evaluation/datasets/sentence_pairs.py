"""STS-B: sentence pairs and how alike people find them.

Cer et al. 2017 (SemEval-2017 task 1, arXiv 1708.00055), read from ``WORKBENCH_DATA/stsb/stsb-en-{split}.csv``: two
sentences and a score from 0 to 5, no header.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from workbench.errors import StoreCorrupt, UnknownName
from workbench.evaluation.datasets.reading import data_folder, parse_number, read_file
from workbench.evaluation.datasets.records import Pair

_PREFIX = "stsb-en-"


def stsb(split: str = "dev") -> tuple[Pair, ...]:
    """The pairs of one split.

    Args:
        split: "train", "dev" or "test", as far as they are there.

    Raises:
        UsageError: WORKBENCH_DATA is not set or has no STS-B.
        UnknownName: that split is not there.
        StoreCorrupt: a line is not what it should be; names file and line.
    """
    folder = data_folder("stsb")
    known = {path.stem.removeprefix(_PREFIX): path for path in folder.glob(f"{_PREFIX}*.csv")}
    if split not in known:
        raise UnknownName("split of STS-B", split, known, f"Looked in {folder}.")
    rows = csv.reader(io.StringIO(read_file(known[split]), newline=""))
    return tuple(_pair(row, known[split], rows.line_num) for row in rows)


def _pair(row: list[str], path: Path, line: int) -> Pair:
    score = parse_number(row[2], 0, 5) if len(row) == 3 else None
    if score is None:
        raise StoreCorrupt(path, f"line {line} must be two sentences and a number from 0 to 5.")
    return Pair(row[0], row[1], score)
