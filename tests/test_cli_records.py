"""``workbench sweep export`` as a user types it."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.errors import SweepError, UsageError
from workbench.storage.ledger import Ledger
from workbench.sweep.design.planning import Cell, Configuration
from workbench.sweep.records.attempt_file import end_attempt


@pytest.fixture
def folder(tmp_path):
    with Ledger(tmp_path / "trial" / "ledger.sqlite") as ledger:
        for block in range(3):
            configuration = Configuration(label="a=1", arm="grid", parameters={"a": 1}, varied={"a": 1})
            cell = Cell(id=f"c{block}", configuration=configuration, block=block)
            record = {"metrics": {"speed": 1.0 + block}, "info": {}, "series": {}}
            payload = {"record": record, "environment": {}, "elapsed_s": 1.0}
            number = ledger.begin(cell.id, host="h")
            end_attempt(ledger, tmp_path / "trial", cell, number, status="done", payload=payload)
    return tmp_path / "trial"


def workbench(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_results_folder_as_parquet_and_csv(folder, tmp_path):
    out = workbench("sweep", "export", folder, "--parquet", tmp_path / "o.parquet", "--csv", tmp_path / "o.csv").output
    assert str(tmp_path / "o.csv") in out
    assert pd.read_parquet(tmp_path / "o.parquet")["speed"].tolist() == [1.0, 2.0, 3.0]
    assert pd.read_csv(tmp_path / "o.csv")["speed"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.filterwarnings("ignore")
def test_to_mlflow_twice(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = f"sqlite:///{tmp_path}/runs.db"
    assert "3 runs added" in workbench("sweep", "export", folder, "--mlflow", uri, "--no-artifacts").output
    assert "0 runs added" in workbench("sweep", "export", folder, "--mlflow", uri, "--no-artifacts").output


def test_a_specification_stands_for_its_folder(tmp_path, folder):
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})])
    nbformat.write(notebook, tmp_path / "n.ipynb")
    spec = tmp_path / "sweep.yaml"
    spec.write_text(
        "name: trial\nnotebook: n.ipynb\nresults: trial\nparameters: {a: [1]}\nblocks: 1\n"
        "objectives: [{metric: speed, direction: maximize}]\n"
    )
    workbench("sweep", "export", spec, "--parquet", tmp_path / "o.parquet")
    # these cells are of another notebook: kept, but not what the specification asks for
    assert pd.read_parquet(tmp_path / "o.parquet")["planned"].tolist() == [False] * 3


def test_nothing_to_write_and_nothing_to_read(folder, tmp_path):
    with pytest.raises(UsageError, match="--parquet FILE"):
        workbench("sweep", "export", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SweepError, match="no records"):
        workbench("sweep", "export", tmp_path / "empty", "--csv", tmp_path / "o.csv")
