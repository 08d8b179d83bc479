"""Extreme eigenvalues by repeated squaring are LAPACK's, where eigenvalues are close, equal or tiny too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from widesweep.workers.engine.squaring import extremes

ROUNDING = {torch.float64: 1e-13, torch.float32: 2e-5}  # of the largest |λ|, at 40 × 40


def with_eigenvalues(values: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(0)
    vectors, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=torch.float64, generator=random))
    return (vectors * values) @ vectors.T


def matrices(size: int = 40) -> Tensor:
    spread, equal = torch.linspace(1, 2, size).double(), torch.ones(size).double()
    close = [torch.cat([spread[:-1], spread[-2:-1] + 10.0**-k]) for k in range(2, 18)]
    others = [
        equal,
        0.0 * equal,
        torch.logspace(-14, 0, size).double(),
        spread - 1.5,
        -spread,
        1e-30 * spread,
    ]
    return torch.stack([with_eigenvalues(values) for values in (*close, *others)])


@pytest.mark.parametrize("dtype", ROUNDING)
def test_extremes_are_lapacks(dtype: torch.dtype) -> None:
    """Both agree to rounding, in units of the largest."""
    made = matrices().to(dtype)
    wanted = torch.linalg.eigvalsh(made.double())
    for found, right in zip(extremes(made), (wanted[:, 0], wanted[:, -1]), strict=True):
        error = (found.double() - right).abs() / wanted.abs().amax(1).clamp_min(1e-300)
        assert float(error.max()) < ROUNDING[dtype]


def test_too_few_squarings_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same comparison tells squarings that stop at the root of what they need."""
    monkeypatch.setattr("widesweep.workers.engine.squaring.squarings", lambda dtype: 24)
    wanted = torch.linalg.eigvalsh(matrices())
    assert float((extremes(matrices())[1] - wanted[:, -1]).abs().max()) > ROUNDING[torch.float64]
