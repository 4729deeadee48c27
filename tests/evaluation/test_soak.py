"""Endurance: short in every run of the tests, long under `make soak`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import workbench as wb
from workbench.evaluation.soak import _flatness, soak

GROWTH_BYTES = 8 * 2**20
"""What allocators and caches may still take once everything has been used."""


@pytest.mark.timeout(120)
def test_requests_of_all_kinds_end_as_they_must(tiny: Path) -> None:
    noted: list[int] = []
    with wb.load(tiny, n_ctx=2048, n_seq_max=4, n_threads=1) as llm:
        seen = soak(llm, requests=80, at_once=4, settle=20, every=10, note=noted.append)
    assert noted == list(range(10, 81, 10))
    assert sum(seen["outcomes"].values()) == 80
    assert {"length", "cancelled", "refused"} <= set(seen["outcomes"])
    assert "not refused" not in seen["outcomes"]
    assert len(seen["rss"]) == 8


def test_flatness_is_looked_at_after_settling() -> None:
    rising = [(at, 1000 + at) for at in range(0, 1001, 10)]
    found = _flatness(rising, 200)
    assert found["slope_bytes"] == pytest.approx(1000)
    assert found["growth_bytes"] == pytest.approx(800, abs=50)
    flat = [(at, 9000 if at < 200 else 5000) for at in range(0, 1001, 10)]
    assert _flatness(flat, 200) == {"growth_bytes": 0, "slope_bytes": pytest.approx(0, abs=1e-6)}
    assert _flatness([(0, 1)], 200) == {"growth_bytes": None, "slope_bytes": None}


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("isolation", ["none", "process"])
def test_memory_stays_flat_over_very_many_requests(tiny: Path, isolation: str) -> None:
    """``WORKBENCH_SOAK_REQUESTS`` sets how many; 20,000 unless given."""
    requests = int(os.environ.get("WORKBENCH_SOAK_REQUESTS", "20000"))
    settings = {"n_ctx": 4096, "n_seq_max": 8, "n_threads": 1, "host_cache_bytes": 4 * 2**20}
    with wb.load(tiny, isolation=isolation, **settings) as llm:  # type: ignore[arg-type]
        seen = soak(llm, requests=requests, settle=min(2000, requests // 4), every=50)
    assert "not refused" not in seen["outcomes"]
    assert seen["growth_bytes"] < GROWTH_BYTES, seen["rss"][:: max(1, len(seen["rss"]) // 20)]
    assert abs(seen["slope_bytes"]) * requests / 1000 < GROWTH_BYTES
