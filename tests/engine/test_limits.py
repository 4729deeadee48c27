"""llama-bench's numbers through our library."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.engine.limits import Meter, measure_limits
from workbench.engine.native.context import Context
from workbench.models import resolve
from workbench.settings import EngineSettings


def test_one_token_a_decode_and_whole_batches(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    original = Context.decode

    def counting(self: Context) -> int:
        sizes.append(self.batch.size)
        return original(self)

    monkeypatch.setattr(Context, "decode", counting)
    limits = measure_limits(resolve(tiny), EngineSettings(n_batch=64, n_threads=1), n_prompt=150, n_gen=20)
    assert limits.pp_tps is not None
    assert limits.tg_tps is not None
    assert min(limits.pp_tps, limits.tg_tps) > 0
    assert sizes == [32, 64, 64, 22, *[1] * 4, *[1] * 20]
    assert limits.settings.n_batch == 64


def test_what_is_not_asked_for_is_none(tiny: Path) -> None:
    assert measure_limits(resolve(tiny), EngineSettings(n_threads=1), n_gen=4).pp_tps is None


def test_a_turn_is_a_prompt_and_what_follows_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[int, int]] = []
    original = Context.decode

    def noting(self: Context) -> int:
        steps.append((self.batch.size, int(self.batch._pos[0])))
        return original(self)

    monkeypatch.setattr(Context, "decode", noting)
    with Meter(resolve(tiny), EngineSettings(n_batch=64, n_threads=1), 103) as meter:
        for _ in range(2):
            steps.clear()
            assert min(meter.turn_tps(100, 3)) > 0
            assert steps == [(64, 0), (36, 64), (1, 100), (1, 101), (1, 102)]
    meter.close()
