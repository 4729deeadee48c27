"""Synthetic analyses: what a real sweep leaves, made in milliseconds and with known truth."""

from __future__ import annotations

import dataclasses
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
    Boundary,
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
            headline=text("Inconclusive: only 1 complete block; 10 are needed to decide."),
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


SERVING = {"n_seq_max": (4, 16), "flash_attn": (False, True), "concurrency": (1, 2, 4, 8, 16)}
STAGES = ("load_ms", "tokenize_ms", "prefill_ms", "decode_ms")


def make_served(blocks: int = 6, gpu: bool = True, seed: int = 11) -> Analysis:
    """Requests under load: a throughput that saturates, stages, single waits, the machine over time."""
    draw = np.random.default_rng(seed)
    frame = make_frame(SERVING, blocks, arms=("grid",), seed=seed).drop(columns=["gpu_watts", "load_ms"])
    frame = pd.concat(
        [frame, pd.DataFrame([_served(row, len(frame), gpu, draw) for row in frame.to_dict("records")])], axis=1
    )
    samples = pd.concat([_samples_of(row, gpu, draw) for row in frame.to_dict("records")], ignore_index=True)
    plain = analyse(SERVING, frame)
    return dataclasses.replace(
        plain, name="serving", title="One to sixteen requests at once",
        load="concurrency", stages=STAGES, samples=samples,
        objectives=[
            Objective(metric="throughput_tps", direction="maximize"),
            Objective(metric="ttft_p95_ms", direction="minimize"),
        ],
        recommendations=[_confirmed(frame)],
        boundaries=[
            Boundary(
                label="n_seq_max=64, flash_attn=off, concurrency=16", configuration={"n_seq_max": 64}, runs=2,
                said="OutOfMemory: needs 9.1 GiB, 7.4 GiB are free",
            )
        ],
        audit=Audit(planned=len(frame) + 3, done=len(frame), failed=1, missing=0, out_of_memory=2,
                    failures=[("n_seq_max=4", "timeout after 600 s")]),
    )  # fmt: skip


def _served(row: Mapping[str, Any], count: int, gpu: bool, draw: np.random.Generator) -> dict[str, float]:
    """The numbers of one run: service time 40 ms a request, a queue beyond as many as there are sequences."""
    load, slots, flash = row["concurrency"], row["n_seq_max"], row["flash_attn"]
    jitter, warm = draw.lognormal(0, 0.02, 4), row["order"] / count
    rate = 62 * min(load, slots) ** 0.62 * (1.12 if flash else 1.0) * jitter[0]
    wait = 46 * (1 + max(0, load - slots) * 1.7 + 0.06 * load) * jitter[1]
    e2e = 1e3 * 64 * load / rate
    machine = {"cpu_mhz": 3400 - 350 * warm + 15 * draw.normal(), "cpu_temperature_c": 52 + 23 * warm + draw.normal()}
    machine |= {"load_1min": 2.1 + 0.2 * draw.normal()}
    if gpu:
        machine |= {"gpu_temperature_c": 48 + 20 * warm + draw.normal(), "gpu_sm_clock_mhz": 1980 - 90 * warm}
        machine |= {"gpu_power_watts": math.nan if row["order"] in (30, 31) else 240 + 8 * draw.normal()}
    return machine | {
        "throughput_tps": rate, "ttft_p50_ms": wait, "ttft_p95_ms": wait * (1.5 + 0.08 * load) * jitter[2],
        "e2e_p50_ms": e2e, "e2e_p95_ms": e2e * 1.3 * jitter[3], "goodput_rps": rate / 64 * (1 if wait < 300 else 0.35),
        "load_ms": 310.0 * jitter[2], "tokenize_ms": 1.4 * load, "prefill_ms": 38 * load * jitter[1],
        "decode_ms": 0.8 * e2e, "total_ms": 330 + 40 * load + e2e,
    }  # fmt: skip


def _samples_of(row: Mapping[str, Any], gpu: bool, draw: np.random.Generator) -> pd.DataFrame:
    """Samples of one run: sixteen requests in waves, a token every few ms, the machine every 50 ms."""
    begun, series = 0.4, {}
    first = begun + np.cumsum(draw.exponential(0.05, 16)) * (1 if row["concurrency"] > 1 else 4)
    series["ttft_ms"] = (first, draw.lognormal(math.log(row["ttft_p50_ms"]), 0.35, 16))
    gaps = draw.lognormal(math.log(9.0 if row["flash_attn"] else 11.0), 0.3, 16 * 24) * np.where(
        draw.random(16 * 24) < 0.02, 8, 1
    )
    later = np.concatenate([at + np.cumsum(gaps[n * 24 : n * 24 + 24]) / 1e3 for n, at in enumerate(first)])
    series["itl_ms"] = (later, gaps)
    ticks = np.arange(0, float(later.max()) + 0.3, 0.05)
    busy = (ticks > begun) & (ticks < later.max())
    series["cpu_percent"] = (ticks, np.where(busy, 93, 4) + draw.normal(0, 2, len(ticks)))
    series["process_cpu_percent"] = (ticks, np.where(busy, 180, 2) + draw.normal(0, 3, len(ticks)))
    series["rss_bytes"] = (ticks, 2**20 * np.where(busy, 412.0, 160.0))
    series["ram_available_bytes"] = (ticks, 2**30 * (61.5 - 0.3 * busy))
    if gpu:
        power = np.where(busy, 310, 75) + draw.normal(0, 6, len(ticks))
        power[5:8] = math.nan
        series["gpu0_power_w"] = (ticks, power)
        series["gpu0_utilisation_percent"] = (ticks, np.where(busy, 97.0, 0.0))
        series["gpu0_sm_clock_mhz"] = (ticks, np.where(busy, 1900.0, 345.0))
        series["gpu0_temperature_c"] = (ticks, 48 + 9 * np.cumsum(busy) / max(busy.sum(), 1))
        series["gpu0_energy_joules"] = (ticks, np.cumsum(np.nan_to_num(power)) * 0.05)
    parts = [
        pd.DataFrame(
            {
                "cell": row["cell"],
                "label": row["label"],
                "block": row["block"],
                "series": name,
                "at_s": at,
                "value": value,
            }
        )
        for name, (at, value) in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _confirmed(frame: pd.DataFrame) -> Recommendation:
    """A recommendation with all it can carry."""
    best, base = "n_seq_max=16, flash_attn=on, concurrency=16", "n_seq_max=4, flash_attn=off, concurrency=1"
    objective = Objective(metric="throughput_tps", direction="maximize")
    rows, others = frame["label"] == best, frame["label"] == base
    found = compare(frame, objective, (best, base), rows, others)
    settings = {"n_seq_max": 16, "flash_attn": True}
    return Recommendation(
        metric="throughput_tps", conclusive=True, configuration=settings,
        evidence=dataclasses.replace(found, verdict="better"),
        headline=f"Use {best}: {found.effect.ratio:.1f} times as many tokens a second as {base}.",
        code='engine = wb.load("smollm2-135m", n_seq_max=16, flash_attn=True)', notes=["Quality was not measured."],
        confirmation=dataclasses.replace(found, verdict="better", reason=""),
        runs=[f"runs/{cell}-1" for cell in frame["cell"][rows]], profile={"engine": settings},
    )  # fmt: skip


@pytest.fixture(scope="session")
def served() -> Analysis:
    return make_served()
