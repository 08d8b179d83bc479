"""What a measurement on random networks is: sums over draws that add up, and numbers made of their means.

A measurement never sees all draws. It turns some draws into means of a few statistics; these are kept by
group and part (`random_networks.parts`), and what is stored is a function of the pooled means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from widesweep.workers.networks.fully_connected import FullyConnected
from widesweep.workers.networks.network import Network
from widesweep.workers.networks.two_layer import TwoLayer
from widesweep.workers.variable import Variable

PLACE = ("width", "depth")
EXACT, LEADING, LIMIT, NONE = "exact", "leading order", "infinite width", "none"
# What a draw costs on one CPU core: stated constants, measured once with NumPy's own generators.
SCALE_INVARIANT_S = 110e-9  # a binomial and a gamma number: one layer of one draw, at any width
NEURON_S = {"tanh": 18e-9, "erf": 28e-9, "gelu": 50e-9}  # a normal number and σ of it
PIECEWISE_LINEAR_S, OWN_S = 15e-9, 50e-9  # one's own: as the slowest
FEW_DRAWS, MANY_DRAWS = 2**16, 2**22  # draws of a part: seconds of work, and few parts at 10⁹ draws
CHUNK_NUMBERS = 2**18  # random numbers held at a time: they stay in cache

Prediction = tuple[np.ndarray | float, str]
Result = dict[str, np.ndarray]


class Settings(Protocol):
    """What is drawn: the part of `InitializationConfig` that measurements read."""

    @property
    def draws(self) -> int:
        """Random networks of each width and depth."""

    @property
    def orders(self) -> tuple[int, ...]:
        """Of `cumulants`, even."""

    @property
    def points(self) -> tuple[int, ...]:
        """Of `joint_cumulants`, numbers of training points from 0."""

    @property
    def networks(self) -> int:
        """Of `hessian_norm`, networks drawn with every weight."""


@dataclass(frozen=True)
class Case:
    """One width and depth of a network at initialisation.

    Attributes:
        network: its config, as it is sampled.
        width: m.
        depth: hidden layers.
        settings: what is drawn and measured.
        x: training points of unit norm, shape (n, d); None without data.
    """

    network: Network
    width: int
    depth: int
    settings: Settings
    x: np.ndarray | None = None

    @property
    def fully_connected(self) -> FullyConnected:
        """The network, where a measurement is for fully connected ones alone."""
        assert isinstance(self.network, FullyConnected)
        return self.network

    @property
    def neuron_s(self) -> float:
        """Seconds of one neuron of one draw."""
        other = PIECEWISE_LINEAR_S if self.network.activation_object().slopes is not None else OWN_S
        return NEURON_S.get(str(self.network.activation), other)

    @property
    def scale_invariant(self) -> bool:
        """Whether exact laws hold: σ(ct) = cσ(t) for c > 0, and no biases."""
        invariant = self.network.activation_object().slopes is not None
        return invariant and (isinstance(self.network, TwoLayer) or self.fully_connected.bias_variance == 0.0)


@dataclass(frozen=True)
class Measurement:
    """A measurement on random networks.

    Attributes:
        variables: what it stores in /initialization, all over (width, depth, …).
        means: (case, draws, generator) to the statistics' means over those draws, shape (statistics,).
        summary: (case) to a function from means (…, statistics) to values (…, j), in the order of `store`.
        draw_s: (case) to seconds of one draw on one core.
        part_draws: (case) to draws of one part: a power of two, at least 64.
        statistics: how many means it keeps.
        store: (case, values (j,), standard errors (j,)) to the variables' values; None: they are pairs of a
            value and its error.
        shape: (settings) to the shape of each value that is stored so.
        predicted: what theory says beside it, in /theory.
        predict: (case) to predictions by name, with the kind of each.
        draws: (settings) to how many draws it makes.
        any_network: whether it takes networks other than fully connected ones.
        needs_points: whether it needs training points, or the inputs' dimension.
    """

    variables: tuple[Variable, ...]
    means: Callable[[Case, int, np.random.Generator], np.ndarray]
    summary: Callable[[Case], Callable[[np.ndarray], np.ndarray]]
    draw_s: Callable[[Case], float]
    part_draws: Callable[[Case], int] = lambda case: FEW_DRAWS
    statistics: Callable[[Settings], int] = lambda settings: 2
    store: Callable[[Case, np.ndarray, np.ndarray], Result] | None = None
    shape: Callable[[Settings], tuple[int, ...]] = lambda settings: ()
    predicted: tuple[Variable, ...] = ()
    predict: Callable[[Case], dict[str, Prediction]] = lambda case: {}
    draws: Callable[[Settings], int] = lambda settings: settings.draws
    any_network: bool = False
    needs_points: bool = False

    def stored(self, case: Case, values: np.ndarray, errors: np.ndarray) -> Result:
        """The variables' values."""
        if self.store is not None:
            return self.store(case, values, errors)
        tables = [each.reshape(-1, *self.shape(case.settings)) for each in (values, errors)]
        both = (np.asarray(each) for pair in zip(*tables, strict=True) for each in pair)
        return dict(zip((variable.name for variable in self.variables), both, strict=True))


def with_errors(meanings: dict[str, str], dims: tuple[str, ...] = PLACE) -> tuple[Variable, ...]:
    """Variables, each followed by its standard error."""
    error = "standard error of {}, jackknife over groups of draws"
    return tuple(
        variable
        for name, meaning in meanings.items()
        for variable in (
            Variable(name, dims, meaning),
            Variable(f"{name}_standard_error", dims, error.format(name)),
        )
    )


def predictions(meanings: dict[str, str]) -> tuple[Variable, ...]:
    """What theory says of each of them."""
    return tuple(
        Variable(f"{n}_predicted", PLACE, f"{meaning}, predicted", label=n.replace("_", " "))
        for n, meaning in meanings.items()
    )


def mean_of_chunks(sample: Callable[[int], np.ndarray], draws: int, numbers_per_draw: int) -> np.ndarray:
    """Means of statistics over draws, a cacheful of random numbers at a time.

    Args:
        sample: (draws) to statistics of each, shape (statistics, draws).
        draws: at least 1.
        numbers_per_draw: random numbers that one draw holds.

    Returns:
        Shape (statistics,).

    >>> mean_of_chunks(lambda n: np.ones((2, n)), 5, 2**17).tolist()
    [1.0, 1.0]
    """
    chunk = max(1, CHUNK_NUMBERS // numbers_per_draw)
    sizes = [min(chunk, draws - first) for first in range(0, draws, chunk)]
    return np.asarray(sum(sample(size).sum(axis=1) for size in sizes) / draws)
