"""What counts as hanging, second by second."""

from __future__ import annotations

import pytest

from workbench.engine.worker.pulse import Pulse, patience_s


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(hang_after_s=30, patience_s=300, now=0)


def test_silence_is_a_hang(pulse: Pulse) -> None:
    assert pulse.verdict(29) is None
    death = pulse.verdict(31)
    assert death is not None
    assert "no sign of life for 31 s" in death.hint


def test_beats_without_effort_are_a_hang(pulse: Pulse) -> None:
    for second in range(1, 32):
        pulse.beat(second, steps=0, cpu_s=1.0, faults=0)
    assert pulse.verdict(25) is None
    death = pulse.verdict(32.5)
    assert death is not None
    assert "did nothing" in death.hint


@pytest.mark.parametrize("kind", ["cpu_s", "faults"])
def test_a_long_step_is_waited_for_but_not_for_ever(pulse: Pulse, kind: str) -> None:
    for second in range(1, 302):
        pulse.beat(second, **{"steps": 0, "cpu_s": 0, "faults": 0, kind: second})
        if second == 200:
            assert pulse.verdict(second) is None
    death = pulse.verdict(302)
    assert death is not None
    assert "without an end of its step" in death.hint


def test_steps_and_results_are_progress(pulse: Pulse) -> None:
    for second in range(1, 1000):
        pulse.beat(second, steps=second, cpu_s=0, faults=0)
    assert pulse.verdict(1000) is None
    pulse.progress(1100)
    assert pulse.verdict(1129) is None


def test_rest_starts_the_count_anew(pulse: Pulse) -> None:
    pulse.rest(1000)
    assert pulse.verdict(1029) is None
    assert pulse.verdict(1031) is not None


def test_patience_grows_with_the_step() -> None:
    small, large = patience_s(30, 10**8, 512), patience_s(30, 8 * 10**9, 2048)
    assert 30 < small < 600 < large
