import numpy as np
import pandas as pd

from workbench.interfaces import Record
from workbench.sweep.design.planning import Cell, Configuration
from workbench.sweep.records.samples import SAMPLE_COLUMNS, samples
from workbench.sweep.records.table import Run


def run(number, **series):
    configuration = Configuration(label=f"a={number}", arm="grid", parameters={}, varied={"a": number})
    return Run(
        cell=Cell(id=f"c{number}", configuration=configuration, block=number, phase="more"),
        order=number,
        host="h",
        started=0.0,
        elapsed_s=1.0,
        record=Record(metrics={}, series=series),
        environment={},
    )


def test_every_sample_of_every_series_is_a_row():
    found = samples([run(2, itl_ms=[(0.5, 3), (0.75, None)], empty=[]), run(1), run(3, rss=[(0.0, 1.5)])])
    expected = pd.DataFrame(
        {
            "cell": ["c2", "c2", "c3"],
            "label": ["a=2", "a=2", "a=3"],
            "block": [2, 2, 3],
            "series": ["itl_ms", "itl_ms", "rss"],
            "at_s": [0.5, 0.75, 0.0],
            "value": [3.0, np.nan, 1.5],
            "phase": ["more"] * 3,
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_no_samples_is_an_empty_table_of_the_same_shape():
    for runs in ([], [run(1)], [run(1, empty=[])]):
        found = samples(runs)
        assert list(found.columns) == list(SAMPLE_COLUMNS)
        assert len(found) == 0
        assert found["value"].dtype == float


def test_they_are_those_of_the_records(results):
    results.run(results.cell(block=1, a=1), speed=1.0, series={"s": [[0.0, 1.0], [0.1, None]], "t": [[0.2, 3.0]]})
    results.run(results.cell(block=2, a=1), status="failed", error="x")
    found = results.records().samples()
    assert list(found.columns) == list(SAMPLE_COLUMNS)
    assert found["series"].tolist() == ["s", "s", "t"]
    assert found["value"].isna().tolist() == [False, True, False]
    assert found["block"].unique().tolist() == [1]
