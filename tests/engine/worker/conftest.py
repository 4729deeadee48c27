"""One worker for the tests that leave it as it was: starting an interpreter takes a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.engine.worker.engine import ProcessEngine
from workbench.settings import EngineSettings


@pytest.fixture(scope="module")
def worker(tiny: Path) -> Iterator[ProcessEngine]:
    with ProcessEngine(tiny, EngineSettings(n_ctx=8192, n_threads=1)) as engine:
        yield engine
