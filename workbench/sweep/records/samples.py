"""Every sample of every series of many runs, as one long table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from workbench.sweep.records.table import Run

if TYPE_CHECKING:
    import pandas as pd

Samples = Sequence[Sequence[float | None]]

SAMPLE_COLUMNS = ("cell", "label", "block", "series", "at_s", "value", "phase")


def samples(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a sample: ``cell``, ``label``, ``block``, ``series``, ``at_s``, ``value``, ``phase``.

    Runs in the given order, the series of each as it recorded them. ``at_s`` is on the run's own clock, one for all its
    series; a gap is NaN. No samples: an empty table with these columns.
    """
    import pandas as pd

    whole = [(run, name, values) for run in runs for name, values in run.record.series.items()]
    which, at_s, value = flat([values for _, _, values in whole])
    return pd.DataFrame(
        {
            "cell": _taken([run.cell.id for run, _, _ in whole], which),
            "label": _taken([run.cell.configuration.label for run, _, _ in whole], which),
            "block": np.array([run.cell.block for run, _, _ in whole], dtype="int64")[which],
            "series": _taken([name for _, name, _ in whole], which),
            "at_s": at_s,
            "value": value,
            "phase": _taken([run.cell.phase for run, _, _ in whole], which),
        },
        columns=list(SAMPLE_COLUMNS),
    )


def flat(series: Sequence[Samples]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Samples of many series in a row: (n,) which series each is of, (n,) its seconds, (n,) its value; a gap is NaN."""
    lengths = [len(samples) for samples in series]
    numbers = itertools.chain.from_iterable(itertools.chain.from_iterable(series))
    # as objects first: a gap is None
    pairs = np.fromiter(numbers, dtype=object, count=2 * sum(lengths)).astype(np.float64)
    return np.repeat(np.arange(len(series)), lengths), pairs[0::2], pairs[1::2]


def _taken(texts: Sequence[str], which: npt.NDArray[np.int64]) -> pd.Series[str]:
    import pandas as pd

    # pandas looks at each text once that way, not once a sample
    return pd.Series(pd.array(texts, dtype="str").take(which))
