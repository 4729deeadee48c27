"""What feedback says about candidates: shrunk means that fade, for the message, the query and the like."""

import numpy as np
import pytest

from workbench.memory.learning.credit import Credit

AXES = np.eye(4, dtype=np.float32)
SIMILAR = np.array([0.8, 0.6, 0, 0], np.float32)


def vectors(indices):
    """Messages 0, 1, 2 are unlike each other; 5 is like 0."""
    return np.stack([SIMILAR if index == 5 else AXES[index % 4] for index in indices])


def features(credit, candidates=(0, 1, 2), query=AXES[0], said=0):
    return credit.features(list(candidates), query, said, vectors)


def test_without_feedback_there_is_nothing():
    assert features(Credit(100)).tolist() == [[0, 0, 0]] * 3
    assert features(Credit(100), ()).shape == (0, 3)


def test_the_mean_is_shrunk_by_one_neutral_vote():
    credit = Credit(100)
    for times in range(1, 5):
        credit.give(1, 1.0, 0, AXES[0])
        assert features(credit)[1, 0] == pytest.approx(times / (times + 1))
    for _ in range(4):
        credit.give(1, -1.0, 0, AXES[0])
    assert features(credit)[1, 0] == pytest.approx(0.0), "as much blame as praise"
    for _ in range(1000):
        credit.give(1, -1.0, 0, AXES[0])
    assert -1 < features(credit)[1, 0] < -0.9, "however loud, it stays bounded"
    assert features(credit)[[0, 2], 0].tolist() == [0, 0]


def test_it_counts_by_the_likeness_of_the_query():
    credit = Credit(100)
    credit.give(0, 1.0, 0, AXES[0])
    same, like, other = (features(credit, [0], query)[0, 1] for query in (AXES[0], SIMILAR, AXES[1]))
    assert same == pytest.approx(0.5)
    assert like == pytest.approx(0.64 / 1.64)
    assert other == 0
    credit = Credit(100)
    credit.give(0, 1.0, 0, None)
    assert features(credit, [0])[0].tolist() == [0.5, 0, 0], "what it was recalled for is not known"


def test_half_of_it_is_gone_after_the_half_life():
    credit = Credit(50)
    credit.give(0, 1.0, 10, AXES[0])
    assert features(credit, [0], said=10)[0, 0] == pytest.approx(1 / 2)
    assert features(credit, [0], said=60)[0, 0] == pytest.approx(0.5 / 1.5)
    assert features(credit, [0], said=110)[0, 0] == pytest.approx(0.25 / 1.25)


def test_what_is_like_a_praised_message_gets_some_of_it():
    credit = Credit(100)
    credit.give(0, 1.0, 0, AXES[0])
    own, like, unlike = features(credit, [0, 5, 1])[:, 2]
    assert own == 0, "its own credit is counted once"
    assert like == pytest.approx(0.8**3 * 0.5 / (1 + 0.8**3))
    assert unlike == 0
