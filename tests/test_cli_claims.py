"""`workbench claims` as a user types it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

from workbench.cli import app

SPEC = """name: level
title: Does the level matter?
notebook: ../level.ipynb
parameters: {level: [1, 2]}
blocks: 1
objectives: [{metric: speed, direction: maximize}]
claims:
  - says: The second is twice as fast
    metric: speed
    of: {level: 2}
    against: {level: 1}
    low: 2
    direction: maximize
    exact: true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cells = [
        nbformat.v4.new_code_cell("level = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import workbench as wb\nwb.record(speed=10.0 * level)"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "level.ipynb")
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "1_level.yaml").write_text(SPEC)
    return tmp_path / "claims"


def claims(folder: Path, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["claims", "--folder", str(folder), "--quiet", *arguments])
    return done.exit_code, done.output


def test_the_table_then_the_runs_then_the_page(folder: Path, tmp_path: Path) -> None:
    status, said = claims(folder)
    assert status == 0
    assert "not run yet" in said
    status, said = claims(folder, "level", "--run", "--html", str(tmp_path / "claims.html"))
    assert status == 0
    assert "1 confirmed" in said
    assert "2 × [2, 2], n=1" in said
    page = (tmp_path / "claims.html").read_text()
    assert '<a href="claims/results/level/dashboard.html">dashboard</a>' in page
    assert (folder / "results" / "level" / "dashboard.html").is_file()


def test_what_cannot_be_read_is_an_exit_status(folder: Path) -> None:
    (folder / "2_broken.yaml").write_text("name: [")
    status, said = claims(folder)
    assert status == 1
    assert "not read: " in said
    assert "not run yet" in said, "the rest is told all the same"


def test_failed_runs_are_an_exit_status(folder: Path) -> None:
    spec = folder / "1_level.yaml"
    spec.write_text(spec.read_text().replace("level: [1, 2]", "level: [1, two]").replace("level: 2}", "level: two}"))
    status, said = claims(folder, "--run")
    assert status == 1
    assert "1 failed" in said
