"""Contenders in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import EngineError
from workbench.evaluation import contest as contests
from workbench.evaluation.contest import contest, middle, run_apart

SMALL = {"n_ctx": 256, "n_threads": 1}


def test_contenders_are_measured_apart(tiny: Path) -> None:
    contenders = {"tuned": SMALL, "baseline": {"engine": "baseline", **SMALL}}
    results = contest("stream", tiny, contenders, output_tokens=6)
    assert set(results) == {"tuned", "baseline"}
    for measured in results.values():
        assert measured[0]["output_tokens"] == 6
        assert measured[0]["settings"]["n_ctx"] == 256
    assert middle(results, "tuned", "output_tps") > 0
    assert middle(results, "absent", "output_tps") is None


def test_every_second_round_goes_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def note(measure: str, model: str, contender: dict[str, str], **options: int) -> dict[str, int]:
        order.append(contender["name"])
        return {"v": len(order)}

    monkeypatch.setattr(contests, "run_apart", note)
    results = contest("stream", "m", {name: {"name": name} for name in "abc"}, rounds=2)
    assert sorted(order[:3]) == list("abc")
    assert order[3:] == order[:3][::-1]
    assert middle(results, order[0], "v") == 3.5


def test_a_peer_that_is_not_there_does_not_take_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_SERVER", "no-such-program")
    assert contest("stream", "no-such-model", {"server": {"engine": "llama-server"}}) == {}


def test_a_home_of_its_own_reaches_the_child(tiny: Path, tmp_path: Path) -> None:
    run_apart("stream", tiny, SMALL, home=tmp_path / "home", output_tokens=2)
    assert (tmp_path / "home").exists(), "hashes and caches of that process went there"


def test_what_fails_there_is_an_error_here(tiny: Path) -> None:
    with pytest.raises(EngineError, match=r"stream of .* failed with 1: .*Unknown setting 'n_contex'"):
        run_apart("stream", tiny, {"n_contex": 5})
    with pytest.raises(EngineError, match=r"took more than 0\.2 s"):
        run_apart("stream", tiny, SMALL, timeout_s=0.2)
