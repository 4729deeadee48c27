"""The figures of voices that share a story, on a real engine with a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

import workbench as wb
from workbench.errors import InvalidSettings
from workbench.evaluation.cast_bench import ROLES, cast_figures
from workbench.testing import ScriptedEngine


def test_an_engine_computes_a_shared_story_once(tiny: Path) -> None:
    with wb.load(tiny, n_ctx=8192, n_seq_max=4, n_threads=1) as engine:
        figures = cast_figures(engine, rounds=2, story_tokens=400, max_tokens=2)
    assert figures["computed_ratio"] < 0.6
    assert figures["computed_tokens"] < figures["input_tokens"]
    assert figures["own_computed_tokens"] <= figures["own_input_tokens"]


def test_without_reuse_everything_is_computed() -> None:
    figures = cast_figures(ScriptedEngine("So it went."), rounds=1, story_tokens=50)
    assert figures["computed_tokens"] == figures["input_tokens"] > len(ROLES) * 50
    with pytest.raises(InvalidSettings, match="one round"):
        cast_figures(ScriptedEngine(), rounds=0)
