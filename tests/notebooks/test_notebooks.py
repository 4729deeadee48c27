"""Every notebook runs in miniature, is parameterised, and is committed without outputs; every specification is valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.sweep import Sweep

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for path in ROOT.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts)
SPECS = sorted(path for path in ROOT.glob("experiments/**/*.yaml") if "results" not in path.parts)

TINY = "<the tiny model>"
MINIATURES: dict[str, list[dict[str, Any]]] = {
    "engine": [
        {"model": TINY, "n_ctx": 512, "prompt_tokens": 40, "output_tokens": 8, "quality_tokens": 20, "n_threads": 1},
        {"model": TINY, "engine": "baseline", "streaming": False, "quality_tokens": 0, "n_threads": 1, "show_plot": False},
    ],
    "decode_limit": [{"model": TINY, "n_gen": 8, "measured": measured} for measured in ("engine", "limit")],
    "postprocessing": [{"lengths": [64, 96], "window": 8, "windows": 4}],
    "resident_memory": [{"model": TINY, "output_tokens": 4}],
}
RECORDS = {
    "engine": "decode_tps",
    "decode_limit": "decode_tps",
    "postprocessing": "growth_ratio",
    "resident_memory": "overhead_bytes",
}


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_runs_in_miniature(path: Path, tiny: Path, tmp_path: Path) -> None:
    for number, miniature in enumerate(MINIATURES[path.stem]):
        fixed = {name: str(tiny) if value == TINY else value for name, value in miniature.items()}
        spec = tmp_path / f"{number}.yaml"  # JSON is YAML
        objectives = [{"metric": RECORDS[path.stem], "direction": "maximize"}]
        parts = {"name": f"mini-{number}", "notebook": str(path), "fixed": fixed, "blocks": 1, "objectives": objectives}
        spec.write_text(json.dumps(parts))
        analysis = Sweep.from_file(spec).run(progress=False)
        assert (analysis.audit.done, analysis.audit.failures) == (1, ())
        executed = next((tmp_path / "results" / f"mini-{number}" / "runs").glob("*/notebook.ipynb"))
        if fixed.get("show_plot", path.stem == "engine"):
            outputs = [o for cell in nbformat.read(executed, as_version=4).cells for o in cell.get("outputs", [])]
            assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)


@pytest.mark.model
@pytest.mark.parametrize("path", SPECS, ids=named)
def test_every_specification_is_valid_and_decides(path: Path) -> None:
    sweep = Sweep.from_file(path)
    assert sweep.plan()
    assert sweep.spec.blocks >= 6
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
