"""The gate against simulated machines and texts: no loss on free text, most of the gain where there is one."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine.drafts.gate import Gate
from workbench.engine.drafts.step_costs import StepCosts
from workbench.errors import InvalidSettings

DRAFT_MAX = 8
MACHINES: dict[str, Callable[[int], float]] = {
    "cpu": lambda n: 0.007 + 0.003 * (n - 1),
    "gpu": lambda n: 0.007 if n <= 16 else 0.007 * n / 16,
    "full": lambda n: 0.007 * n,
}
QUOTING, EDITING = 0.95, 0.85


class Text:
    """A stream of tokens: whether a guess at the next would be right, and how long a match a drafter would report."""

    def __init__(self, kind: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.kind = kind
        self.match = 0
        self.lost = 0
        self.rate = self.random.uniform(0.05, 0.2)

    def evidence(self) -> int:
        if self.kind == "free":
            return self.random.choice((2, 3, 3, 4, 5, 9)) if self.random.random() < 0.15 else 0
        return 0 if self.lost else self.match

    def right(self) -> bool:
        """Whether a guess at the next token is right; goes on to the token after it."""
        if self.kind == "free":
            return self.random.random() < self.rate
        if self.lost:
            self.lost -= 1
            return False
        hit = self.random.random() < (QUOTING if self.kind == "quoting" else EDITING)
        self.match = self.match + 1 if hit else 3
        self.lost = 0 if hit else self.random.choice((0, 1, 2))
        return hit

    def become(self, kind: str) -> None:
        self.kind, self.match, self.lost = kind, 3, 2


@dataclass
class Run:
    tokens: int = 0
    seconds: float = 0.0
    drafted: list[int] = field(default_factory=list)
    at: list[tuple[int, float]] = field(default_factory=list)

    def speed(self, begin: int = 0) -> float:
        """Tokens per second from the ``begin``-th token on."""
        tokens, seconds = next((t, s) for t, s in [(0, 0.0), *self.at] if t >= begin)
        return (self.tokens - tokens) / (self.seconds - seconds)


def noises(seed: int) -> Iterator[float]:
    """±10 %, and now and then ten times as long."""
    noise = random.Random(seed)
    while True:
        yield noise.uniform(0.9, 1.1) * (10.0 if noise.random() < 0.01 else 1.0)


def step(machine: Callable[[int], float], text: Text, k: int, run: Run) -> int:
    """One decode with up to ``k`` guesses; counts its time without noise. Returns how many were right."""
    accepted = 0
    while accepted < k and text.right():
        accepted += 1
    if accepted == k:
        text.right()  # the token after the last guess is the model's own
    run.tokens += 1 + accepted
    run.seconds += machine(1 + k)
    run.drafted.append(k)
    run.at.append((run.tokens, run.seconds))
    return accepted


def simulate(
    machine: Callable[[int], float],
    text: Text,
    tokens: int,
    *,
    costs: StepCosts | None = None,
    gate: Gate | None = None,
    fixed: int | None = None,
    run: Run | None = None,
) -> Run:
    """Generate ``tokens`` with a gate, or with ``fixed`` guesses wherever there is a match."""
    costs = StepCosts() if costs is None else costs
    gate = Gate(costs, DRAFT_MAX) if gate is None else gate
    run, noise = Run() if run is None else run, noises(tokens)
    end = run.tokens + tokens
    while run.tokens < end:
        evidence = text.evidence()
        k = gate.choose(evidence=evidence, base_tokens=1) if fixed is None else (fixed if evidence else 0)
        assert 0 <= k <= DRAFT_MAX
        assert evidence or not k
        accepted = step(machine, text, k, run)
        gate.observe(evidence, k, accepted)
        costs.observe(1 + k, machine(1 + k) * next(noise))
    return run


def plain(machine: Callable[[int], float]) -> float:
    return 1 / machine(1)


def oracle(machine: Callable[[int], float], kind: str, seed: int, tokens: int) -> float:
    """Speed of the best fixed number of guesses."""
    return max(simulate(machine, made(kind, seed), tokens, fixed=k).speed() for k in range(DRAFT_MAX + 1))


def made(kind: str, seed: int) -> Text:
    text = Text(kind, seed)
    text.become(kind)
    return text


@pytest.mark.parametrize("machine", MACHINES)
def test_free_text_loses_nothing(machine: str) -> None:
    for seed in range(20):
        run = simulate(MACHINES[machine], made("free", seed), 512)
        assert run.speed() >= 0.98 * plain(MACHINES[machine]), seed


@pytest.mark.parametrize("machine", MACHINES)
def test_matches_that_are_always_wrong_lose_nothing(machine: str) -> None:
    class Misleading(Text):
        def evidence(self) -> int:
            return 20

        def right(self) -> bool:
            return False

    run = simulate(MACHINES[machine], Misleading("free", 1), 512)
    assert run.speed() >= 0.98 * plain(MACHINES[machine])


@given(
    st.sampled_from(sorted(MACHINES)),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, DRAFT_MAX)), max_size=150),
)
def test_no_text_whatever_costs_more_than_the_purse(machine: str, steps: list[tuple[int, int]]) -> None:
    """With prices known, the promise is exact: two plain steps and 0.75 % of the steps are the most that is lost."""
    t, costs = MACHINES[machine], StepCosts()
    for size in (*range(1, DRAFT_MAX + 2),) * 3:
        costs.observe(size, t(size))
    gate, lost = Gate(costs, DRAFT_MAX), 0.0
    for i, (evidence, right) in enumerate(steps, 1):
        k = gate.choose(evidence=evidence, base_tokens=1)
        gate.observe(evidence, k, min(k, right))
        lost += t(1 + k) / t(1) - 1 - min(k, right)
        assert lost <= 2.0 + 0.0075 * i + 1e-6


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", ["quoting", "editing"])
def test_copied_text_gains_most_of_what_can_be_gained(machine: str, kind: str) -> None:
    t, shares = MACHINES[machine], []
    for seed in range(10):
        best = oracle(t, kind, seed, 512) / plain(t)
        shares.append((simulate(t, made(kind, seed), 512).speed() / plain(t) - 1) / (best - 1))
    assert sum(shares) / len(shares) >= (0.85 if kind == "quoting" else 0.75)
    assert min(shares) >= 0.5


def test_nothing_is_drafted_where_nothing_can_be_gained() -> None:
    run = simulate(MACHINES["full"], made("quoting", 1), 512)
    assert run.speed() >= 0.98 * plain(MACHINES["full"])
    assert sum(run.drafted) <= 0.15 * run.tokens


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
def test_a_change_of_phase_is_seen_within_64_tokens(machine: str) -> None:
    t = MACHINES[machine]
    shares, free = [], []
    for seed in range(10):
        text, costs, run = made("free", seed), StepCosts(), Run()
        gate = Gate(costs, DRAFT_MAX)
        for kind in ("free", "quoting", "free", "quoting", "free"):
            text.become(kind)
            begin = run.tokens
            simulate(t, text, 384, costs=costs, gate=gate, run=run)
            settled = run.speed(begin + 64) / plain(t)
            if kind == "free":
                free.append(settled)
            else:
                shares.append((settled - 1) / (oracle(t, kind, seed, 384) / plain(t) - 1))
        assert run.speed() > plain(t)
    assert sum(shares) / len(shares) >= 0.85
    assert min(shares) >= 0.5
    assert min(free) >= 0.96, "what is lost here was gained before"


def test_evidence_that_was_useless_for_long_is_tried_again() -> None:
    """The same match lengths, first always wrong, then always right."""
    t, costs, run = MACHINES["cpu"], StepCosts(), Run()
    gate, noise = Gate(costs, DRAFT_MAX), noises(3)
    for phase_accepts, tokens in ((False, 600), (True, 600)):
        begin = run.tokens
        while run.tokens < begin + tokens:
            k = gate.choose(evidence=20, base_tokens=1)
            accepted = k if phase_accepts else 0
            gate.observe(20, k, accepted)
            costs.observe(1 + k, t(1 + k) * next(noise))
            run.tokens += 1 + accepted
            run.seconds += t(1 + k)
            run.at.append((run.tokens, run.seconds))
    assert run.speed(600 + 64) >= 1.7 * plain(t)


def test_a_request_after_others_drafts_at_once() -> None:
    costs = StepCosts()
    simulate(MACHINES["cpu"], made("quoting", 1), 256, costs=costs)
    run = simulate(MACHINES["cpu"], made("quoting", 2), 64, costs=costs)
    assert run.speed() >= 1.3 * plain(MACHINES["cpu"])


def test_load_switches_drafts_off_and_its_end_on() -> None:
    """Other sequences fill the machine: with 16 of them a decode grows by a full token for each."""
    costs = StepCosts()

    def t(n: int) -> float:
        return 0.007 if n <= 16 else 0.007 * n / 16

    gate = Gate(costs, DRAFT_MAX)
    for size in (*range(1, 40), *range(1, 40), *range(1, 40)):
        costs.observe(size, t(size))
    for _ in range(20):
        assert gate.choose(evidence=20, base_tokens=1) > 0
        gate.observe(20, 8, 8)
    assert gate.could_gain(1)
    assert not gate.could_gain(24)
    assert gate.choose(evidence=20, base_tokens=24) == 0
    assert gate.choose(evidence=20, base_tokens=2) > 0


def test_a_slow_drafter_is_not_asked() -> None:
    costs = StepCosts()
    for size in (*range(1, 10),) * 5:
        costs.observe(size, MACHINES["gpu"](size))
    gate = Gate(costs, DRAFT_MAX)
    assert gate.choose(evidence=100, base_tokens=1, draft_cost_s=0.0005) > 0
    assert gate.choose(evidence=100, base_tokens=1, draft_cost_s=0.007) == 0
    assert not gate.could_gain(1, draft_cost_s=0.007)


def test_where_nothing_could_gain_a_look_is_taken_now_and_then() -> None:
    costs = StepCosts()
    for size in (1, 2, 3, 5, 9) * 4:
        costs.observe(size, MACHINES["full"](size))
    gate, looks = Gate(costs, DRAFT_MAX), []
    for i in range(3000):
        k = gate.choose(evidence=20, base_tokens=1) if gate.could_gain(1) else 0
        looks += [i] if k else []
        gate.observe(20 if k else 0, k, 0)
    assert 2 <= len(looks) <= 6
    assert (gate.steps, gate.accepted) == (3000, 0)


def test_limits_are_kept() -> None:
    costs = StepCosts()
    gate = Gate(costs, 4)
    assert gate.choose(evidence=20, base_tokens=1) == 0, "no step was measured yet"
    assert not gate.could_gain(1)
    for size in (1, 2, 3, 4, 5) * 5:
        costs.observe(size, 0.007)
    gate.observe(0, 0, 0)
    assert gate.choose(evidence=20, base_tokens=1) == 4
    assert gate.choose(evidence=20, base_tokens=1, most=2) == 2
    assert gate.choose(evidence=20, base_tokens=1, most=0) == 0
    assert gate.choose(evidence=0, base_tokens=1) == 0
    with pytest.raises(InvalidSettings, match="draft_max"):
        Gate(costs, 0)


def test_the_summary_tells_the_gain() -> None:
    costs = StepCosts()
    for size in (1, 2, 3, 4, 5, 6, 7, 8, 9) * 3:
        costs.observe(size, 0.01)
    gate = Gate(costs, 8)
    assert gate.summary() == "Nothing drafted in 0 steps: no draft promised a gain."
    for _ in range(10):
        assert gate.choose(evidence=16, base_tokens=1) == 8
        gate.observe(16, 4, 3)
    assert gate.summary() == "Drafted 40, accepted 30; about 4.00 × the plain speed by measured step times."
    assert (gate.drafted, gate.accepted, gate.steps) == (40, 30, 10)


@pytest.mark.parametrize("seed", range(5))
def test_the_summary_agrees_with_the_clock(seed: int) -> None:
    costs = StepCosts()
    gate = Gate(costs, DRAFT_MAX)
    run = simulate(MACHINES["cpu"], made("quoting", seed), 512, costs=costs, gate=gate)
    told = float(gate.summary().split("about ")[1].split(" ×")[0])
    assert told == pytest.approx(run.speed() / plain(MACHINES["cpu"]), rel=0.08)


def test_choosing_is_cheap() -> None:
    costs = StepCosts()
    for size in (*range(1, 10),) * 40:
        costs.observe(size, MACHINES["cpu"](size))
    best = min(_microseconds_a_step(costs) for _ in range(5))
    assert best < 60, "about 10 µs on a quiet machine"


def _microseconds_a_step(costs: StepCosts, steps: int = 2000) -> float:
    gate = Gate(costs, DRAFT_MAX)
    started = time.perf_counter()
    for evidence in itertools.islice(itertools.cycle((0, 3, 8, 16)), steps):
        k = gate.choose(evidence=evidence, base_tokens=1)
        gate.observe(evidence, k, k)
        costs.observe(1 + k, 0.007 + 0.003 * k)
    return 1e6 * (time.perf_counter() - started) / steps
