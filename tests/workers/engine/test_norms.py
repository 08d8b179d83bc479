"""Operator norms and extreme eigenvalues against full decompositions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tolerances import EXACT
from widesweep.workers.engine import matmul
from widesweep.workers.engine.norms import by_torch, extreme_eigenvalues, frobenius, operator_norm

Norm = Callable[[Tensor], Tensor]
ROUTES = pytest.mark.parametrize("norm", [operator_norm, by_torch], ids=["compiled", "as on a GPU"])


@pytest.fixture(autouse=True)
def one_core_after() -> Iterator[None]:
    yield
    matmul.set_threads(1)


def random(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(5).standard_normal(shape))


@ROUTES
@pytest.mark.parametrize("shape", [(3, 7, 200), (2, 130, 130), (2, 201, 97), (2, 64, 64), (3, 300, 300)])
def test_operator_norm_equals_the_largest_singular_value(norm: Norm, shape: tuple[int, ...]) -> None:
    """Gram and Lanczos, wide and tall, of random matrices whose top has no gap; not the Frobenius norm."""
    matrices = random(*shape)
    np.testing.assert_allclose(norm(matrices), torch.linalg.matrix_norm(matrices, 2), rtol=EXACT)
    assert (norm(matrices) < 0.9 * frobenius(matrices)).all()


@pytest.mark.parametrize("shape", [(4, 90, 1), (4, 1, 90), (4, 1, 1)])
def test_operator_norm_of_one_row(shape: tuple[int, ...]) -> None:
    matrices = random(*shape)
    np.testing.assert_allclose(operator_norm(matrices), torch.linalg.matrix_norm(matrices, 2), rtol=EXACT)


@ROUTES
def test_operator_norm_of_low_rank_and_zero(norm: Norm) -> None:
    """The Krylov space of a rank-one matrix ends after one step; that of zero before it."""
    rank_one = random(2, 100, 1) @ random(2, 1, 120)
    np.testing.assert_allclose(norm(rank_one), torch.linalg.matrix_norm(rank_one, 2), rtol=EXACT)
    assert norm(torch.zeros(2, 100, 100, dtype=torch.float64)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("gap", [1e-2, 1e-5])
def test_largest_values_that_lie_close(gap: float) -> None:
    """Four singular values so close to one another; negative control: the first is told from the second."""
    values = 1.0 - gap * torch.arange(150, dtype=torch.float64).clamp_max(4)
    left, right = (torch.linalg.qr(random(1, 150, 150) + i)[0] for i in (0.0, 1.0))
    norm = operator_norm((left * values) @ right.mT)
    np.testing.assert_allclose(norm, 1.0, rtol=EXACT)
    assert abs(float(norm) - (1.0 - gap)) > 0.5 * gap


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("size", [33, 800])
def test_a_norm_s_bits_know_neither_company_nor_cores(size: int, dtype: torch.dtype) -> None:
    """Alone and among others, on one core and on three, rows adjoining and apart; another matrix differs."""
    matrices = random(3, size, size).to(dtype)
    together = operator_norm(matrices)
    assert len(set(together.tolist())) == 3
    apart = torch.zeros(3, size, size + 5, dtype=dtype)[..., :size].copy_(matrices)
    matmul.set_threads(3)
    assert torch.equal(operator_norm(matrices), together)
    assert torch.equal(operator_norm(apart), together)
    assert [operator_norm(each[None]).item() for each in matrices] == together.tolist()


def test_single_precision_keeps_its_digits() -> None:
    matrices = random(4, 120, 90)
    relative = operator_norm(matrices.float()).double() / torch.linalg.matrix_norm(matrices, 2) - 1.0
    assert 1e-9 < relative.abs().max() < 1e-6


def test_what_is_no_number_has_no_norm() -> None:
    """And leaves its neighbour's alone."""
    matrices = random(2, 40, 40)
    matrices[0, 3, 5] = torch.nan
    found = operator_norm(matrices)
    assert found.isnan().tolist() == [True, False]


@pytest.mark.parametrize("size", [1, 5, 8, 33])
def test_extreme_eigenvalues_do_not_see_the_padding(size: int) -> None:
    """Sizes that are no multiple of eight are padded inside the spectrum."""
    square = random(3, size, size)
    symmetric = square @ square.transpose(1, 2)
    expected = torch.linalg.eigvalsh(symmetric)
    least, largest = extreme_eigenvalues(symmetric)
    np.testing.assert_allclose(largest, expected[:, -1], rtol=EXACT)
    np.testing.assert_allclose(least, expected[:, 0], rtol=EXACT, atol=EXACT)
