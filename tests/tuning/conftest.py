"""A scripted laboratory: speeds and costs by a table, noise and time by a seed. Thousands of tokens take no time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import EngineError
from workbench.models import ModelFile, resolve
from workbench.tuning.candidate import Candidate
from workbench.tuning.lab import Shot
from workbench.tuning.quality import Quality
from workbench.tuning.workload import Workload

Speeds = Callable[[Candidate], tuple[float, float]]


class ScriptedLab:
    """Implements :class:`workbench.tuning.lab.Lab` without a model.

    Args:
        file: what stands for every file.
        speeds: prefill and decode tokens per second of a candidate.
        noise: standard deviation of each measurement's logarithm.
        drift: how far all speeds wander (a slow random walk), for pairs to cancel.
        kl: mean KL divergence by quantisation; others cost 0.001.
        failing: candidates that cannot be measured.
    """

    def __init__(
        self,
        file: ModelFile,
        speeds: Speeds = lambda _: (300.0, 100.0),
        *,
        noise: float = 0.0,
        drift: float = 0.0,
        kl: dict[str, float] | None = None,
        failing: Callable[[Candidate], bool] = lambda _: False,
        seed: int = 0,
    ) -> None:
        self.file, self.speeds, self.noise, self.drift = file, speeds, noise, drift
        self.kl, self.failing = kl or {}, failing
        self.random = random.Random(seed)
        self.now, self.level = 0.0, 0.0
        self.measured: list[Candidate] = []
        self.compared: list[Candidate] = []
        self.kept: Candidate | str | None = "not tidied"
        self.closed = False

    def clock(self) -> float:
        return self.now

    def prepare(self, candidate: Candidate) -> ModelFile:
        return self.file

    def measure(self, candidate: Candidate, workload: Workload) -> Shot:
        self.measured.append(candidate)
        if self.failing(candidate):
            raise EngineError("scripted to fail")
        self.level += self.random.gauss(0, self.drift)
        prefill, decode = (
            speed * 2.718281828 ** (self.level + self.random.gauss(0, self.noise)) for speed in self.speeds(candidate)
        )
        self.now += workload.prompt_tokens / prefill + workload.decode_tokens / decode
        return Shot(prefill, decode)

    def quality(self, candidate: Candidate, limit_tokens: int) -> Quality:
        self.compared.append(candidate)
        self.now += 5.0
        kl = self.kl.get(candidate.quantisation or "", 0.001)
        same_top = max(0.0, 1 - kl)
        return Quality(
            kl=kl,
            kl_stderr=0.001,
            same_top=same_top,
            same_top_low=same_top - 0.01,
            same_top_high=same_top + 0.01,
            perplexity_ratio=1 + kl,
            tokens=limit_tokens,
        )

    def tidy(self, kept: Candidate | None) -> None:
        self.kept = kept

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles and studies of each test lie in a folder of its own."""
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WORKBENCH_PROFILE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def file(tiny: Path) -> ModelFile:
    return resolve(tiny)


@pytest.fixture
def lab(file: ModelFile) -> Callable[..., ScriptedLab]:
    return lambda *args, **options: ScriptedLab(file, *args, **options)
