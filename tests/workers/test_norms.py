"""Operator norms and extreme eigenvalues against full decompositions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.tolerances import EXACT
from workers.norms import extreme_eigenvalues, operator_norm


def random(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).standard_normal(shape))


@pytest.mark.parametrize(
    "shape", [(3, 7, 200), (2, 130, 130), (2, 201, 97), (4, 90, 1), (2, 64, 64), (3, 300, 300)]
)
def test_operator_norm_equals_the_largest_singular_value(shape: tuple[int, ...]) -> None:
    """Gram and Lanczos routes, wide and tall, of random matrices whose top has no gap."""
    matrices = random(*shape)
    np.testing.assert_allclose(operator_norm(matrices), torch.linalg.matrix_norm(matrices, 2), rtol=EXACT)


def test_operator_norm_of_low_rank_and_zero() -> None:
    """The Krylov space of a rank-one matrix ends after one step; that of zero before it."""
    rank_one = random(2, 100, 1) @ random(2, 1, 120)
    np.testing.assert_allclose(operator_norm(rank_one), torch.linalg.matrix_norm(rank_one, 2), rtol=EXACT)
    assert operator_norm(torch.zeros(2, 100, 100, dtype=torch.float64)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("size", [1, 5, 8, 33])
def test_extreme_eigenvalues_do_not_see_the_padding(size: int) -> None:
    """Sizes that are no multiple of eight are padded inside the spectrum."""
    square = random(3, size, size)
    symmetric = square @ square.transpose(1, 2)
    expected = torch.linalg.eigvalsh(symmetric)
    least, largest = extreme_eigenvalues(symmetric)
    np.testing.assert_allclose(largest, expected[:, -1], rtol=EXACT)
    np.testing.assert_allclose(least, expected[:, 0], rtol=EXACT, atol=EXACT)
