"""A finished sweep whose runs never ran: a results folder of any size, for tests and benches of what reads it.

Written through the sweep's own ledger, cell by cell, so that every reader finds what a real sweep leaves. The numbers
have a known truth: every configuration's median differs, blocks drift, noise is log-normal.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from workbench.storage import write_json, write_text
from workbench.storage.ledger import Ledger
from workbench.sweep import Cell, Sweep
from workbench.sweep.specification.kept import keep

_SERIES = {"itl_ms": 9.0, "ttft_ms": 180.0, "cpu_percent": 92.0, "rss_bytes": 4.2e8}
_CTX = (512, 1024, 2048, 4096, 8192)
_SETUP = "n_batch = 32\nn_ctx = 512\nflash_attn = False"


def fabricate(
    folder: Path,
    *,
    batches: int = 10,
    contexts: int = 5,
    blocks: int = 10,
    metrics: int = 10,
    samples: int = 40,
    done: int | None = None,
) -> Path:
    """Make a specification, a notebook and the results of all its runs.

    Args:
        folder: where the specification goes; its results lie below.
        batches: levels of ``n_batch``.
        contexts: levels of ``n_ctx``; with flash attention off and on there are ``2 * batches * contexts``
            configurations.
        blocks: runs of each configuration.
        metrics: metrics of each run; three are objectives, one is a measure of quality.
        samples: of each of four series of each run.
        done: runs that have finished, in running order; the others are still to come. ``None``: all.

    Returns:
        The specification's path.
    """
    path = _specification(folder, batches, contexts, blocks)
    sweep, draw = Sweep.from_file(path), random.Random(1)  # noqa: S311 - an experiment, not a secret
    sweep.folder.mkdir(parents=True, exist_ok=True)
    keep(sweep.spec, sweep.folder)
    write_text(sweep.folder / "source.ipynb", sweep.spec.notebook_path.read_text(encoding="utf-8"))
    with Ledger(sweep.folder / "ledger.sqlite") as ledger:
        for cell in sweep.plan()[:done]:
            attempt = ledger.begin(cell.id, host="bench")
            ledger.finish(cell.id, attempt, status="done", payload=_payload(cell, draw, metrics, samples))
    return path


def _specification(folder: Path, batches: int, contexts: int, blocks: int) -> Path:
    cells = [
        {"cell_type": "code", "id": name, "source": source, "metadata": {"tags": tags}, "outputs": []}
        | {"execution_count": None}
        for name, source, tags in (("a", _SETUP, ["parameters"]), ("b", "pass", []))
    ]
    write_json(folder / "never.ipynb", {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    levels = {
        "n_batch": [32 * (1 + at) for at in range(batches)],
        "n_ctx": list(_CTX[:contexts]),
        "flash_attn": [False, True],
    }
    spec = {
        "name": "fabricated",
        "title": "Runs that never ran",
        "notebook": "never.ipynb",
        "parameters": levels,
        "blocks": blocks,
        "twin": True,
        "objectives": [
            {"metric": "decode_tps", "direction": "maximize"},
            {"metric": "prefill_tps", "direction": "maximize"},
            {"metric": "ttft_ms", "direction": "minimize"},
        ],
        "quality": [{"metric": "perplexity", "direction": "minimize"}],
    }
    write_text(folder / "fabricated.yaml", yaml.safe_dump(spec, sort_keys=False))
    return folder / "fabricated.yaml"


def _payload(cell: Cell, draw: random.Random, metrics: int, samples: int) -> dict[str, Any]:
    levels = cell.configuration.parameters
    values = dict(_metrics(levels, cell.block, draw, metrics))
    series = {name: _series(base, samples, draw) for name, base in _SERIES.items()}
    info = {"definitions": {name: f"{name}, made up" for name in values}}
    return {
        "record": {"metrics": values, "info": info, "series": series},
        "environment": {"cpu": {"model": "made up"}, "packages": {"workbench": "0"}, "models": {}},
        "elapsed_s": 2.0,
    }


def _metrics(levels: Mapping[str, Any], block: int, draw: random.Random, count: int) -> Iterator[tuple[str, float]]:
    """Name and value; the first four are what the specification is about."""
    batch, ctx, flash = math.log2(levels["n_batch"]), math.log2(levels["n_ctx"]), levels["flash_attn"]
    drift = 1 + 0.01 * block
    truth = {
        "decode_tps": 130 * drift * (1.09 if flash else 1) * (1 - 0.02 * (ctx - 9)),
        "prefill_tps": 300 * drift * (1 + 0.04 * (batch - 5)),
        "ttft_ms": 480 / drift / (1 + 0.04 * (batch - 5)) * (0.97 if flash else 1),
        "perplexity": 18.4 - 0.05 * (ctx - 9),
        "peak_rss_bytes": 3e8 + 2.4e4 * levels["n_ctx"] + 1e5 * levels["n_batch"],
        "joules_per_token": 0.6 / (1.05 if flash else 1),
    }
    truth |= {f"stage{number}_ms": 10.0 + number for number in range(count - len(truth))}
    for name, value in list(truth.items())[:count]:
        yield name, value * draw.lognormvariate(0, 0.002 if name == "perplexity" else 0.015)


def _series(base: float, count: int, draw: random.Random) -> list[list[float]]:
    return [[round(0.05 * at, 4), base * draw.lognormvariate(0, 0.2)] for at in range(count)]
