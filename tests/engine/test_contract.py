"""Every local engine keeps the contract of engines.

One compute thread each: the suites hold two engines at times, and spinning threads of both on few cores crawl.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from workbench.engine import BaselineEngine, TunedEngine
from workbench.interfaces import Engine
from workbench.settings import EngineSettings
from workbench.testing.contracts import EngineContract


class _OnTiny(EngineContract):
    path: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _model(cls, tiny: Path) -> None:
        cls.path = tiny


class TestTuned(_OnTiny):
    def make(self) -> Engine:
        return TunedEngine(self.path, EngineSettings(n_ctx=1024, n_threads=1))


class TestTunedWithFourSequences(_OnTiny):
    def make(self) -> Engine:
        return TunedEngine(self.path, EngineSettings(n_ctx=4096, n_seq_max=4, n_threads=1))


class TestBaseline(_OnTiny):
    tells_tokens = False  # llama_cpp.Llama streams text only

    def make(self) -> Engine:
        return BaselineEngine(self.path, EngineSettings(n_ctx=1024, n_threads=1))


@pytest.mark.model
class TestTunedOnTheRealModel(EngineContract):
    def make(self) -> Engine:
        return TunedEngine("smollm2-135m", EngineSettings(n_ctx=1024, n_threads=1))
