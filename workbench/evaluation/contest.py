"""The same work put to several engines, each in a process of its own, one after the other.

Two engines computing at once on the same cores spoil each other's times (their threads spin at every barrier), and what
one leaves in a process is no start for the next. So: a fresh process, load, measure, end. Contenders take turns in an
order that chance decides, and every second round goes backwards, so that a drift of the machine hits all alike.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import EngineError

Contender = Mapping[str, Any]
"""Keywords of :func:`workbench.load`: ``engine``, ``isolation``, settings. Without ``profile``: none is used."""

Results = dict[str, list[dict[str, Any]]]
"""Contender → what was measured of it in each round."""

PEERS = {"llama-server"}
"""Engines that are optional: where their program is missing they do not take part."""


def run_apart(
    measure: str,
    model: str | Path,
    contender: Contender,
    *,
    home: str | Path | None = None,
    timeout_s: float = 1800.0,
    **options: Any,
) -> dict[str, Any]:
    """Load an engine in a fresh process, measure it, and end the process.

    Args:
        measure: a name of :data:`workbench.evaluation.measures.MEASURES`.
        model: for :func:`workbench.load`.
        contender: keywords for it.
        home: ``WORKBENCH_HOME`` of that process, where a disk tier keeps its files; ``None``: as here.
        timeout_s: after which it is killed.
        options: keywords for the measure.

    Returns:
        What the measure returned, and ``settings``, the effective ones.

    Raises:
        EngineError: it failed; has the last line of its error.
    """
    job = {"measure": measure, "model": str(model), "contender": dict(contender), "options": options}
    environment = {**os.environ, **({"WORKBENCH_HOME": str(home)} if home else {})}
    try:
        run = subprocess.run(
            [sys.executable, "-m", "workbench.evaluation.contest"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{measure} of {dict(contender)} took more than {timeout_s:g} s.") from error
    if run.returncode:
        said = run.stderr.strip().splitlines() or ["it said nothing"]
        raise EngineError(f"{measure} of {dict(contender)} failed with {run.returncode}: {said[-1]}")
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return result


def contest(
    measure: str, model: str | Path, contenders: Mapping[str, Contender], *, rounds: int = 1, **options: Any
) -> Results:
    """Measure each contender in turn, ``rounds`` times.

    Args:
        measure: a name of :data:`workbench.evaluation.measures.MEASURES`.
        model: for :func:`workbench.load`.
        contenders: name → keywords for it. A peer whose program is missing is left out.
        rounds: how often.
        options: keywords for the measure, and ``home`` and ``timeout_s`` of :func:`run_apart`.

    Raises:
        EngineError: a contender failed.
    """
    present = [name for name, contender in contenders.items() if takes_part(contender)]
    random.shuffle(present)
    results: Results = {name: [] for name in present}
    for number in range(rounds):
        for name in reversed(present) if number % 2 else present:
            results[name].append(run_apart(measure, model, contenders[name], **options))
    return results


def takes_part(contender: Contender) -> bool:
    """Whether everything it needs is here."""
    from workbench.engine.peers import find_program

    engine = contender.get("engine", "tuned")
    return engine not in PEERS or find_program(engine) is not None


def middle(results: Results, contender: str, metric: str) -> float | None:
    """The median over the rounds; ``None`` for a contender that did not take part, or a metric it has not."""
    values = [result[metric] for result in results.get(contender, []) if result.get(metric) is not None]
    return statistics.median(values) if values else None


def _main() -> None:
    """The child: a job on standard input, the result as the last line of standard output."""
    from workbench.engine import load
    from workbench.evaluation.measures import MEASURES

    job = json.load(sys.stdin)
    wanted = {"profile": False, **job["contender"]}  # a tuned profile would favour one contender
    with load(job["model"], **wanted) as engine:
        result = MEASURES[job["measure"]](engine, **job["options"])
        print(json.dumps({**result, "settings": engine.settings.to_dict()}))  # noqa: T201 - the answer to the parent


if __name__ == "__main__":
    _main()
