from pathlib import Path

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.testing.fabricated_sweep import fabricate


def small(folder: Path) -> Path:
    return fabricate(folder, batches=1, contexts=1, blocks=2, metrics=4, samples=1)


def test_report_lists_the_sweeps_below_a_folder_and_says_where(tmp_path: Path) -> None:
    small(tmp_path / "one")
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == f"Index: {tmp_path.resolve() / 'index.html'}"
    assert (tmp_path / "one" / "results" / "fabricated" / "dashboard.html").exists()


def test_without_a_folder_it_looks_at_experiments_and_writes_beside_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path / "experiments" / "bench")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report"])
    assert done.exit_code == 0, done.output
    page = tmp_path / "experiments" / "results" / "index.html"
    assert 'href="./../bench/results/fabricated/dashboard.html"' in page.read_text(encoding="utf-8")
