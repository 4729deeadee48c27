"""The report of a tune: what was found is on the page, and nothing on it can run."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from workbench.dashboard import write_tune_report
from workbench.dashboard.figures import tuning
from workbench.dashboard.tune_report import render
from workbench.errors import UsageError
from workbench.models.profiles import Profile
from workbench.sweep.results import Effect
from workbench.tuning import Candidate, Plan, Quality, QualityLimit, Shot, TuneResult, Workload
from workbench.tuning.results import Row, Screened, TrialRecord

EVIL = "<script>alert(1)</script>"


def effect(ratio: float) -> Effect:
    return Effect(ratio=ratio, low=0.95 * ratio, high=1.05 * ratio, level=0.96, p=0.002, n=10)


def quality(kl: float) -> Quality:
    return Quality(
        kl=kl,
        kl_stderr=0.01,
        same_top=1 - kl,
        same_top_low=0.9 - kl,
        same_top_high=1.0,
        perplexity_ratio=1 + kl,
        tokens=600,
    )


def trial(
    number: int, candidate: Candidate, ratio: float, state: str = "measured", kl: float | None = None
) -> TrialRecord:
    pair = (Shot(300.0 * ratio, 100.0 * ratio), Shot(300.0, 100.0))
    return TrialRecord(
        number=number,
        candidate=candidate,
        levels={
            "file": candidate.quantisation or "as it is",
            "threads": str(dict(candidate.settings).get("n_threads")),
        },
        state=state,
        pairs=() if state == "failed" else (pair, pair),
        reason="" if state == "measured" else f"why {state}",
        quality=None if kl is None else quality(kl),
    )


@pytest.fixture
def result() -> TuneResult:
    q4 = Candidate("Q4_0", (("n_threads", 2),))
    rows = [
        Row(
            candidate=q4,
            prefill=effect(3.0),
            decode=effect(1.75),
            speed=effect(2.3),
            prefill_tps=930.0,
            decode_tps=229.0,
            verdict="better",
            reason="the whole interval lies beyond ±2.0%",
            quality=quality(0.26),
            chosen=True,
        ),
        Row(
            candidate=Candidate(None, (("n_threads", 1),)),
            prefill=effect(1.0),
            decode=effect(1.0),
            speed=effect(1.0),
            prefill_tps=310.0,
            decode_tps=131.0,
            verdict="inconclusive",
            reason="more blocks would narrow it",
            quality=None,
        ),
    ]
    trials = [
        trial(0, Candidate(), 1.0),
        trial(1, Candidate("Q4_0"), 2.2, kl=0.26),
        trial(2, Candidate(None, (("n_threads", 1),)), 0.6, "given up"),
        trial(3, q4, 2.3, kl=0.26),
        trial(4, Candidate("Q8_0"), 1.0, "failed"),
    ]
    machine = {"cpu": "A CPU", "gpus": []}
    profile = Profile(
        model=EVIL,
        model_sha256="0" * 64,
        machine=machine,
        llama_cpp="0",
        settings={"n_threads": 2},
        quantisation="Q4_0",
    )
    return TuneResult(
        model=EVIL,
        model_sha256="0" * 64,
        quantisation="Q4_1",
        machine=machine,
        workload=Workload(),
        asked=Workload(),
        limit=QualityLimit(),
        plan=Plan(),
        screened=[Screened(dimension="file", level="Q2_K", quality=quality(0.9), refused="mean KL exceeds")],
        trials=trials,
        default=(310.0, 131.0),
        floor=0.02,
        rows=rows,
        profile=profile,
        profile_path=Path("/profiles/x.json"),
        seconds=599.0,
        notes=["a note"],
    )


def test_the_page_says_what_was_found_and_what_it_costs(result: TuneResult, tmp_path: Path) -> None:
    path = write_tune_report(result, tmp_path / "sub" / "tune.html")
    page = path.read_text(encoding="utf-8")
    for said in (
        "1.75 × [1.66, 1.84]",
        "3.00 × [2.85, 3.15]",
        "KL 0.2600 nats",
        "74.0%",
        "(chosen)",
        "mean KL exceeds",
        "a note",
    ):
        assert said in page, said
    assert "/profiles/x.json" in page


def test_names_from_outside_stay_text(result: TuneResult) -> None:
    page = render(result)
    assert EVIL not in page
    scripts = re.findall(r"<script(?P<attributes>[^>]*)>", page)
    assert sorted(scripts) == [
        "",
        "",
        *(f' type="application/json" id="payload-{name}"' for name in ("data", "figures", "templates")),
    ]


def test_every_trial_can_be_saved(result: TuneResult) -> None:
    found = re.search(r'id="payload-data">(.*?)</script>', render(result))
    assert found
    data = json.loads(found[1])
    assert [run[0] for run in data["runs"]] == [1, 2, 3, 4, 5]
    assert {len(run) for run in data["runs"]} == {len(data["columns"])}
    assert data["rows"][0]["decode"]["ratio"] == 1.75
    assert data["profile"]["settings"] == {"n_threads": 2}


def test_the_figures_show_the_trials(result: TuneResult) -> None:
    assert tuning.available(result) == tuning.NAMES
    history = tuning.draw("history", result)
    assert [len(trace.x) for trace in history.data] == [3, 1, 4]
    assert list(history.data[2].y) == pytest.approx([1.0, 2.2, 2.3, 2.3]), "the incumbent never falls"
    levels = tuning.draw("levels", result)
    assert sum(len(trace.x) for trace in levels.data if trace.name == "trial") == 8, "two dimensions of four trials"
    trade = tuning.draw("trade", result)
    [chosen] = [trace for trace in trade.data if trace.name == "chosen"]
    assert (list(chosen.x), list(chosen.y)) == ([0.26], [2.3])
    assert trade.layout.shapes[0].x0 == 0.3


def test_a_tune_that_found_nothing_has_a_page_too(result: TuneResult) -> None:
    empty = dataclasses.replace(result, rows=[], trials=[], screened=[], default=None, floor=None, profile=None)
    assert tuning.available(empty) == ()
    assert "there was no final" in render(empty)
    assert "the default stays" in render(empty)
    with pytest.raises(UsageError, match="none"):
        tuning.draw("history", empty)


def test_without_a_limit_there_is_no_line(result: TuneResult) -> None:
    free = dataclasses.replace(result, limit=QualityLimit(max_kl=None))
    assert not tuning.draw("trade", free).layout.shapes
