"""Every notebook runs in miniature, is parameterised and is committed without outputs; every specification is valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.settings import cache_dir
from workbench.sweep import Sweep

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for path in ROOT.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts)
SPECS = sorted(path for path in ROOT.glob("experiments/**/*.yaml") if "results" not in path.parts)

TINY = "<the tiny model>"
MINIATURES: dict[str, list[dict[str, Any]]] = {
    "engine": [
        {"model": TINY, "n_ctx": 512, "prompt_tokens": 40, "output_tokens": 8, "quality_tokens": 20, "n_threads": 1},
        {
            "model": TINY,
            "engine": "baseline",
            "streaming": False,
            "quality_tokens": 0,
            "n_threads": 1,
            "show_plot": False,
        },
    ],
    "caching": [
        {
            "model": TINY,
            "responses": "exact",
            "requests": 4,
            "max_tokens": 2,
            "n_threads": 1,
            "others": [],
            "show_plot": False,
        }
    ],
    "caching_repeated": [{"model": TINY, "prompts": 2, "repeats": 3, "max_tokens": 2, "n_threads": 1}],
    "caching_semantic": [{"pairs": "own", "budget": 0.5}],
    "decode_limit": [{"model": TINY, "n_gen": 8, "measured": measured} for measured in ("engine", "limit")],
    "postprocessing": [{"lengths": [64, 96], "window": 8, "windows": 4}],
    "resident_memory": [{"model": TINY, "output_tokens": 4}],
    "stream": [{"model": TINY, "n_ctx": 256, "output_tokens": 8, "n_threads": 1}],
    "agents": [
        {
            "model": TINY,
            "n_ctx": 4096,
            "n_agents": 2,
            "turns": 2,
            "system_tokens": 320,
            "output_tokens": 4,
            "n_threads": 1,
        }
    ],
    "throughput": [
        {"model": TINY, "requests": 4, "at_once": 2, "n_ctx": 512, "output_tokens": 4, "rounds": 1, "n_threads": 1}
    ],
    "idle_return": [
        {"model": TINY, "history_tokens": 100, "returns": 1, "n_ctx": 1024, "idle_release_s": 0.1, "n_threads": 1}
    ],
    "growth": [{"model": TINY, "n_threads": 1}],
    "lookup": [{"model": TINY, "n_ctx": 4096, "free_tokens": 16, "tasks": 2, "task_tokens": 8, "n_threads": 1}],
    "soak": [{"requests": 40, "at_once": 4, "settle": 10, "every": 5}],
    "scheduler": [{"model": TINY, "sequences": 4, "output_tokens": 8, "n_ctx": 512, "n_threads": 1}],
    "worker": [{"model": TINY, "n_ctx": 256, "output_tokens": 8, "rounds": 1, "n_threads": 1}],
    "tune": [{"model": TINY, "minutes": 0.05}],
    "estimate": [{"shapes": [TINY], "settings": [{"n_ctx": 512, "n_threads": 1}]}],
    "embedding": [
        {
            "embedding": "paraphrase-minilm-l3-v2",
            "data": "small",
            "sentences": 8,
            "passages": 3,
            "queries": 3,
            "rounds": 1,
            "n_threads": 1,
            "others": [["hashing", None]],
            "show_plot": True,
        },
        {"embedding": "hashing", "data": "small", "sentences": 400, "passages": 3, "queries": 3, "show_plot": False},
    ],
    "compression": [
        {
            "model": TINY,
            "embedding": "hashing",
            "conversations": ["boathouse"],
            "questions": 2,
            "likelihood_questions": 1,
            "excerpt_tokens": 300,
            "lengths": [200],
            "n_ctx": 1024,
            "n_threads": 1,
        },
        {
            "model": TINY,
            "strategy": "surprise",
            "rate": 0.3,
            "embedding": None,
            "conversations": ["allotment"],
            "questions": 1,
            "likelihood_questions": 0,
            "lengths": [],
            "n_ctx": 1024,
            "n_threads": 1,
            "show_plot": False,
        },
    ],
    "compression_evidence": [
        {
            "data": ["small"],
            "ranks": ["words"],
            "embedding": "hashing",
            "model": TINY,
            "seeds": 2,
            "conversations": 1,
            "first_conversations": 1,
        }
    ],
    "compression_likelihood": [
        {
            "model": TINY,
            "embedding": "hashing",
            "strategies": ["surprise", "middle"],
            "questions": 1,
            "excerpt_tokens": 300,
            "n_ctx": 1024,
            "n_threads": 1,
        }
    ],
    "compression_prompt": [{"model": TINY}],
    "compression_breakeven": [
        {"model": TINY, "embedding": "hashing", "lengths": [200, 300], "n_ctx": 1024, "n_threads": 1},
        {
            "model": TINY,
            "embedding": "hashing",
            "strategies": ["surprise"],
            "scorer": TINY,
            "lengths": [200],
            "n_threads": 1,
        },
    ],
    "memory": [
        {"model": TINY, "embedding": "hashing", "k": 4, "conversations": ["boathouse"]},
        {"model": TINY, "strategy": "buffer", "k": 4, "history": 150, "show_plot": False},
    ],
    "memory_locomo": [{"data": "small", "embedders": ["hashing"], "k": 5}],
    "memory_relations": [{"limit": 20}],
    "memory_add": [{"embedder": "hashing", "messages": 60, "pause_s": 0, "turn": 20}],
    "memory_recall": [{"embedder": "hashing", "messages": 100, "queries": 5}],
    "memory_restart": [{"embedder": "hashing", "messages": 100}],
    "memory_sessions": [{"sessions": 4, "messages": 18}],
    "memory_graph": [{"nodes": 200, "slices": 5}],
    "endpoint_load": [{"at_once": [1, 4], "sizes": ["simple", "medium"], "most": 4, "latency_s": 0.1}],
    "long_chat": [
        {"model": TINY, "n_ctx": 4096, "turns": 25, "embedder": "hashing", "answer_tokens": 2, "n_threads": 1}
    ],
    "turn_overhead": [
        {"model": TINY, "messages": 40, "turns": 3, "embedder": "hashing", "n_ctx": 4096, "n_threads": 1}
    ],
    "memory_crash": [{"kills": 1, "longest_s": 0.1}],
    "memory_claims": [
        {"claim": "request-scoped reads", "size": 200},
        {"claim": "kept vectors", "embedder": "hashing", "size": 50},
    ],
    "turn": [
        {"model": TINY, "scenario": "cold_start", "turns": 2, "max_tokens": 4, "memory": None, "n_threads": 1},
        {
            "model": TINY,
            "scenario": "tools",
            "turns": 1,
            "max_tokens": 4,
            "memory": None,
            "n_ctx": 8192,
            "n_threads": 1,
            "show_plot": False,
        },
    ],
    "story": [{"model": TINY, "turns": 1, "decodes": False, "write_s": 0, "n_ctx": 8192, "n_threads": 1}],
    "cast": [{"model": TINY, "rounds": 1, "story_tokens": 100, "max_tokens": 2, "n_threads": 1}],
    "gpu": [
        {
            "model": TINY,
            "at_once": 2,
            "requests": 3,
            "prompt_tokens": 32,
            "output_tokens": 4,
            "batch_prompt_tokens": 16,
            "batch_output_tokens": 4,
            "n_threads": 1,
        }
    ],
}
RECORDS = {
    "engine": "decode_tps",
    "caching": "hit_rate",
    "caching_repeated": "hit_rate",
    "caching_semantic": "hit_rate",
    "decode_limit": "decode_tps",
    "postprocessing": "growth_ratio",
    "resident_memory": "overhead_bytes",
    "stream": "tuned_tps",
    "agents": "second_process_total_s",
    "throughput": "tuned_tps",
    "idle_return": "return_ttft_ms",
    "growth": "identical",
    "lookup": "copy_identical",
    "soak": "requests",
    "scheduler": "host_us",
    "worker": "apart_tps",
    "tune": "decode_ratio",
    "estimate": "worst_error",
    "embedding": "texts_per_s",
    "compression": "evidence_kept",
    "compression_evidence": "small_words_50_kept",
    "compression_likelihood": "full_nats",
    "compression_prompt": "held_out_saved",
    "compression_breakeven": "prefill_ms",
    "memory": "recall_at_k",
    "memory_locomo": "ranked_recall",
    "memory_relations": "relation_f1",
    "memory_add": "add_p99_ms",
    "memory_recall": "recall_p50_ms",
    "memory_restart": "first_recall_s",
    "memory_sessions": "isolated",
    "memory_graph": "slice_ms_p50",
    "endpoint_load": "identical",
    "long_chat": "in_prompt",
    "turn_overhead": "overhead_p50_ms",
    "memory_crash": "acknowledged",
    "memory_claims": "with_ms",
    "story": "input_ratio",
    "turn": "turn_ms",
    "cast": "computed_ratio",
    "gpu": "tuned_batched_tps",
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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_it_runs_in_miniature(path: Path, tiny: Path, tmp_path: Path) -> None:
    for number, miniature in enumerate(MINIATURES[path.stem]):
        fixed = json.loads(json.dumps(miniature).replace(TINY, str(tiny)))
        spec = tmp_path / f"{number}.yaml"  # JSON is YAML
        objectives = [{"metric": RECORDS[path.stem], "direction": "maximize"}]
        parts = {"name": f"mini-{number}", "notebook": str(path), "fixed": fixed, "blocks": 1, "objectives": objectives}
        spec.write_text(json.dumps(parts))
        analysis = Sweep.from_file(spec).run(progress=False)
        assert (analysis.audit.done, analysis.audit.failures) == (1, ())
        executed = next((tmp_path / "results" / f"mini-{number}" / "runs").glob("*/notebook.ipynb"))
        if fixed.get("show_plot", path.stem in ("engine", "compression", "turn")):
            outputs = [o for cell in nbformat.read(executed, as_version=4).cells for o in cell.get("outputs", [])]
            assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)


def test_a_run_with_the_disk_tier_leaves_nothing_to_the_next(tiny: Path, tmp_path: Path) -> None:
    """Else the first block would be cold and all others warm."""
    fixed = {
        **MINIATURES["caching"][0],
        "model": str(tiny),
        "prefix": "disk",
        "responses": "none",
        "workload": "agents",
    }
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
    assert sweep.plan()
    assert sweep.spec.blocks >= (1 if path.stem in ONCE else 6)
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
