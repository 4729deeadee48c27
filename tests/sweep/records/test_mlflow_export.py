import sys

import pytest

from workbench.errors import MissingExtra, SweepError
from workbench.sweep.records import mlflow_export
from workbench.sweep.records.attempt_file import run_folder

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's and SQLAlchemy's own deprecations


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def filled(results):
    cell = results.cell(block=2, n_batch=64, mixed=None, text="a" * 7000)
    results.run(cell, **{"speed (tok/s)": 1.5, "gap": None, "speed_": 2.0})
    (run_folder(results.path, cell.id, 1) / "notebook.ipynb").write_text("{}")
    results.run(results.cell(n_batch=4096), status="failed", error="no room", reason="out_of_memory")
    return results


def exported(uri, experiment="trial"):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, {run.data.tags["workbench.attempt"]: run for run in found}


def test_parameters_metrics_tags_and_files_arrive(filled, uri, tmp_path):
    assert filled.records().to_mlflow(uri) == 2
    client, runs = exported(uri)
    done, failed = runs["cell0-1"], runs["cell1-1"]
    assert done.info.status == "FINISHED"
    assert done.info.end_time >= done.info.start_time > 1.6e12
    assert done.data.params["n_batch"] == "64"
    assert done.data.params["mixed"] == "null"
    assert len(done.data.params["text"]) == 6000
    assert done.data.metrics == {"speed _tok_s_": 1.5, "speed_": 2.0}
    assert done.data.tags["workbench.host"] == "bench"
    assert done.data.tags["workbench.block"] == "2"
    assert done.data.tags["workbench.arm"] == "grid"
    assert done.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert {file.path for file in client.list_artifacts(done.info.run_id)} == {"notebook.ipynb", "attempt.json"}
    assert failed.info.status == "FAILED"
    assert failed.data.tags["workbench.reason"] == "out_of_memory"
    assert failed.data.tags["mlflow.note.content"] == "no room"
    assert (tmp_path / "mlartifacts").is_dir()


def test_again_adds_only_what_is_new(filled, uri):
    filled.records().to_mlflow(uri, experiment="mine", artifacts=False)
    assert filled.records().to_mlflow(uri, experiment="mine", artifacts=False) == 0
    filled.run(filled.cell(n_batch=128), speed=3.0)
    assert filled.records().to_mlflow(uri, experiment="mine", artifacts=False) == 1
    assert len(exported(uri, "mine")[1]) == 3


def test_a_copy_that_was_broken_off_is_made_anew(filled, uri, monkeypatch):
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            filled.records().to_mlflow(uri)
    assert filled.records().to_mlflow(uri) == 2
    assert {run.info.status for run in exported(uri)[1].values()} == {"FINISHED", "FAILED"}
    assert len(exported(uri)[1]) == 2


def test_two_sweeps_in_one_experiment_do_not_hide_each_other(filled, uri):
    assert filled.records().to_mlflow(uri, experiment="all") == 2
    other = filled.records()
    other._about = other._about.__class__(name="other")
    assert other.to_mlflow(uri, experiment="all") == 2


def test_names_that_become_the_same_stay_two():
    assert dict(mlflow_export._keyed({"a/b": 1, "a:b": 2, "ok.-_ x": 3})) == {"a_b": 1, "a_b_2": 2, "ok.-_ x": 3}


def test_what_mlflow_says_is_passed_on(filled, uri):
    with pytest.raises(SweepError, match="MLflow at nowhere://x refused"):
        filled.records().to_mlflow("nowhere://x")


def test_without_the_extra_it_says_how_to_get_it(filled, uri, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'workbench\[mlflow\]'"):
        filled.records().to_mlflow(uri)
