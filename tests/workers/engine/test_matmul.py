"""Products of batches: against torch's own, and their bits against company and cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from widesweep.workers.engine import matmul, memory_layout

ROOT = Path(__file__).parents[2]
SHAPES = ((1, 24, 32, 32), (5, 24, 64, 64), (3, 7, 5, 1), (2, 1, 9, 4), (1, 6, 1, 8), (1, 33, 700, 1300))


@pytest.fixture(autouse=True)
def one_core_after() -> Iterator[None]:
    yield
    matmul.set_threads(1)


def draw(cells: int, rows: int, columns: int, dtype: torch.dtype = torch.float64) -> Tensor:
    like = torch.empty(1, dtype=dtype)
    generator = torch.Generator().manual_seed(1000 * rows + columns)
    return memory_layout.empty(like, cells, rows, columns).normal_(generator=generator)


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("cells", "n", "k", "m"), SHAPES)
def test_every_order_of_the_factors(cells: int, n: int, k: int, m: int, dtype: torch.dtype) -> None:
    """Each factor as it lies and transposed, with α and β; a control with another α is seen."""
    a, b, c = draw(cells, n, k, dtype), draw(cells, k, m, dtype), draw(cells, n, m, dtype)
    wanted = 0.3 * (a @ b) - 2.0 * c
    precision = 1e-13 if dtype == torch.float64 else 1e-4
    for left in (a, memory_layout.copy(a.mT).mT):
        for right in (b, memory_layout.copy(b.mT).mT):
            out = memory_layout.copy(c)
            matmul.multiply(left, right, out, 0.3, -2.0)
            assert error(out, wanted) < precision
    matmul.multiply(a, b, c, 0.31, -2.0)
    assert error(c, wanted) > precision


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("columns", [1, 40])
def test_without_beta_the_result_is_not_read(columns: int, dtype: torch.dtype) -> None:
    """NaN in its place goes away, also where there is nothing to sum."""
    for k in (0, 3):
        out = torch.full((2, 4, columns), torch.nan, dtype=dtype)
        matmul.multiply(draw(2, 4, k, dtype), draw(2, k, columns, dtype), out)
        assert out.isfinite().all()


def test_one_factor_for_all_cells() -> None:
    """A batch of stride 0 on the left, as the samples' own products are."""
    a, b = draw(1, 6, 6).expand(4, -1, -1), draw(4, 6, 16)
    out = torch.empty(4, 6, 16, dtype=torch.float64)
    matmul.multiply(a, b, out)
    assert error(out, a @ b) < 1e-14


@pytest.mark.parametrize(("n", "m"), [(24, 32), (24, 128), (33, 200), (32, 512), (17, 1000)])
def test_bits_depend_neither_on_the_batch_nor_on_the_cores(n: int, m: int) -> None:
    """The last cell of three, alone, on one core and on three: forward, backward and update product."""
    a, w, d = draw(3, n, m), draw(3, m, m), draw(3, n, m)
    for left, right in ((a, w), (d, w.mT), (a.mT, d)):
        found = []
        for cores, first in ((1, 0), (1, 2), (3, 0), (3, 2)):
            matmul.set_threads(cores)
            out = memory_layout.empty(a, 3 - first, left.shape[1], right.shape[2]).zero_()
            matmul.multiply(left[first:], right[first:], out, 0.7, 1.0)
            found.append(out[-1])
        assert all(torch.equal(found[0], other) for other in found[1:])


def test_the_samples_own_products_are_symmetric() -> None:
    """a aᵀ at half the cost is exactly symmetric, and the same bits as with a copy of a; one row too."""
    for n in (1, 7, 24, 33):
        a = draw(2, n, 300)
        for one in (a, memory_layout.copy(a.mT).mT):
            out, whole = (torch.full((2, n, n), torch.nan, dtype=torch.float64) for _ in range(2))
            matmul.multiply(one, one.mT, out, 0.3)
            matmul.multiply(one, memory_layout.copy(one).mT, whole, 0.3)
            assert torch.equal(out, out.mT)
            assert torch.equal(out, whole)


def test_bits_do_not_depend_on_how_factors_lie() -> None:
    """By rows or by columns, the result too: every entry is the same sum; another order of it is not."""
    a, b = draw(2, 9, 700), draw(2, 700, 21)
    found = []
    for left in (a, memory_layout.copy(a.mT).mT):
        for right in (b, memory_layout.copy(b.mT).mT):
            for out in (torch.empty(2, 9, 21, dtype=a.dtype), torch.empty(2, 21, 9, dtype=a.dtype).mT):
                matmul.multiply(left, right, out)
                found.append(out.clone())
    assert all(torch.equal(found[0], other) for other in found[1:])
    backwards = torch.empty_like(found[0])
    matmul.multiply(memory_layout.copy(a.flip(2)), memory_layout.copy(b.flip(1)), backwards)
    assert not torch.equal(backwards, found[0])


BYTES = """
import hashlib, llvmlite.binding, numba, torch
real = llvmlite.binding.get_host_cpu_features
llvmlite.binding.get_host_cpu_features = lambda: dict.fromkeys("FEATURES".split(), True)
from widesweep.workers.engine.compiled import tile
llvmlite.binding.get_host_cpu_features = real
from widesweep.workers.engine import matmul
generator = torch.Generator().manual_seed(1)
found = hashlib.sha256()
for dtype in (torch.float64, torch.float32):
    a, b = (torch.randn(1, *shape, dtype=dtype, generator=generator) for shape in ((29, 300), (300, 61)))
    for left, right in ((a, b), (a, a.mT)):
        out = torch.empty(1, 29, right.shape[2], dtype=dtype)
        matmul.multiply(left, right, out, 0.7)
        found.update(out.numpy().tobytes())
print(tile.VECTOR_BYTES, found.hexdigest())
"""


@pytest.mark.slow
def test_bits_do_not_depend_on_the_vectors(tmp_path: Path) -> None:
    """Compiled for vectors of 16, 32 and 64 bytes, as other processors have them: the same numbers."""

    def run(features: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / (features or "none"))}
        code = BYTES.replace("FEATURES", features)
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )

    runs = [run(features) for features in ("", "avx", "avx avx512f")]
    widths, bits = zip(*(r.communicate()[0].split() for r in runs), strict=True)
    assert widths == ("16", "32", "64")
    assert len(set(bits)) == 1


def test_what_no_routine_takes_is_refused() -> None:
    """Rather than a wrong number, or a read past the end: strides, shapes and types that do not fit."""
    a, out = draw(1, 8, 8), draw(1, 4, 4)
    with pytest.raises(ValueError, match="neither rows nor columns"):
        matmul.multiply(a[:, ::2, ::2], draw(1, 4, 4), out)
    with pytest.raises(ValueError, match="overlap"):
        matmul.multiply(draw(1, 1, 4).expand(-1, 4, -1), draw(1, 4, 4), out)
    with pytest.raises(ValueError, match="neither rows nor columns"):
        matmul.multiply(draw(1, 4, 4), draw(1, 4, 4), a[:, ::2, ::2])
    with pytest.raises(ValueError, match="no product"):
        matmul.multiply(draw(1, 4, 5), draw(1, 4, 4), out)
    with pytest.raises(ValueError, match="no product"):
        matmul.multiply(draw(1, 4, 4, torch.float32), draw(1, 4, 4), out)
