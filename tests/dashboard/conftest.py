"""Synthetic analyses: what a real sweep leaves, made in milliseconds and with known truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.sweep.design.planning import label_of, show
from workbench.sweep.findings import statistics
from workbench.sweep.results import (
    Analysis,
    Audit,
    Comparison,
    MainEffect,
    Objective,
    Recommendation,
    TargetResult,
)

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'`{{7*7}} <b>b</b> <a href='javascript:x()'>"
OBJECTIVES = (
    Objective(metric="decode_tps", direction="maximize"),
    Objective(metric="prefill_tps", direction="maximize"),
    Objective(metric="ttft_ms", direction="minimize"),
    Objective(metric="perplexity", direction="minimize", role="quality"),
)
TRUTH = {"prefill_tps": 310.0, "decode_tps": 131.0, "ttft_ms": 480.0, "load_ms": 910.0, "perplexity": 18.42}
GAIN = {  # per level beyond the first: factor on each metric
    "n_batch": {"prefill_tps": 1.18, "ttft_ms": 1 / 1.16, "decode_tps": 1.0},
    "n_ctx": {"prefill_tps": 0.985, "ttft_ms": 1.01, "decode_tps": 0.97, "load_ms": 1.2},
    "flash_attn": {"prefill_tps": 1.03, "ttft_ms": 0.98, "decode_tps": 1.09},
}
NOISE = {"prefill_tps": 0.02, "decode_tps": 0.012, "ttft_ms": 0.03, "load_ms": 0.1, "perplexity": 0.0}


def make_frame(
    parameters: Mapping[str, Sequence[Any]],
    blocks: int,
    arms: Sequence[str] = ("grid", "baseline", "twin"),
    seed: int = 7,
) -> pd.DataFrame:
    """Runs in randomised blocks with drift, one slow outlier, missing readings and two runs that failed."""
    draw = np.random.default_rng(seed)
    grid = [dict(zip(parameters, levels, strict=True)) for levels in itertools.product(*parameters.values())]
    cells = [("grid", label_of(levels), levels) for levels in grid]
    cells += [(arm, arm, {}) for arm in arms if arm != "grid"]
    rows, order = [], 0
    for block in range(blocks):
        for index in draw.permutation(len(cells)):
            arm, label, levels = cells[index]
            row = {"cell": f"{index:02d}-{block}", "label": label, "block": block, "order": order, "arm": arm}
            row |= {
                "host": "bench",
                "started_at": f"2026-01-02T03:{order // 60:02d}:{order % 60:02d}",
                "elapsed_s": 2.0,
            }
            row |= {name: levels.get(name) for name in parameters}
            drift = 1 + 0.04 * order / (blocks * len(cells))
            for metric, base in TRUTH.items():
                value = base * (drift if metric.endswith("_tps") else 1) * math.exp(draw.normal(0, NOISE[metric]))
                if arm != "grid":
                    value *= (
                        1.04
                        if metric == "decode_tps"
                        else 0.9
                        if metric.endswith("_tps")
                        else 1.1
                        if metric == "ttft_ms"
                        else 1
                    )
                for name, level in levels.items():
                    if level != parameters[name][0]:
                        value *= GAIN.get(name, {"decode_tps": 1.05}).get(metric, 1)
                row[metric] = value * (0.8 if order == 41 and metric == "decode_tps" else 1)
            row |= {"gpu_watts": math.nan, "outlier": False}
            rows.append(row)
            order += 1
    return pd.DataFrame(rows)


def compare(
    frame: pd.DataFrame,
    objective: Objective,
    names: tuple[str, str],
    one: pd.Series,
    other: pd.Series,
    band: float = 0.01,
) -> Comparison:
    """Rows ``one`` against rows ``other``, block by block, judged as the sweep judges (a family of eight)."""
    ours, theirs = (frame[rows].groupby("block")[objective.metric].mean() for rows in (one, other))
    ratios = (ours / theirs).dropna().to_numpy(dtype=float)
    effect = statistics.effect_of_logs(np.log(ratios))
    p_holm = None if effect.p is None else min(1.0, effect.p * 8)
    verdict, reason = statistics.judge(effect, p_holm, band, objective.direction, family=8)
    return Comparison(
        metric=objective.metric, label=names[0], configuration={}, reference=names[1], effect=effect, p_holm=p_holm,
        band=band, verdict=verdict, reason=reason,
        medians=(effect.ratio, effect.low, effect.high) if effect.low is not None and effect.high is not None else None,
    )  # fmt: skip


def analyse(
    parameters: Mapping[str, Sequence[Any]],
    frame: pd.DataFrame,
    *,
    text: Callable[[str], str] = str,
    failures: Sequence[tuple[str, str]] = (),
) -> Analysis:
    """An analysis of a synthetic frame; ``text`` is applied to every text a person could have chosen."""
    grid, twin = frame["arm"] == "grid", frame["arm"] == "twin"
    baseline = frame["arm"] == "baseline" if (frame["arm"] == "baseline").any() else None
    comparisons, effects, floors = [], [], {}
    for objective in OBJECTIVES:
        band = 0.01
        if twin.any() and baseline is not None:
            effect = compare(frame, objective, ("twin", text("baseline")), twin, baseline).effect
            floors[objective.metric] = statistics.floor_of(objective.metric, effect)
            band = max(band, floors[objective.metric].width)
        for label in dict.fromkeys(frame["label"][grid]) if baseline is not None else ():
            rows = grid & (frame["label"] == label)
            comparisons.append(compare(frame, objective, (label, text("baseline")), rows, baseline, band))
        for name, levels in parameters.items():
            first = grid & (frame[name] == levels[0])
            for level in levels[1:]:
                names, rows = (f"{name}={show(level)}", f"{name}={show(levels[0])}"), grid & (frame[name] == level)
                found = compare(frame, objective, names, rows, first, band)
                effects.append(MainEffect(parameter=name, level=level, reference_level=levels[0], comparison=found))
    return Analysis(
        name=text("quickstart"),
        title=text("SmolLM2-135M on two cores: batch, context and flash attention"),
        description=text("Which engine settings serve short chats best on this machine?"),
        objectives=OBJECTIVES,
        parameters=parameters,
        baseline=text("baseline") if baseline is not None else None,
        frame=frame,
        floors=floors,
        comparisons=comparisons,
        main_effects=effects,
        recommendations=[_recommend(objective, comparisons, text) for objective in OBJECTIVES[:3]],
        targets=[
            TargetResult(name=text("one stream"), asked="≥ 1.2 × plain Llama", measured="1.27 ×", met=True),
            TargetResult(name="decode of 128 tokens", asked="≥ 0.97 × llama-bench", measured="0.95 ×", met=False),
            TargetResult(name="energy", asked="≤ 1 J/token", measured="no energy counter", met=None),
        ] if baseline is not None else [],
        audit=Audit(
            planned=len(frame) + len(failures), done=len(frame), failed=len(failures), missing=0, failures=failures
        ),
        environment={
            "host": text("bench"), "cpu": "AMD EPYC 7763, 2 cores", "gpu": None, "ram_bytes": 8_200_000_000,
            "versions": {"llama-cpp-python": "0.3.36", "workbench": text("0.1.0")}, "git_commit": "0c1e570",
        },
        definitions={
            "decode_tps": text("(N - 1) / decode time for N generated tokens."),
            "prefill_tps": "Prompt tokens computed per second.",
            "ttft_ms": "Request start to first non-empty chunk, queueing included.",
            "perplexity": "exp(-mean log-probability) of a fixed text.",
        },
    )  # fmt: skip


def _recommend(objective: Objective, comparisons: Sequence[Comparison], text: Callable[[str], str]) -> Recommendation:
    better = [row for row in comparisons if row.metric == objective.metric and row.verdict == "better"]
    if not better:
        return Recommendation(
            metric=objective.metric, conclusive=False, configuration={}, code="", evidence=None,
            headline=text("Inconclusive: only 1 complete blocks; 10 are needed to decide."),
        )  # fmt: skip
    best = max(better, key=lambda row: abs(math.log(row.effect.ratio)))
    quality = [row for row in comparisons if row.metric == "perplexity" and row.label == best.label]
    return Recommendation(
        metric=objective.metric, conclusive=True, configuration={"n_batch": 512}, evidence=best, quality=quality,
        notes=[text("Quality: perplexity unchanged.")],
        headline=text(f"Use {best.label}: {best.effect.ratio:.2f} times the baseline in {best.effect.n} blocks."),
        code=text('engine = wb.load("smollm2-135m", n_batch=512, flash_attn=True)'),
    )  # fmt: skip


GRID = {"n_batch": (128, 512), "n_ctx": (512, 2048), "flash_attn": (False, True)}


def make_normal() -> Analysis:
    """2 x 2 x 2 grid, baseline, twin, ten blocks; three runs failed."""
    frame = make_frame(GRID, 10)
    gone = frame.index[(frame["label"] == label_of({"n_batch": 128, "n_ctx": 2048, "flash_attn": True}))][:3]
    failures = [(str(frame["cell"][row]), "WorkerDied: signal SIGKILL (out of memory)") for row in gone]
    return analyse(GRID, frame.drop(index=gone), failures=failures)


def make_single() -> Analysis:
    """No baseline, no twin, one parameter with three levels, one of them long."""
    parameters = {"type_k": ("f16", "q8_0", "a-rather-long-level-name-of-a-quantised-type")}
    return analyse(parameters, make_frame(parameters, 8, arms=("grid",)))


def make_tiny() -> Analysis:
    """One block: everything inconclusive; one combination never finished."""
    parameters = {"n_batch": (128, 512), "flash_attn": (False, True)}
    frame = make_frame(parameters, 1)
    return analyse(parameters, frame[frame["label"] != "n_batch=512, flash_attn=on"])


def make_hostile() -> Analysis:
    """Everything a person can choose is an attack."""
    parameters = {f"p{EVIL}": ("plain", f"level{EVIL}"), "n_ctx": (512, 2048)}
    frame = make_frame(parameters, 6)
    frame["host"] = EVIL
    frame[EVIL] = 1.0
    failures = [(EVIL, f"Traceback {EVIL} \x00 \udc80 \u202e")]
    return analyse(parameters, frame, text=lambda value: f"{value} {EVIL}", failures=failures)


@pytest.fixture(scope="session")
def normal() -> Analysis:
    return make_normal()


@pytest.fixture(scope="session")
def single() -> Analysis:
    return make_single()


@pytest.fixture(scope="session")
def tiny() -> Analysis:
    return make_tiny()


@pytest.fixture(scope="session")
def hostile() -> Analysis:
    return make_hostile()


@pytest.fixture(scope="session")
def thousand() -> Analysis:
    """A hundred configurations in ten blocks."""
    parameters = {
        "n_batch": (64, 128, 256, 512, 1024),
        "n_ctx": tuple(2**n for n in range(8, 18)),
        "flash_attn": (False, True),
    }
    return analyse(parameters, make_frame(parameters, 10))


@pytest.fixture(scope="session", params=["normal", "single", "tiny", "hostile"])
def any_analysis(request: pytest.FixtureRequest) -> Analysis:
    found: Analysis = request.getfixturevalue(request.param)
    return found
