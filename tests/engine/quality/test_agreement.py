"""Logits against logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import rel_entr, softmax

from workbench.engine.quality import agreement
from workbench.engine.quality.agreement import Agreement, log_softmax, mean_and_stderr, wilson_interval


def logits(seed: int, rows: int = 7, n_vocab: int = 50, scale: float = 4.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal((rows, n_vocab))).astype(np.float32)


def test_against_scipy() -> None:
    reference, candidate, targets = logits(1), logits(2), np.arange(7)
    found = Agreement()
    found.add(reference, candidate, targets)
    p, q = softmax(reference.astype(float), axis=1), softmax(candidate.astype(float), axis=1)
    np.testing.assert_allclose(found.kl, rel_entr(p, q).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.reference_nll, -np.log(p[np.arange(7), targets]), rtol=1e-9)
    np.testing.assert_allclose(found.candidate_nll, -np.log(q[np.arange(7), targets]), rtol=1e-9)
    assert found.same_top.tolist() == (p.argmax(1) == q.argmax(1)).tolist()


def test_a_distribution_does_not_diverge_from_itself() -> None:
    found = Agreement()
    found.add(logits(1), logits(1), np.arange(7))
    assert found.kl.tolist() == [0.0] * 7
    assert found.same_top.all()


def test_the_direction_matters() -> None:
    there, back = Agreement(), Agreement()
    there.add(logits(1), logits(2), np.arange(7))
    back.add(logits(2), logits(1), np.arange(7))
    assert not np.allclose(there.kl, back.kl, rtol=0.01)
    np.testing.assert_array_equal(there.reference_nll, back.candidate_nll)


def test_chunks_of_rows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, pieces = Agreement(), Agreement()
    whole.add(logits(1), logits(2), np.arange(7))
    monkeypatch.setattr(agreement, "_ELEMENTS_AT_ONCE", 100)
    pieces.add(logits(1), logits(2), np.arange(7))
    np.testing.assert_array_equal(whole.kl, pieces.kl)
    np.testing.assert_array_equal(whole.candidate_nll, pieces.candidate_nll)


def test_huge_and_forbidden_logits() -> None:
    row = np.array([[1e4, -1e4, -np.inf, 0.0]], np.float32)
    assert np.exp(log_softmax(row)).tolist() == [[1.0, 0.0, 0.0, 0.0]]
    found = Agreement()
    found.add(row, row, np.array([0]))
    assert found.kl.tolist() == [0.0]
    found.add(np.zeros((1, 4), np.float32), row, np.array([0]))
    assert math.isinf(found.kl[1])  # the candidate rules out what the reference thinks possible


def test_errors_and_intervals() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    mean, stderr = mean_and_stderr(values)
    assert mean == 2.5
    assert stderr == pytest.approx(values.std(ddof=1) / 2)
    assert math.isnan(mean_and_stderr(values[:1])[1])
    low, high = wilson_interval(100, 100)
    assert low == pytest.approx(100 / (100 + 1.959964**2))
    assert high == 1.0
