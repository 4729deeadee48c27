"""An executor that does what a script says: no process, any number of slots, results in any order."""

import json
import random
from pathlib import Path

import pytest

from workbench.interfaces import Outcome
from workbench.sweep import Sweep
from workbench.sweep.execution import books

FAILS = {"error", "timeout", "died", "out_of_memory", "lost"}


class Scripted:
    """Ends each attempt at a cell with a word: "done", a reason to fail, or "killed": its whole plot with it.

    Args:
        word: called with a cell's payload and the number of times the cell was tried.
        slots: jobs under way at the same time.
        seed: of the order in which those end.
    """

    def __init__(self, word, *, slots=1, seed=0):
        self.word, self.slots, self._luck = word, slots, random.Random(seed)
        self.ran, self.jobs, self.most = [], [], 0

    def run(self, jobs, function):
        jobs, under_way = iter(jobs), []
        while True:
            while len(under_way) < self.slots and (job := next(jobs, None)) is not None:
                under_way.append(job)
            if not under_way:
                return
            self.most = max(self.most, len(under_way))
            job = under_way.pop(self._luck.randrange(len(under_way)))
            self.jobs.append(job)
            yield job, self._end(job)

    def _end(self, job):
        if "cells" not in job.payload:
            return outcome(self._cell(job.payload), job.payload)
        told = {}
        for payload in job.payload["cells"]:
            word = self._cell(payload)
            if word in ("killed", "lost"):
                return outcome("died" if word == "killed" else "lost", payload)
            told[payload["id"]] = left(word, payload)
            # as a plot does: what has ended is there, whatever becomes of the rest
            Path(payload["folder"]).mkdir(parents=True, exist_ok=True)
            (Path(payload["folder"]) / "outcome.json").write_text(
                json.dumps({"cell": payload["id"], "elapsed_s": 1.0, **_kept(told[payload["id"]])})
            )
            if word == "died":
                break
        return Outcome(status="done", result={"cells": told}, error=None, elapsed_s=1.0, host="scripted")

    def _cell(self, payload):
        self.ran.append(payload["label"])
        return self.word(payload, int(payload["folder"].rpartition("-")[2]))


def left(word, payload):
    if word in FAILS:
        return {"error": f"script says {word}", "reason": word, "elapsed_s": 1.0}
    metrics = {"speed": float(payload["parameters"].get("a", 1)) + payload["block"] / 100}
    return {
        "record": {"metrics": metrics, "info": {}, "series": {}},
        "environment": {"scripted": True},
        "elapsed_s": 1.0,
    }


def _kept(found):
    return found if "error" in found else {"result": {"record": found["record"], "environment": found["environment"]}}


def outcome(word, payload):
    found = left("died" if word == "killed" else word, payload)
    failed = "error" in found
    return Outcome(
        status="failed" if failed else "done",
        result=None if failed else found,
        error=found.get("error"),
        elapsed_s=1.0,
        host="scripted",
        reason=found.get("reason"),
    )


@pytest.fixture
def scripted():
    return Scripted


@pytest.fixture
def sweep(spec_of, monkeypatch):
    """A sweep of three configurations in four blocks, run by a script."""
    monkeypatch.setattr(books, "_facts", lambda spec: {})

    def make(**changes):
        return Sweep(spec_of(**{"parameters": {"a": [1, 2, 3]}, "blocks": 4, **changes}))

    return make
