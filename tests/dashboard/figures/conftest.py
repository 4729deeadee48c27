"""An analysis of configurations of which some did not fit into memory, for the figures that show it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.sweep.design.planning import label_of
from workbench.sweep.results import Analysis, Audit, Boundary, Importance, Objective

PARAMETERS = {
    "flash_attn": (False, True),
    "model": ("smollm2-360m-instruct-q4_k_m", "smollm2-360m-instruct-q8_0"),
    "n_batch": (128, 512),
    "n_ctx": (2048, 4096, 8192, 16384),
}
BLOCKS = 6


def fits(levels: dict[str, Any]) -> bool:
    """The largest context fits only with the small model in small batches."""
    return levels["n_ctx"] < 16384 or (levels["model"].endswith("q4_k_m") and levels["n_batch"] == 128)


def ran(levels: dict[str, Any]) -> bool:
    """One combination never finished, for another reason."""
    return not (levels["n_ctx"] == 8192 and levels["model"].endswith("q4_k_m") and levels["n_batch"] == 128)


def measured(levels: dict[str, Any], draw: np.random.Generator) -> dict[str, float]:
    size = 1.4 if levels["model"].endswith("q8_0") else 1.0
    deep = math.log2(levels["n_ctx"] / 2048)
    speed = 60 / size * (1 - 0.05 * deep) * math.exp(draw.normal(0, 0.01))
    return {
        "decode_tps": speed,
        "ttft_ms": 400 * size * (1 + 0.1 * deep) * math.exp(draw.normal(0, 0.02)),
        "peak_rss_bytes": (3e8 * size + 4e4 * levels["n_ctx"]) * math.exp(draw.normal(0, 0.001)),
        "joules_per_token": 40 / speed,
        "perplexity": 16 - size + draw.normal(0, 0.01),
    }


@pytest.fixture(scope="session")
def bounded() -> Analysis:
    draw, rows = np.random.default_rng(5), []
    grid = [dict(zip(PARAMETERS, levels, strict=True)) for levels in itertools.product(*PARAMETERS.values())]
    for order, (block, levels) in enumerate(itertools.product(range(BLOCKS), grid)):
        if fits(levels) and ran(levels):
            row = {"cell": f"{order}", "label": label_of(levels), "block": block, "order": order, "arm": "grid"}
            row |= {"host": "bench", "started_at": "2026-01-02T03:04:05", "elapsed_s": 2.0, "outlier": False}
            rows.append({**row, **levels, **measured(levels, draw)})
    boundaries = [
        Boundary(label=label_of(levels), configuration=levels, runs=1, said="needs 9.1 GiB, 7.6 GiB are free")
        for levels in grid
        if not fits(levels)
    ]
    shares = {"model": (0.61, 0.55, 0.66), "n_ctx": (0.30, 0.24, 0.37), "model × n_ctx": (0.05, 0.01, 0.09)}
    return Analysis(
        name="bounded", title="What fits", description="", baseline=None, frame=pd.DataFrame(rows), floors={},
        objectives=(
            Objective(metric="decode_tps", direction="maximize"),
            Objective(metric="ttft_ms", direction="minimize"),
            Objective(metric="perplexity", direction="minimize", role="quality"),
        ),
        parameters=PARAMETERS, comparisons=(), main_effects=(), recommendations=(), targets=(), boundaries=boundaries,
        audit=Audit(planned=len(grid) * BLOCKS, done=len(rows), failed=0, missing=0, out_of_memory=len(boundaries)),
        importances=[
            Importance(metric="decode_tps", parameter=name, share=share, low=low, high=high)
            for name, (share, low, high) in reversed(shares.items())
        ],
    )  # fmt: skip
