"""The engine in a process of its own keeps the contract of engines."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from workbench.engine.worker.engine import ProcessEngine
from workbench.interfaces import Engine
from workbench.settings import EngineSettings
from workbench.testing.contracts import EngineContract


class TestProcessEngine(EngineContract):
    path: ClassVar[Path]
    long_tokens = 1200  # a tiny model is done with 400 before a cancellation has crossed two pipes

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _model(cls, tiny: Path) -> None:
        cls.path = tiny

    def make(self) -> Engine:
        return ProcessEngine(self.path, EngineSettings(n_ctx=4096, n_threads=1))
