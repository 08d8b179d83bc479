"""What a record costs: each quantity that the chosen measurements need, once, as it is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from widesweep.workers.networks.layers import Layer

LANCZOS_STEPS = 24  # typical of an operator norm
HESSIAN_PRODUCTS = 32  # for the largest eigenvalue of a Hessian, each of two gradients
VALUES, PAIRS = 12.0, 30.0  # operations for an n × n spectrum without and with vectors, in units of n³


@dataclass(frozen=True)
class Sizes:
    """What a cell's record is made of.

    Attributes:
        layers: the network's layers; the last one's fan-out is the number of outputs K.
        samples: training points n.
        test_samples: test points.
    """

    layers: tuple[Layer, ...]
    samples: int
    test_samples: int = 0

    @property
    def classes(self) -> int:
        """K."""
        return self.layers[-1].fan_out

    @property
    def outputs(self) -> int:
        """N = n·K, the side of a tangent kernel."""
        return self.samples * self.classes

    @property
    def trained(self) -> tuple[Layer, ...]:
        """The layers that train."""
        return tuple(layer for layer in self.layers if layer.trains)

    def products(self, rows: float, *, below: bool = True) -> float:
        """Operations of passing rows through every layer, or through all but the first."""
        layers = self.layers[0 if below else 1 :]
        return sum(2.0 * rows * each.pixels * each.fan_in * each.fan_out for each in layers)


@dataclass(frozen=True)
class Quantity:
    """Something that measurements read.

    Attributes:
        flops: floating-point operations for a cell.
        values: numbers held meanwhile.
        of_vectors: whether it goes through matrices once for a few operations a number, bound by memory.
    """

    flops: Callable[[Sizes], float]
    values: Callable[[Sizes], float]
    of_vectors: bool = False


def _nothing(size: Sizes) -> float:
    return 0.0


def _kernels(size: Sizes) -> float:
    """n² inner products of activations and N² of cotangents, for each layer that trains.

    Where pixels share weights: N gradients of single samples, and their N² inner products.
    """
    n, outputs = size.samples, size.outputs
    dense = [each for each in size.trained if each.pixels == 1]
    shared = [each for each in size.trained if each.pixels > 1]
    found = sum(2.0 * n**2 * each.fan_in + 2.0 * outputs**2 * each.fan_out for each in dense)
    return found + sum(
        2.0 * outputs * (each.pixels + outputs) * each.fan_in * each.fan_out for each in shared
    )


def _norms(size: Sizes) -> float:
    steps = {each: 1 + LANCZOS_STEPS * (each.fan_out > 1) for each in size.layers}
    return sum(4.0 * each.fan_in * each.fan_out * steps[each] for each in size.layers)


def _weights(size: Sizes) -> float:
    return float(sum(each.parameters for each in size.trained))


def _neurons(size: Sizes) -> float:
    return float(sum(each.pixels * each.fan_out for each in size.layers))


QUANTITIES = {
    "ensemble": Quantity(_nothing, _nothing),
    "unit_cotangents": Quantity(
        lambda s: s.products(s.outputs, below=False), lambda s: s.outputs * _neurons(s)
    ),
    "kernel": Quantity(_kernels, lambda s: 3.0 * s.outputs**2),
    "extreme_eigenvalues": Quantity(lambda s: VALUES * s.outputs**3, lambda s: 3.0 * s.outputs**2),
    "spectrum": Quantity(lambda s: PAIRS * s.outputs**3, lambda s: 4.0 * s.outputs**2),
    "layer_kernels": Quantity(_kernels, lambda s: 2.0 * len(s.trained) * s.outputs**2),
    "layer_eigenvalues": Quantity(
        lambda s: VALUES * len(s.trained) * s.outputs**3, lambda s: 2.0 * s.outputs**2
    ),
    "last_hidden_eigenvalues": Quantity(lambda s: VALUES * s.outputs**3, lambda s: 3.0 * s.outputs**2),
    "weight_changes": Quantity(_weights, _nothing, of_vectors=True),
    "norms": Quantity(_norms, _nothing, of_vectors=True),
    "pattern": Quantity(
        lambda s: 2.0 * s.samples * s.layers[0].pixels * s.layers[0].fan_out, _nothing, of_vectors=True
    ),
    "output_step": Quantity(
        lambda s: 4.0 * s.products(s.samples), lambda s: _weights(s) + 3.0 * s.samples * _neurons(s)
    ),
    "linearized": Quantity(lambda s: 4.0 * s.outputs**2, lambda s: 3.0 * s.outputs**2),
    "pre_activations": Quantity(lambda s: s.products(s.samples), lambda s: 3.0 * s.samples * _neurons(s)),
    "sharpness": Quantity(
        lambda s: HESSIAN_PRODUCTS * 6.0 * s.products(s.samples),
        lambda s: 6.0 * _weights(s) + 3.0 * s.samples * _neurons(s),
    ),
    "test_outputs": Quantity(
        lambda s: s.products(s.test_samples), lambda s: 3.0 * s.test_samples * _neurons(s)
    ),
    "test_kernel": Quantity(
        lambda s: 2.0 * s.test_samples * s.classes * s.outputs,
        lambda s: 2.0 * s.test_samples * s.classes * s.outputs,
    ),
}


def flops(needs: Iterable[str], size: Sizes) -> float:
    """Floating-point operations of one record of one cell.

    Args:
        needs: names of quantities; one that is named twice is computed once.
        size: the cell's sizes.

    >>> flops(["weight_changes", "weight_changes"], Sizes((Layer(3, 5), Layer(5, 1)), samples=4))
    20.0
    """
    return sum(QUANTITIES[name].flops(size) for name in set(needs))


def vector_flops(needs: Iterable[str], size: Sizes) -> float:
    """Those of them that are bound by memory, as products of matrices with vectors are."""
    return flops((name for name in needs if QUANTITIES[name].of_vectors), size)


def values(needs: Iterable[str], size: Sizes) -> float:
    """Numbers that a record of one cell holds at most, beside what training itself holds."""
    return sum(QUANTITIES[name].values(size) for name in set(needs))
