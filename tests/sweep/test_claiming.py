"""A folder of claims: read, run by a scripted function, held against what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import UnknownName, UsageError
from workbench.sweep import ClaimTable, SweepSpec
from workbench.sweep.claiming import claim_files, claims, plain_name, to_run

STUB = """
def run(job):
    parameters, block = job.payload["parameters"], job.payload["block"]
    if parameters.get("b") is True:
        raise ValueError("no such thing")
    metrics = {"speed": parameters["a"] * (1 + (block + parameters["a"]) % 3 / 100), "hits": 0.95}
    return {"record": {"metrics": metrics, "info": {}, "series": {}}, "environment": {}}
"""
HEAD = """name: %s
title: About %s
description: What was claimed, and what is measured.
notebook: ../notebook.ipynb
parameters: {a: [1, 2]}
blocks: 10
objectives: [{metric: speed, direction: maximize}]
claims:
"""
TWICE = (
    "  - {says: Twice as fast, metric: speed, of: {a: 2}, against: {a: 1}, low: 1.9, high: 2.1, direction: maximize}\n"
)
HITS = "  - {says: Nine of ten, metric: hits, of: {a: 1}, low: 0.9, direction: maximize, exact: true}\n"
GPU = TWICE.replace("direction", "needs: gpu, direction")


@pytest.fixture
def folder(notebook, tmp_path: Path) -> Path:
    """Three specifications of claims beside a notebook."""
    notebook("a = 1\nb = False", "import workbench\nworkbench.record(speed=float(a), hits=1.0)")
    made = tmp_path / "claims"
    made.mkdir()
    (made / "10_late.yaml").write_text(HEAD % ("late", "late") + HITS)
    (made / "2_twice.yaml").write_text(HEAD % ("twice", "twice") + TWICE + HITS)
    (made / "3_card.yaml").write_text(HEAD % ("card", "card") + GPU)
    return made


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.sweep.claiming._has_gpu", lambda: False)


def verdicts(table: ClaimTable) -> dict[str, list[str]]:
    return {sweep.name: [result.verdict for result in sweep.results] for sweep in table.sweeps}


@pytest.mark.usefixtures("no_gpu")
def test_from_nothing_to_verdicts(folder: Path, jobs_module) -> None:
    assert verdicts(wb.claims(folder)) == {
        "twice": ["not run yet", "not run yet"],
        "card": ["cannot be tested here"],
        "late": ["not run yet"],
    }
    stub = jobs_module(STUB).run
    waiting = to_run(folder, function=stub)
    assert [sweep.spec.name for sweep in waiting] == ["twice", "late"], "what no claim of can be tested is not run"
    for sweep in waiting:
        sweep.run(progress=False)
    table = wb.claims(str(folder))
    assert verdicts(table) == {
        "twice": ["confirmed", "confirmed"],
        "card": ["cannot be tested here"],
        "late": ["confirmed"],
    }
    assert to_run(folder, function=stub) == []
    assert table.counts["confirmed"] == 3
    assert table.sweeps[0].audit.startswith("20/20 runs done")
    assert len(table.sweeps[0].hosts) == 1
    assert_told(table)


def assert_told(table: ClaimTable) -> None:
    text = str(table)
    assert text.splitlines()[0].split() == ["claim", "claimed", "measured", "verdict"]
    assert "3 confirmed, 1 cannot be tested here" in text
    assert "it needs a GPU" in text
    frame = table.frame()
    assert list(frame["sweep"]) == ["twice", "twice", "card", "late"]
    assert frame["measured"][0] == pytest.approx(2, rel=0.02)
    assert frame["low"][0] <= frame["measured"][0] <= frame["high"][0]
    assert frame["measured"].isna().tolist() == [False, False, True, False]


def test_failed_runs_are_told(folder: Path, jobs_module) -> None:
    late = folder / "10_late.yaml"
    late.write_text(late.read_text().replace("blocks: 10", "blocks: 1\nfixed: {b: true}"))
    (sweep,) = to_run(folder, ["late"], function=jobs_module(STUB).run)
    sweep.run(progress=False)
    (result,) = claims(folder, ["late"]).results
    assert result.verdict == "not run yet"
    assert "no such thing" in result.reason


def test_one_of_them_by_either_name(folder: Path) -> None:
    assert [path.name for path in claim_files(folder)] == ["2_twice.yaml", "3_card.yaml", "10_late.yaml"]
    assert [path.name for path in claim_files(folder, ["late", "2_twice"])] == ["2_twice.yaml", "10_late.yaml"]
    assert plain_name(Path("no_number.yaml")) == "no_number"
    with pytest.raises(UnknownName, match="Did you mean 'twice'"):
        claims(folder, ["twise"])
    with pytest.raises(UsageError, match="no specifications"):
        claims(folder / "nowhere")


def test_what_cannot_be_read_is_listed_beside_the_rest(folder: Path) -> None:
    (folder / "3_card.yaml").write_text("name: [")
    table = claims(folder)
    assert [sweep.name for sweep in table.sweeps] == ["twice", "late"]
    assert [path.name for path, _ in table.unreadable] == ["3_card.yaml"]
    assert "not read: " in str(table)


@pytest.mark.usefixtures("no_gpu")
def test_data_is_asked_for_on_this_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = folder / "3_card.yaml"
    card.write_text(card.read_text().replace("needs: gpu", "needs: data"))
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    assert verdicts(claims(folder))["card"] == ["cannot be tested here"]
    assert [sweep.spec.name for sweep in to_run(folder)] == ["twice", "late"]
    monkeypatch.setenv("WORKBENCH_DATA", str(folder))
    assert verdicts(claims(folder))["card"] == ["not run yet"]
    assert len(to_run(folder)) == 3


SHIPPED = sorted((Path(__file__).parents[2] / "experiments" / "claims").glob("*.yaml"))


@pytest.mark.model
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_claim_can_decide(path: Path) -> None:
    """As many blocks as its kind of figure takes, and a text that says what was claimed and what is measured."""
    spec = SweepSpec.from_file(path)
    assert spec.claims
    assert spec.description.startswith("Claimed: ")
    assert "Measured" in spec.description or "tested" in spec.description
    for claim in spec.claims:
        least = 1 if claim.exact or claim.bounds or claim.trials else 10 if claim.is_ratio else 6
        assert spec.blocks >= least, claim.says


def test_every_claim_of_the_list_is_there() -> None:
    numbers = [int(path.stem.partition("_")[0]) for path in SHIPPED]
    assert sorted(numbers) == list(range(1, 24))
