"""Sweeps of known exponents, drawn for every law: how often intervals cover, and verdicts are wrong.

`python -m tests.analysis.calibration` prints the table of docs/calibration.md.
"""

from __future__ import annotations

import functools
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from tests.analysis import synthetic
from tests.analysis.test_label_law import LabelSweep
from tests.analysis.test_scale_laws import ScaleSweep
from widesweep.analysis.fitting import extrapolation
from widesweep.analysis.laws import (
    convergence,
    cumulants,
    depth_criticality,
    iterations,
    label_corruption,
    layer_drift,
    own_kernel,
    weight_drift,
)
from widesweep.analysis.laws.kinds import subspace_decay
from widesweep.analysis.laws.kinds.law_result import INCONSISTENT, LawResult
from widesweep.analysis.laws.kinds.ratio_law import NEXT_ORDER, RatioLaw
from widesweep.analysis.laws.kinds.width_law import WidthLaw, finite_size_bend
from widesweep.analysis.laws.tables import RATIO_LAWS, SCALE_LAWS, SUBSPACE_LAWS, WIDTH_LAWS
from widesweep.analysis.reading.cell_summary import CELL, CellSummary
from widesweep.theory.activations import RELU, TANH
from widesweep.theory.infinite_width.depth import finite_width_means

Draw = Callable[[int, bool], tuple[LawResult, float]]

WIDTHS, DEPTHS, SEEDS, RATES = (64, 128, 256, 512), (1, 2), 6, (0.5, 1.0)
SHAPE = (len(WIDTHS), len(DEPTHS), SEEDS, len(RATES))
PAIR_WIDTHS, PAIR_DEPTHS = (32, 64, 128, 256), (1, 2, 4, 8)
JACKKNIFE_DEGREES = 63  # of the standard errors of random networks, from 64 groups of draws


@dataclass(frozen=True)
class Calibration:
    """What draws of one law say.

    Attributes:
        law: its name.
        draws: how many sweeps.
        covered: share of them whose 95 % interval holds the true value.
        refuted: share of them called inconsistent.
        refuted_at_edge: the same at the edge of what theory allows, finite-size factors included.
    """

    law: str
    draws: int
    covered: float
    refuted: float
    refuted_at_edge: float


def calibrate(law: str, draws: int) -> Calibration:
    """Draws sweeps of one law, and as many at its edge."""
    draw = LAWS[law]
    inside = [draw(seed, False) for seed in range(draws)]
    edge = [draw(seed, True)[0] for seed in range(draws, 2 * draws)]
    covered = [found.estimate.low <= truth <= found.estimate.high for found, truth in inside]
    refuted = [found.verdict == INCONSISTENT for found, _ in inside]
    at_edge = [found.verdict == INCONSISTENT for found in edge]
    return Calibration(law, draws, *(float(np.mean(each)) for each in (covered, refuted, at_edge)))


def generator_of(law: str, seed: int) -> np.random.Generator:
    """Every law has draws of its own."""
    return np.random.default_rng([seed, zlib.crc32(law.encode())])


def noise(generator: np.random.Generator) -> np.ndarray:
    """Skewed noise of the logs that a seed's learning rates share, and some of each cell's own."""
    shared = 0.1 * (generator.gamma(4.0, size=(*SHAPE[:3], 1)) - 4.0)
    return np.asarray(shared + 0.02 * generator.standard_normal(SHAPE))


def cells(**variables: np.ndarray) -> xr.Dataset:
    """Finished cells of the grid."""
    found = {name: (CELL, values) for name, values in variables.items()}
    found["status"] = (CELL, np.ones(SHAPE, dtype=np.int8))
    coordinates = {"width": WIDTHS, "depth": DEPTHS, "seed": range(SEEDS), "learning_rate": RATES}
    return xr.Dataset(found, {name: list(values) for name, values in coordinates.items()})


def in_width(law: WidthLaw, seed: int, edge: bool) -> tuple[LawResult, float]:
    """m^slope; at the edge times the largest finite-size factor that is allowed."""
    m = np.array(WIDTHS, dtype=float)
    log_y = law.allowed[1] * np.log(m)
    if edge:
        log_y = log_y - np.log1p(finite_size_bend(m, m.min()))
    config = {"network": {"kind": "two_layer"}, "data": {"source": "digits"}}
    facts = CellSummary(config, None, None, None, xr.Dataset())
    if law.known_factor and (known := law.known_factor(facts, m)):
        log_y = log_y + np.log(known[0])
    values = np.exp(log_y[:, None, None, None] + noise(generator_of(law.name, seed)))
    grid = cells(**{law.variable: values})
    if law.layer is not None:
        grid[law.variable] = grid[law.variable].expand_dims(layer=[law.layer])
    (found,) = law.find(CellSummary(config, grid, None, None, xr.Dataset()))
    return found, law.allowed[1]


def by_scale(law: movement_by_scale.ScaleLaw, seed: int, edge: bool) -> tuple[LawResult, float]:
    """1/α; at the edge times 1 + c/α, c as large as the kernel's change allows."""
    sweep = ScaleSweep(own=0.1, correction=0.25 if edge else 0.0, seed=seed)
    return law.find(sweep.summary())[0], -1.0


def on_pairs(
    law: RatioLaw, truth: np.ndarray, slope: float, seed: int, edge: bool
) -> tuple[LawResult, float]:
    """Exact values with the errors of a jackknife; without a prediction, at the edge times 1 + c·L/n."""
    ratio = np.array(PAIR_DEPTHS) / np.array(PAIR_WIDTHS)[:, None]
    measured = (
        truth * (1.0 + np.minimum(NEXT_ORDER * ratio, 1.0)) if edge and law.predicted is None else truth
    )
    found = law.find(random_networks(law.variable, measured, truth, seed, bool(law.predicted)))[0]
    return found, slope


def random_networks(
    variable: str, truth: np.ndarray, predicted: np.ndarray, seed: int, known: bool, **network: object
) -> CellSummary:
    """Measured values 5 % about the truth, and standard errors that are themselves estimated."""
    generator = generator_of(f"{variable} {predicted.flat[0]}", seed)
    place, coordinates = ("width", "depth"), {"width": list(PAIR_WIDTHS), "depth": list(PAIR_DEPTHS)}
    size = 0.05 * np.abs(truth)
    error = size * np.sqrt(generator.chisquare(JACKKNIFE_DEGREES, truth.shape) / JACKKNIFE_DEGREES)
    group = xr.Dataset(
        {
            variable: (place, truth + size * generator.standard_normal(truth.shape)),
            f"{variable}_standard_error": (place, error),
            "status": (place, np.ones(truth.shape, dtype=np.int8)),
        },
        coordinates,
    )
    theory = xr.Dataset(coords=coordinates)
    if known:
        theory[f"{variable}_predicted"] = (place, predicted, {"approximation": "exact"})
    return CellSummary({"network": {"activation": "relu", **network}}, None, None, group, theory)


def of_cumulants(order: int, seed: int, edge: bool) -> tuple[LawResult, float]:
    """κ of one order about the exact values."""
    exact = np.array(
        [[synthetic.relu_cumulants(m, d, (order,))[0] for d in PAIR_DEPTHS] for m in PAIR_WIDTHS]
    )
    facts = random_networks("cumulant", exact, exact, seed, known=True)
    assert facts.initialization is not None
    group, theory = (each.expand_dims(order=[order]) for each in (facts.initialization, facts.theory))
    group["status"] = facts.initialization["status"]
    theory["cumulant_predicted"].attrs["approximation"] = "exact"
    (found,) = cumulants.find(CellSummary(facts.config, None, None, group, theory))
    return found, (found.expected_low + found.expected_high) / 2


def exact_ratio(law: RatioLaw, truth: np.ndarray, seed: int, edge: bool) -> tuple[LawResult, float]:
    """The middle of what is allowed is the slope of the exact values on these pairs."""
    found, _ = on_pairs(law, truth, 1.0, seed, edge)
    return found, (found.expected_low + found.expected_high) / 2


def in_depth(name: str, seed: int, edge: bool) -> tuple[LawResult, float]:
    """tanh at criticality about its recursion."""
    variable, _ = depth_criticality.VARIABLES[name]
    truth = tanh_means("kernel" if name == depth_criticality.NAME else "derivative")
    facts = random_networks(variable, truth, truth, seed, known=True, activation="tanh")
    (found,) = depth_criticality.find(facts)
    return found, (found.expected_low + found.expected_high) / 2


@functools.cache
def tanh_means(name: str) -> np.ndarray:
    """The recursion with its 1/n correction, shape (widths, depths)."""
    means = partial(finite_width_means, activation=TANH, weight_variance=1.0)
    return np.array([[getattr(means(m, d), name) for d in PAIR_DEPTHS] for m in PAIR_WIDTHS])


def deficits(generator: np.random.Generator, off: float) -> np.ndarray:
    """Ratios to the limit at each width and depth, their corrections drawn from the extrapolation's prior."""
    m = np.array(WIDTHS, dtype=float)
    scale = min(extrapolation.FINITE_SIZE / np.sqrt(m.min()), extrapolation.LARGEST_CORRECTION)
    terms = [scale * generator.standard_normal(len(DEPTHS)) * (m.min() / m[:, None]) ** p for p in (0.5, 1.0)]
    return np.asarray(1.0 + off + terms[0] + terms[1])


def late_rates(seed: int, edge: bool) -> tuple[LawResult, float]:
    """Rates that reach the limit's through drawn corrections, with a remainder of the transient of 1 %."""
    generator = generator_of(convergence.NAME, seed)
    off, settling = (convergence.TRUSTED if edge else 0.0), 0.01
    ratio = deficits(generator, off)[:, :, None, None] + settling * generator.standard_normal()
    smaller = np.sqrt(WIDTHS[0] / np.array(WIDTHS))[:, None, None, None]
    ratio = ratio * (1.0 + 0.1 * smaller * generator.standard_normal((*SHAPE[:3], 1))) * np.ones(SHAPE)
    predicted = xr.DataArray(
        np.array([[0.01, 0.02], [0.015, 0.03]]),
        dims=("depth", "learning_rate"),
        coords={"depth": list(DEPTHS), "learning_rate": list(RATES)},
    )
    rate = ratio * predicted.values[None, :, None, :]
    fits = cells(
        rate=rate, rate_standard_error=settling * np.abs(rate), rate_flag=np.zeros(SHAPE, dtype=np.int8)
    )
    theory = xr.Dataset({"rate_predicted": predicted})
    (found,) = convergence.find(CellSummary({}, cells(), fits, None, theory))
    return found, 1.0 + off


def own_rates(seed: int, edge: bool) -> tuple[LawResult, float]:
    """Rates about those of each network's own kernel, some of them far below."""
    generator = generator_of(own_kernel.NAME, seed)
    truth = 1.0 - own_kernel.TOLERANCE if edge else 1.0
    own = 0.01 * np.exp(0.2 * generator.standard_normal(SHAPE))
    spread = np.where(generator.random((*SHAPE[:3], 1)) < 0.1, 0.3, 0.03)
    rate = own * truth * np.exp(spread * generator.standard_normal((*SHAPE[:3], 1)))
    (found,) = own_kernel.find(
        CellSummary({}, cells(), cells(rate=rate, rate_own_kernel=own), None, xr.Dataset())
    )
    return found, truth


def of_subspaces(law: subspace_decay.SubspaceDecay, seed: int, edge: bool) -> tuple[LawResult, float]:
    """Decays at the cut-off's own; at the edge as far beyond it as a kernel that moves may be."""
    generator = generator_of(law.name, seed)
    outwards = -1.0 if law.space == "information" else 1.0
    truth = 1.0 + outwards * subspace_decay.TOLERANCE if edge else 1.0
    decay = truth * np.exp(0.2 * generator.standard_normal((*SHAPE[:3], 1))) * np.ones(SHAPE)
    (found,) = law.find(CellSummary({}, cells(**{law.name: decay}), None, None, xr.Dataset()))
    return found, truth


def of_iterations(optimizer: str, seed: int, edge: bool) -> tuple[LawResult, float]:
    """Rates (ηλ_min)^power of networks whose own λ_min scatters by 15 % about those of their kind."""
    generator = generator_of(optimizer, seed)
    power = iterations.EXPECTED[optimizer] + (iterations.TOLERANCE if edge else 0.0)
    level = np.geomspace(0.1, 0.001, SHAPE[0] * SHAPE[1]).reshape(*SHAPE[:2], 1, 1)
    least = level * np.exp(0.15 * generator.standard_normal((*SHAPE[:3], 1))) * np.ones(SHAPE)
    rate = least**power * np.exp(0.1 * noise(generator))
    grid = cells(ntk_min_eigenvalue=least)
    grid["learning_rate_absolute"] = (("width", "depth", "learning_rate"), np.ones((*SHAPE[:2], SHAPE[3])))
    config = {"training": {"optimizer": optimizer}}
    (found,) = iterations.find(CellSummary(config, grid, cells(rate=rate), None, xr.Dataset()))
    return found, power


def of_labels(seed: int, edge: bool) -> tuple[LawResult, float]:
    """Slow-downs that reach the limit's through drawn corrections."""
    truth = 1.0 + (label_corruption.TRUSTED if edge else 0.0)
    correction = tuple(deficits(generator_of(label_corruption.NAME, seed), 0.0)[:, 0] - 1.0)
    (found,) = label_corruption.find(LabelSweep(slope=truth, corrections=correction, seed=seed).summary())
    return found, truth


def _width_laws() -> Iterator[WidthLaw]:
    config = {"data": {"source": "digits"}}
    yield from (weight_drift.LAW, WIDTH_LAWS["kernel_drift"], WIDTH_LAWS["pattern_change"])
    yield from layer_drift.laws(CellSummary(config, cells(), None, None, xr.Dataset()))
    yield from (WIDTH_LAWS[name] for name in ("linearization", "linearization_test", "trajectory"))


def _exact_laws() -> Iterator[tuple[RatioLaw, np.ndarray]]:
    from widesweep.theory.finite_width import fluctuations

    def grid(function: Callable[[list[int]], float]) -> np.ndarray:
        return np.array([[function([m] * d) for d in PAIR_DEPTHS] for m in PAIR_WIDTHS])

    truths: dict[str, Callable[[list[int]], float]] = {
        "output_covariance": lambda widths: fluctuations.squared_output_covariance(widths, RELU),
        "gradient_variance": lambda widths: fluctuations.gradient_variance(widths, 8, RELU),
        "ntk_variance": lambda widths: fluctuations.ntk_second_moment(widths, RELU) - 1.0,
    }
    yield from ((RATIO_LAWS[name], grid(truth)) for name, truth in truths.items())


def _laws() -> Iterator[tuple[str, Draw]]:
    yield convergence.NAME, late_rates
    yield own_kernel.NAME, own_rates
    yield from ((law.name, partial(in_width, law)) for law in _width_laws())
    yield from ((f"cumulant_{order}", partial(of_cumulants, order)) for order in (4, 6, 8))
    yield from ((law.name, partial(exact_ratio, law, truth)) for law, truth in _exact_laws())
    ratio = np.array(PAIR_DEPTHS) / np.array(PAIR_WIDTHS)[:, None]
    orders = (RATIO_LAWS["hessian_norm"], RATIO_LAWS["hessian_gradient"])
    yield from ((law.name, partial(on_pairs, law, ratio, 1.0)) for law in orders)
    yield from ((name, partial(in_depth, name)) for name in depth_criticality.VARIABLES)
    yield from ((law.name, partial(of_subspaces, law)) for law in SUBSPACE_LAWS.values())
    yield from ((f"{iterations.NAME} ({name})", partial(of_iterations, name)) for name in iterations.EXPECTED)
    yield from ((law.name, partial(by_scale, law)) for law in SCALE_LAWS.values())
    yield label_corruption.NAME, of_labels


LAWS: dict[str, Draw] = dict(_laws())


def table(draws: int) -> str:
    """Markdown: a row for each law."""
    lines = [
        "| law | 95 % interval covers | false inconsistent | the same at the edge | draws |",
        "|---|---|---|---|---|",
    ]
    for name in LAWS:
        found = calibrate(name, draws)
        shares = (found.covered, found.refuted, found.refuted_at_edge)
        lines.append(f"| `{name}` | {' | '.join(f'{100 * share:.1f} %' for share in shares)} | {draws} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
