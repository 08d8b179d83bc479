"""Compiled stretches of descent: the steps that torch takes, and bits that know neither company nor cores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tolerances import EXACT
from tests.workers.engine.compiled.starts import CASES, CELLS, STEPS, start_of
from widesweep.workers.data import Dimensions
from widesweep.workers.engine import matmul
from widesweep.workers.engine.compiled import forward_backward, jit
from widesweep.workers.engine.ensemble import Ensemble
from widesweep.workers.engine.initial_state import InitialState
from widesweep.workers.networks import FullyConnected, ResNet
from widesweep.workers.networks.network import Leaky, Network
from widesweep.workers.training.costs import is_compiled


@pytest.fixture(autouse=True)
def one_core_after() -> Iterator[None]:
    yield
    matmul.set_threads(1)


def trained(
    start: InitialState, cells: tuple[int, ...] = tuple(range(CELLS)), rate: float = 0.02
) -> Ensemble:
    """Cells after two stretches."""
    batch = start.batch(np.array(cells), np.full(len(cells), rate) * (1.0 + np.array(cells)))
    stepper = start.training.stepper(batch, start)
    for first, last in ((0, STEPS - 3), (STEPS - 3, STEPS)):
        stepper.advance(batch.forward() - start.targets, first, last)
    batch.forward()
    return batch


def difference(one: Ensemble, other: Ensemble) -> float:
    pairs = zip(one.trained.tensors, other.trained.tensors, strict=True)
    return float(max([(one.outputs - other.outputs).abs().max(), *((a - b).abs().max() for a, b in pairs)]))


@pytest.mark.parametrize(
    "samples", [5, 9]
)  # fewer and more than inputs: with an input-space update and without
@pytest.mark.parametrize(("name", "outputs"), [*((n, 1) for n in CASES), ("relu", 3), ("linear, centred", 3)])
def test_it_takes_the_steps_that_torch_takes(
    name: str, samples: int, outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = start_of(CASES[name], outputs, samples)
    by_stretch = trained(start)
    assert forward_backward.fits(by_stretch)
    monkeypatch.setattr(forward_backward, "fits", lambda _: False)
    by_torch = trained(start)
    assert difference(by_stretch, by_torch) < EXACT
    assert difference(by_stretch, start.batch(np.arange(CELLS), np.zeros(CELLS))) > 1e-2  # they have moved


def test_another_rate_is_seen() -> None:
    """Negative control: a rate that is off by 1e-6 ends elsewhere."""
    start = start_of(CASES["relu"])
    assert difference(trained(start), trained(start, rate=0.02 * (1 + 1e-6))) > 100 * EXACT


def test_float32_follows_float64() -> None:
    """Steps in single precision differ by its rounding, and by more than double's."""
    double, single = (trained(start_of(CASES["relu"], dtype=d)) for d in (torch.float64, torch.float32))
    assert single.outputs.dtype == torch.float32
    gap = float((single.outputs.double() - double.outputs).abs().max())
    assert 1e-9 < gap < 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("width", "samples"), [(7, 5), (200, 33)])
def test_bits_know_neither_company_nor_cores(width: int, samples: int, dtype: torch.dtype) -> None:
    """Each cell alone, on one core and on three, as in the batch; another seed differs."""
    start = start_of(CASES["biases"], 1, samples, width, dtype)
    together = trained(start, rate=0.002)
    for cell in range(CELLS):
        for cores in (1, 3):
            matmul.set_threads(cores)
            alone = trained(start, (cell,), rate=0.002)
            for whole, own in zip(together.trained.tensors, alone.trained.tensors, strict=True):
                assert torch.equal(whole[cell], own[0])
                assert not torch.equal(whole[cell - 1], own[0])
        matmul.set_threads(1)


def test_what_is_no_number_stays_none() -> None:
    """A rectified NaN is NaN: a diverged cell cannot come back, nor does it touch its neighbours."""
    start = start_of(CASES["relu"])
    batch = start.batch(np.arange(CELLS), np.array([0.02, 1e200, 0.02]))
    start.training.stepper(batch, start).advance(batch.forward() - start.targets, 0, STEPS)
    finite = batch.forward().isfinite().all(1)
    assert finite.tolist() == [True, False, True]


@pytest.mark.parametrize(
    "network", [FullyConnected(activation="tanh"), ResNet()], ids=["another σ", "branches"]
)
def test_others_are_torch_s(network: Network) -> None:
    assert not forward_backward.fits(start_of(network).ensemble)


ACTIVATIONS = ("relu", "linear", "tanh", "erf", "gelu", Leaky(leaky=(0.1, 1.0)))


@pytest.mark.parametrize("network", [*(FullyConnected(activation=a) for a in ACTIVATIONS), ResNet()])
def test_the_plan_knows_which_are_compiled(network: Network) -> None:
    start = start_of(network)
    width, depth = start.coordinates[0][1:3]
    planned = is_compiled(network, start.training, width, depth, Dimensions(5, 6))
    assert planned == forward_backward.fits(start.ensemble)


def test_it_works_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without any folder to write to compiles in every process."""
    njit, refused = jit.numba.njit, []

    def refuses_to_cache(*function: object, cache: bool = False, **options: object) -> object:
        if cache:
            refused.append(options)
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*function, **options)

    monkeypatch.setattr(jit.numba, "njit", refuses_to_cache)
    assert jit.entry(keyed)(1) == 2
    assert refused


def test_what_is_kept_belongs_to_all_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key holds a digest of every file of the folder; under the same one nothing is compiled twice."""
    monkeypatch.setattr(jit.numba.config, "CACHE_DIR", str(tmp_path))
    digests: list[str] = []

    def was_kept(change: str) -> bool:
        def changed(sources: str) -> Callable[[int], int]:
            digests.append(sources)
            return keyed(sources + change)

        loop = jit.entry(changed)
        assert loop(1) == 2
        return bool(loop.stats.cache_hits)

    assert [was_kept(change) for change in ("", "", "a change")] == [False, True, False]
    files = sorted(Path(jit.__file__).parent.glob("*.py"))
    assert set(digests) == {hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()}


def keyed(sources: str) -> Callable[[int], int]:
    def add_one(number: int) -> int:
        return number + 1 if sources else 0

    return add_one
