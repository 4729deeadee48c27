"""Searches over a made-up response surface: no process, no time, noise from a seed."""

import math
import random

import pytest

from workbench.interfaces import Outcome
from workbench.sweep import Sweep
from workbench.sweep.execution import books

PARAMETERS = "n_batch = 512\nn_threads = 1\nflash = False\nkind = 'f16'\nratio = 0.5\ndraft = 4"
SPACE = {
    "n_batch": [2**n for n in range(4, 13)],
    "n_threads": [1, 2, 3, 4, 5, 6, 7, 8],
    "flash": [False, True],
    "kind": ["f16", "q8", "q4"],
}


class Surface:
    """An executor that answers from a function of the parameters; remembers what it ran.

    Args:
        metrics: parameters → metrics, or a reason to fail.
        noise: standard deviation of the logarithm of each metric.
        seed: of the noise, which depends on the run and not on when it is run.
        most: runs after which it dies with its driver.
    """

    def __init__(self, metrics, *, noise=0.03, seed=0, most=None):
        self.metrics, self.noise, self.seed, self.most, self.ran = metrics, noise, seed, most, []

    def run(self, jobs, function):
        for job in jobs:
            if self.most is not None and len(self.ran) >= self.most:
                raise KeyboardInterrupt
            self.ran.append(job.payload)
            yield job, self._outcome(job)

    def _outcome(self, job):
        found = self.metrics(job.payload["parameters"])
        if isinstance(found, str):
            return Outcome(
                status="failed", result=None, error=f"script says {found}", elapsed_s=1.0, host="made", reason=found
            )
        luck = random.Random(f"{self.seed}:{job.id}")
        noisy = {name: value * math.exp(luck.gauss(0, self.noise)) for name, value in found.items()}
        record = {"metrics": noisy, "info": {}, "series": {}}
        return Outcome(
            status="done", result={"record": record, "environment": {}}, error=None, elapsed_s=1.0, host="made"
        )

    @property
    def trials(self):
        """Labels of the trials, as often as they ran."""
        return [one["label"] for one in self.ran if one["phase"] == "search" and one["label"] != "baseline"]


@pytest.fixture
def surface():
    return Surface


@pytest.fixture
def search(spec_of, notebook, monkeypatch, tmp_path):
    """A search over SPACE; keywords of the specification, `search` among them."""
    monkeypatch.setattr(books, "_facts", lambda spec: {})
    notebook(PARAMETERS, "pass")

    def make(folder="results", **changes):
        values = {
            "mode": "search",
            "search": {"trials": 30},
            "parameters": SPACE,
            "baseline": {},
            "blocks": 6,
            "results": str(tmp_path / folder),
        }
        return Sweep(spec_of(**{**values, **changes}))

    return make
