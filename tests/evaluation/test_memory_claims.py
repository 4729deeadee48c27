"""Every claim is measured both ways, in miniature."""

import pytest

from workbench.errors import UnknownName
from workbench.evaluation.memory_claims import CLAIMS, _abba, compare


@pytest.mark.parametrize(
    ("claim", "size"),
    [("batched archive", 30), ("kept vectors", 50), ("kept snapshot", 200), ("incremental snapshot", 100)],
)
def test_both_sides_are_measured(claim, size):
    found = compare(claim, embedder="hashing", size=size)
    assert set(found) == {"with_ms", "without_ms"}
    assert min(found.values()) > 0


def test_reading_once_is_quicker_than_three_times():
    found = compare("request-scoped reads", size=1000)
    assert found["without_ms"] > found["with_ms"]


def test_a_message_appended_is_quicker_than_a_long_session_written_anew():
    found = compare("incremental snapshot", size=3000)
    assert found["without_ms"] > found["with_ms"]


@pytest.mark.slow
def test_opening_chroma_at_once_takes_longer():
    found = compare("lazy start", embedder="hashing")
    assert found["without_ms"] > found["with_ms"]


def test_sides_take_turns():
    order = []
    found = _abba(lambda: order.append("a") or 1.0, lambda: order.append("b") or 2.0, 2)
    assert "".join(order) == "abbaabba"
    assert found == {"with_ms": 1.0, "without_ms": 2.0}


def test_what_nobody_claims_is_refused():
    with pytest.raises(UnknownName, match="lazy start"):
        compare("lazy stat")
    assert len(CLAIMS) == 6
