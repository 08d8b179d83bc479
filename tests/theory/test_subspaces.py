"""Subspaces and alignment against a singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tolerances import EXACT
from widesweep.theory.linearised.subspaces import (
    effective_rank,
    kernel_alignment,
    label_energy,
    split_spectrum,
)

RNG = np.random.default_rng(44)
J = RNG.standard_normal((6, 8)) * np.geomspace(5, 0.05, 6)[:, None]
KERNEL, V = J @ J.T, RNG.standard_normal(6)


def test_the_cut_is_on_singular_values_of_the_jacobian() -> None:
    """Rank and norms as from numpy's SVD of J; a cut on eigenvalues would differ."""
    u, s, _ = np.linalg.svd(J)
    split = split_spectrum(KERNEL, 0.3)
    assert split.rank == np.count_nonzero(s >= 0.3) != np.count_nonzero(s**2 >= 0.3)
    information, nuisance = split.norms(V)
    assert information == pytest.approx(np.linalg.norm(u[:, : split.rank].T @ V), rel=EXACT)
    assert np.hypot(information, nuisance) == pytest.approx(np.linalg.norm(V), rel=EXACT)
    assert np.allclose(split.norms(np.stack([V, 2 * V], axis=1))[1], [nuisance, 2 * nuisance], rtol=EXACT)


def test_energy_and_alignment_agree_with_the_quadratic_form() -> None:
    """Σ λ_i (v_iᵀy)² = yᵀKy, and the alignment is that over norms by numpy."""
    eigenvalues, share = label_energy(KERNEL, V)
    assert share.sum() == pytest.approx(1.0, rel=EXACT)
    assert eigenvalues @ share * (V @ V) == pytest.approx(V @ KERNEL @ V, rel=EXACT)
    expected = np.sum(KERNEL * np.outer(V, V)) / np.linalg.norm(KERNEL) / np.linalg.norm(np.outer(V, V))
    assert kernel_alignment(KERNEL, V) == pytest.approx(expected, rel=EXACT)


def test_effective_rank_counts_equal_eigenvalues() -> None:
    """Three equal ones and a null space give 3; scale does not matter; unequal ones give less."""
    basis = np.linalg.qr(RNG.standard_normal((5, 5)))[0]
    kernel = 7.0 * basis[:, :3] @ basis[:, :3].T
    assert effective_rank(kernel) == pytest.approx(3.0, rel=1e-9)
    assert 1.0 < effective_rank(KERNEL) < 6.0
    with pytest.raises(ValueError, match="kernel is 0"):
        effective_rank(np.zeros((2, 2)))


def test_empty_questions_are_refused() -> None:
    """A cut-off of 0, labels of 0."""
    with pytest.raises(ValueError, match="cutoff"):
        split_spectrum(KERNEL, 0.0)
    with pytest.raises(ValueError, match="targets"):
        label_energy(KERNEL, np.zeros(6))
