import json
from pathlib import Path

import pytest
import yaml

from workbench.errors import SpecError
from workbench.sweep import Sweep
from workbench.sweep.specification.kept import FILE, keep, kept
from workbench.testing.fabricated_sweep import fabricate

TEXTS = ["1e5", "on", "12:30", "2024-01-01", "010", "null", "~", "plain", "Grüße: #1", "1.5", ""]


@pytest.fixture
def spec(tmp_path):
    path = fabricate(tmp_path, batches=1, contexts=1, blocks=2, metrics=4, samples=1)
    notebook = json.loads((tmp_path / "never.ipynb").read_text(encoding="utf-8"))
    notebook["cells"][0]["source"] = "word = ''\nnumber = 1\npair = []"
    (tmp_path / "never.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["parameters"] = {"number": [1, 2.5, 0.00001, True, None], "word": TEXTS, "pair": [[1, "a"]]}
    text = json.dumps(values, ensure_ascii=False).replace("1e-05", "1.0e-05")
    path.write_text(text, encoding="utf-8")
    return Sweep.from_file(path).spec


def test_what_was_run_can_be_read_from_the_folder_alone(spec, tmp_path):
    away = tmp_path / "elsewhere"
    path = keep(spec, away)
    (away / "source.ipynb").write_bytes(spec.notebook_path.read_bytes())
    found = kept(away)
    assert path == away / FILE
    assert found.levels == spec.levels
    assert found.results_path.resolve() == away.resolve()
    assert [cell.id for cell in Sweep(found).plan()] == [cell.id for cell in Sweep(spec).plan()]
    assert Sweep.from_file(path).spec.measures == spec.measures


def test_keeping_twice_changes_nothing(spec, tmp_path):
    first = keep(spec, tmp_path / "a").read_text(encoding="utf-8")
    assert keep(kept(tmp_path / "a"), tmp_path / "b").read_text(encoding="utf-8") == first


def test_a_folder_without_one_says_what_to_do(tmp_path):
    with pytest.raises(SpecError, match="older version"):
        kept(tmp_path)


def test_a_run_keeps_its_specification(tmp_path, jobs_module):
    stub = jobs_module(
        "def run(job):\n"
        "    metrics = {name: 1.0 for name in ('decode_tps', 'prefill_tps', 'ttft_ms', 'perplexity')}\n"
        "    return {'record': {'metrics': metrics, 'info': {}, 'series': {}}, 'environment': {}}\n"
    )
    path = fabricate(tmp_path / "x", batches=1, contexts=1, blocks=1, metrics=4, samples=1, done=0)
    sweep = Sweep(Sweep.from_file(path).spec, function=stub.run)
    sweep.run(progress=False)
    assert Sweep(kept(Path(sweep.folder))).status() == sweep.status()
    assert sweep.status().done == 3
