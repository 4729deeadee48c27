"""Sampling in the graph, through the engine: on the CPU's backend the same path runs as on a GPU's."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.engine import TunedEngine
from workbench.engine.sampling.device_sampler import DeviceSampler
from workbench.settings import EngineSettings

GREEDY = {"temperature": 0.0, "ignore_eos": True}


def make(path: Path, **settings: object) -> TunedEngine:
    exact = {"type_k": "f32", "type_v": "f32"}
    return TunedEngine(path, EngineSettings.from_mapping({"n_threads": 1, **exact, **settings}))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[bool | None]:
    """What each sampler that ran in a graph says about where it drew."""
    where: list[bool | None] = []
    free = DeviceSampler.free

    def noting(self: DeviceSampler) -> None:
        where.append(self.on_device)
        free(self)

    monkeypatch.setattr(DeviceSampler, "free", noting)
    return where


@pytest.mark.parametrize("sampling", [GREEDY, {"temperature": 1.0, "seed": 7, "ignore_eos": True}])
def test_it_draws_what_the_host_draws(tiny: Path, sampling: dict[str, object], drawn: list[bool | None]) -> None:
    prompts = ["one story", "another story", "a third"]
    with make(tiny, gpu_sampling=True, n_seq_max=3) as device, make(tiny, n_seq_max=3) as host:
        ours = [c.text for c in device.complete_many(prompts, max_tokens=40, **sampling)]
        theirs = [c.text for c in host.complete_many(prompts, max_tokens=40, **sampling)]
    assert ours == theirs
    assert drawn == [True, True, True]


def test_it_goes_on_in_a_larger_context(tiny: Path, drawn: list[bool | None]) -> None:
    prompt = "x" * 900
    with make(tiny, gpu_sampling=True) as device, make(tiny, n_ctx=8192) as host:
        ours = device.complete(prompt, max_tokens=100, **GREEDY)
        assert ours.text == host.complete(prompt, max_tokens=100, **GREEDY).text
        growing = device.stream("y" * 1000, **GREEDY)
        text = "".join(next(growing).text for _ in range(1400))
        growing.cancel()
        assert device.stats.grown >= 1
        assert text == host.complete("y" * 1000, max_tokens=1400, **GREEDY).text


def test_what_the_device_cannot_draw_the_host_does(tiny: Path, drawn: list[bool | None]) -> None:
    with make(tiny, gpu_sampling=True) as engine:
        answer = engine.complete("count", grammar='root ::= "1" | "2"', max_tokens=4)
        assert answer.text in ("1", "2")
        assert len(engine.complete("a", max_tokens=4, dry_multiplier=0.8, ignore_eos=True).tokens) == 4
    assert drawn == []
