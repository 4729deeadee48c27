"""Every notebook runs in miniature, is parameterised and is committed without outputs; every specification is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from workbench.dashboard.figures import NAMES as FIGURES
from workbench.settings import cache_dir
from workbench.sweep import Sweep
from workbench.testing.tiny_gguf import make_tiny_gguf

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for path in ROOT.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts)
SPECS = sorted(path for path in ROOT.glob("experiments/**/*.yaml") if "results" not in path.parts)

MINIATURES: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "miniatures.yaml").read_text("utf-8"))
"""Name of a notebook → what it has to record, and the parameters of each run in CI."""

TUTORIALS = {
    *("quickstart", "engine", "batch_size", "context_window", "kv_cache", "caching"),
    *("embedding", "memory", "compression", "turn", "dashboard"),
}
ONCE = {
    "2_semantic",
    "1_long_chat",
    "3_story",
    "5_cast",
    "1_evidence",
    "2_likelihood",
    "4_prompt",
    "10_tune",
    "11_estimate",
    "12_soak",
    "1_locomo",
    "memory_locomo",
    "2_relations",
    "6_sessions",
    "7_crash",
    "4_kills",
}
"""Specifications whose one run is a comparison, or the same whenever it is made."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_reads_as_a_page_of_its_own(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "commit notebooks without outputs"
    assert any("wb.record(" in cell.source for cell in code)


def test_the_tutorials_are_there() -> None:
    assert {path.stem for path in NOTEBOOKS if path.parent == ROOT / "notebooks"} == TUTORIALS


@pytest.mark.parametrize("name", sorted(TUTORIALS))
def test_a_tutorial_says_what_each_step_is_for(name: str) -> None:
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    steps = [number for number, cell in enumerate(cells) if cell.cell_type == "code"]
    assert cells[steps[0]].metadata.get("tags") == ["parameters"]
    silent = [cells[number].source for number in steps[1:] if cells[number - 1].cell_type == "code"]
    assert silent == []
    prose = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert all(len(source.split()) > 15 for source in prose[:-1] if source.startswith("## ")), "a heading is no prose"
    assert any(source.startswith(("## What to try next", "## Where to go from here")) for source in prose)


def test_the_dashboard_tutorial_shows_every_figure() -> None:
    cells = nbformat.read(ROOT / "notebooks" / "dashboard.ipynb", as_version=4).cells
    shown = [cell.source for cell in cells if cell.source.startswith('show("')]
    assert shown == [f'show("{name}")' for name in FIGURES]


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose heads a quantised cache can hold: blocks are 32 numbers."""
    return make_tiny_gguf(tmp_path_factory.mktemp("wide") / "wide.gguf", n_embd=128, n_ctx_train=4096)


def miniatures(name: str, **models: Path) -> list[dict[str, Any]]:
    """Parameters of a notebook's runs, with the models' paths for their marks."""
    text = json.dumps(MINIATURES[name]["runs"])
    for model, path in models.items():
        text = text.replace(f'"<{model}>"', json.dumps(str(path)))
    runs: list[dict[str, Any]] = json.loads(text)
    return runs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_runs_in_miniature(path: Path, tiny: Path, wide: Path, tmp_path: Path) -> None:
    objectives = [{"metric": MINIATURES[path.stem]["records"], "direction": "maximize"}]
    for number, fixed in enumerate(miniatures(path.stem, tiny=tiny, wide=wide)):
        spec = tmp_path / f"{number}.yaml"  # JSON is YAML
        parts = {"name": f"mini-{number}", "notebook": str(path), "fixed": fixed, "blocks": 1, "objectives": objectives}
        spec.write_text(json.dumps(parts))
        sweep = Sweep.from_file(spec)
        audit = sweep.run(progress=False).audit
        assert (audit.done, audit.failures) == (1, ())
        executed = next((tmp_path / "results" / f"mini-{number}" / "runs").glob("*/notebook.ipynb"))
        if fixed.get("show_plot", path.stem in TUTORIALS - {"caching", "embedding", "memory"}):
            outputs = [o for cell in nbformat.read(executed, as_version=4).cells for o in cell.get("outputs", [])]
            assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
        if path.stem in TUTORIALS:
            (run,) = sweep.runs()
            assert set(run.record.metrics) == set(run.record.info["definitions"])


def test_a_run_with_the_disk_tier_leaves_nothing_to_the_next(tiny: Path, tmp_path: Path) -> None:
    """Else the first block would be cold and all others warm."""
    fixed = {**miniatures("caching", tiny=tiny)[0], "prefix": "disk", "responses": "none", "workload": "agents"}
    parts = {"name": "disk", "notebook": str(ROOT / "notebooks" / "caching.ipynb"), "fixed": fixed, "blocks": 1}
    spec = tmp_path / "disk.yaml"
    spec.write_text(json.dumps({**parts, "objectives": [{"metric": "total_s", "direction": "minimize"}]}))
    before = set((cache_dir() / "kv").rglob("*"))
    assert Sweep.from_file(spec).run(progress=False).audit.done == 1
    assert set((cache_dir() / "kv").rglob("*")) == before


@pytest.mark.model
@pytest.mark.parametrize("path", SPECS, ids=named)
def test_every_specification_is_valid_and_decides(path: Path) -> None:
    sweep = Sweep.from_file(path)
    assert sweep.spec.mode == "search" or sweep.plan(), "a search plans as it goes"
    assert sweep.spec.blocks >= (1 if path.stem in ONCE or path.parent.name == "claims" else 6)
    assert sweep.spec.objectives


@pytest.mark.model
def test_the_quickstart_compares_with_plain_llama_and_knows_its_noise() -> None:
    spec = Sweep.from_file(ROOT / "experiments" / "quickstart.yaml").spec
    assert set(spec.parameters) == {"n_batch", "n_ctx", "flash_attn"}
    assert spec.baseline is not None
    assert spec.baseline["engine"] == "baseline"
    assert spec.twin
    assert spec.quality
    assert spec.blocks >= 10


@pytest.mark.parametrize("name", ["quickstart", "dashboard"])
@pytest.mark.parametrize("start", [ROOT, ROOT / "notebooks"], ids=["repository", "notebooks"])
def test_a_tutorial_finds_its_neighbours_from_wherever_it_is_run(
    name: str, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "\n".join(cell.source for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells)
    (line,) = [line for line in source.splitlines() if line.startswith("here = ")]
    (neighbour,) = re.findall(r'here / "(\w+\.ipynb)"', source)
    monkeypatch.chdir(start)
    known: dict[str, Any] = {"Path": Path}
    exec(line, known)
    assert (known["here"] / neighbour).resolve() == ROOT / "notebooks" / neighbour
