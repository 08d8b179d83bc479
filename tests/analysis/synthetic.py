"""Stores with the layout of the contract and known laws: no training, no torch."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

CELL = ("width", "depth", "seed", "learning_rate")
LAMBDA_MAX = 2.0
# Quantiles of `late_rates`.
SHARES = (0.0, 0.005, 0.01, 0.02, 0.035, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
LATE_RATES = (-6.05, -5.01, -4.7, -3.8, -2.99, -2.35, -1.43, -0.76, -0.22, 0.05, 0.21, 0.34, 0.41, 0.48, 0.6)
FLAGS = {"flag_values": [0, 1, 2, 3, 4], "flag_meanings": "pending done diverged failed not_requested"}


@dataclass(frozen=True)
class SyntheticSweep:
    """What the store is made of; every law it obeys is stated here.

    Attributes:
        exponents: of the drift variables against the width, by variable name.
        correction: c of the factor 1 + c/√m on the drifts.
        spread: standard deviation over seeds of their logs.
        rate_deficit: (c, p): the least eigenvalue at width m is the limit's times 1 − c m^−p.
        rate_factor: wrong factor on every measured decay rate (negative control).
        modes: number of modes of the residual.
        gap: ratio of the second least eigenvalue to the least.
        floor: relative residual where rounding takes over.
        layers: whether the movement of layers was recorded.
        network: keys of the config's network that differ.
        settings: keys of the config's training that differ.
        states: cells' states by index (width, depth, seed, learning_rate), where not done.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (1, 2)
    seeds: int = 6
    rates: tuple[float, ...] = (0.5, 1.0)
    steps: int = 1000
    records: int = 64
    exponents: dict[str, float] = field(default_factory=dict)
    correction: float = 0.0
    spread: float = 0.15
    rate_deficit: tuple[float, float] = (4.0, 1.0)
    rate_spread: float = 0.03
    rate_factor: float = 1.0
    modes: int = 8
    gap: float = 2.0
    floor: float = 1e-15
    dtype: str = "float64"
    kind: str = "two_layer"
    name: str = "synthetic"
    orders: tuple[int, ...] = (4, 6)
    cumulant_error: float = 0.01
    cumulant_bias: float = 0.0
    training: bool = True
    layers: bool = True
    initialization: bool = True
    network: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    states: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    seed: int = 0


def write(path: Path, sweep: SyntheticSweep, *, consolidated: bool = True) -> Path:
    """Write the store; returns its path."""
    attrs = {
        "config": json.dumps(config(sweep)),
        "config_hash": "0" * 16,
        "schema_version": 2,
        "code_version": "0.1.0",
        "library_versions": json.dumps({"numpy": np.__version__}),
        "created": "2026-01-01T00:00:00+00:00",
    }
    zarr.open_group(str(path), mode="w", zarr_format=3, attributes=attrs)
    groups = {"theory": theory(sweep)}
    if sweep.training:
        groups["training"] = training(sweep)
    if sweep.initialization:
        groups["initialization"] = initialization(sweep)
    for name, group in groups.items():
        group.to_zarr(str(path), group=name, mode="w", zarr_format=3, consolidated=False)
    run = zarr.open_group(str(path), mode="a").create_group("run")
    run.attrs.update({"state": "finished", "host": "<b>host</b>", "elapsed_s": 12.5})
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(str(path))
    return path


def lambda_min(sweep: SyntheticSweep) -> np.ndarray:
    """Least eigenvalue of the infinite kernel, by depth."""
    return 0.04 * np.asarray(sweep.depths, dtype=float) ** 0.5


def recorded(sweep: SyntheticSweep) -> np.ndarray:
    """Log-spaced integer steps, 0 first."""
    steps = np.unique(np.rint(np.geomspace(1, sweep.steps, sweep.records - 1)).astype(np.int64))
    return np.concatenate([[0], steps])


def theory(sweep: SyntheticSweep) -> xr.Dataset:
    """The group /theory."""
    low, depths = lambda_min(sweep), np.asarray(sweep.depths)
    eta = np.asarray(sweep.rates) / LAMBDA_MAX
    variables: dict[str, Any] = {
        "lambda_min": ("depth", low),
        "lambda_max": ("depth", np.full(len(depths), LAMBDA_MAX)),
    }
    coords: dict[str, Any] = {"depth": depths, "sample": np.arange(3), "sample_other": np.arange(3)}
    variables["infinite_ntk"] = (("depth", "sample", "sample_other"), np.zeros((len(depths), 3, 3)))
    if sweep.training:
        variables["rate_predicted"] = (("depth", "learning_rate"), -np.log1p(-eta[None, :] * low[:, None]))
        coords["learning_rate"] = np.asarray(sweep.rates)
    if sweep.initialization:
        exact = np.array(
            [[relu_cumulants(m, d, sweep.orders) for d in sweep.depths] for m in sweep.widths], dtype=float
        )
        variables["cumulant_predicted"] = (("width", "depth", "order"), exact, {"approximation": "exact"})
        coords |= {"width": np.asarray(sweep.widths), "order": np.asarray(sweep.orders)}
    return xr.Dataset(variables, coords=coords)


def training(sweep: SyntheticSweep) -> xr.Dataset:
    """The group /training."""
    generator = np.random.default_rng([sweep.seed, 1])
    m = np.asarray(sweep.widths, dtype=float)
    shape = (len(m), len(sweep.depths), sweep.seeds, len(sweep.rates))
    k = recorded(sweep)
    eta = np.asarray(sweep.rates) / LAMBDA_MAX
    norm, least = _residuals(sweep, generator, k)
    variables: dict[str, np.ndarray] = {
        "residual_norm": norm,
        "loss": 0.5 * norm**2,
        "ntk_min_eigenvalue": least,
        "ntk_max_eigenvalue": np.full_like(least, LAMBDA_MAX),
    }
    grown = np.minimum(k / k.max() * 3.0, 1.0)
    for name, default in (
        ("neuron_change_max", -0.5),
        ("ntk_relative_change", -0.8),
        ("pattern_change", -0.5),
    ):
        log_y = _drift(sweep, generator, sweep.exponents.get(name, default))
        variables[name] = np.exp(log_y)[..., None] * grown
    data = {name: ((*CELL, "step"), value) for name, value in variables.items()}
    for norm_name in ("layer_relative_change", "layer_relative_change_frobenius") if sweep.layers else ():
        data[norm_name] = ((*CELL, "step", "layer"), _layers(sweep, generator, norm_name, grown))
    status = np.ones(shape, dtype=np.int8)
    for index, state in sweep.states.items():
        status[index] = state
    for dims, value in data.values():
        value[status == 0] = np.nan
        value[status == 2, ..., len(k) // 2 :] = (
            np.nan if len(dims) == 5 else value[status == 2, ..., len(k) // 2 :]
        )
    absolute = np.broadcast_to(eta, (shape[0], shape[1], shape[3]))
    coords = {
        "width": np.asarray(sweep.widths), "depth": np.asarray(sweep.depths), "seed": np.arange(sweep.seeds),
        "learning_rate": np.asarray(sweep.rates), "step": k, "layer": np.arange(1, max(sweep.depths) + 2),
    }  # fmt: skip
    dataset = xr.Dataset(data, coords=coords)
    dataset["status"] = (CELL, status, FLAGS)
    dataset["learning_rate_absolute"] = (("width", "depth", "learning_rate"), absolute.copy())
    chunks = {"width": 1, "depth": 1, "seed": sweep.seeds, "learning_rate": len(sweep.rates)}
    for variable in dataset.data_vars.values():
        variable.encoding["chunks"] = tuple(chunks.get(str(d), variable.sizes[d]) for d in variable.dims)
    return dataset


def initialization(sweep: SyntheticSweep) -> xr.Dataset:
    """The group /initialization: exact cumulants plus noise of the stated relative size."""
    generator = np.random.default_rng([sweep.seed, 2])
    exact = theory(sweep)["cumulant_predicted"]
    error = sweep.cumulant_error * exact
    value = exact * (1 + sweep.cumulant_bias) + error * generator.standard_normal(exact.shape)
    dataset = xr.Dataset({"cumulant": value, "cumulant_standard_error": error})
    dataset["draws"] = xr.full_like(exact, 1e6).astype(np.int64)
    dataset["status"] = (("width", "depth"), np.ones(exact.shape[:2], dtype=np.int8), FLAGS)
    return dataset


def relu_cumulants(width: int, depth: int, orders: tuple[int, ...]) -> list[float]:
    """κ_{2k}/K^k of a bias-free ReLU network: moments of F = (2/n)χ²_B, B ~ Bin(n, ½), by summation."""
    size = np.arange(width + 1)
    share = np.array([comb(width, int(b)) / 2**width for b in size])
    moments = [
        float((share * np.prod([size + 2.0 * j for j in range(k)], axis=0)).sum() * (2.0 / width) ** k)
        ** depth
        for k in range(1, 5)
    ]
    m2, m3, m4 = moments[1], moments[2], moments[3]
    central = {4: m2 - 1, 6: m3 - 3 * m2 + 2, 8: m4 - 4 * m3 - 3 * m2**2 + 12 * m2 - 6}
    prefactor = {4: 3.0, 6: 15.0, 8: 105.0}
    return [prefactor[order] * central[order] for order in orders]


def _residuals(
    sweep: SyntheticSweep, generator: np.random.Generator, k: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """‖r(k)‖ as a sum of decaying modes on a floor, and λ_min(k)."""
    m = np.asarray(sweep.widths, dtype=float).reshape(-1, 1, 1, 1)
    c, power = sweep.rate_deficit
    shape = (len(sweep.widths), len(sweep.depths), sweep.seeds, 1)
    noise = np.exp(sweep.rate_spread * generator.standard_normal(shape))
    least = lambda_min(sweep).reshape(1, -1, 1, 1) * (1 - c * m**-power) * noise
    factors = np.concatenate([[1.0], np.linspace(sweep.gap, 10 * sweep.gap, max(sweep.modes - 1, 0))])
    spectrum = np.minimum(least[..., None] * factors[: sweep.modes], LAMBDA_MAX)
    amplitude = generator.uniform(0.5, 1.5, size=(*shape[:3], 1, len(factors[: sweep.modes])))
    eta = (np.asarray(sweep.rates) / LAMBDA_MAX).reshape(1, 1, 1, -1, 1)
    decay = np.log1p(-np.minimum(eta * spectrum, 0.999)) * sweep.rate_factor
    squares = (amplitude[..., None] ** 2 * np.exp(2 * decay[..., None] * k)).sum(-2)
    start = np.sqrt(squares[..., :1])
    rounding = sweep.floor * start * np.exp(0.3 * generator.standard_normal(squares.shape))
    least = np.broadcast_to(least[..., None], squares.shape).copy()
    return np.sqrt(squares + rounding**2), least


def _drift(sweep: SyntheticSweep, generator: np.random.Generator, exponent: float) -> np.ndarray:
    """Log of a drift: the power law, its correction, a spread that learning rates of one seed share."""
    m = np.asarray(sweep.widths, dtype=float).reshape(-1, 1, 1, 1)
    shape = (len(sweep.widths), len(sweep.depths), sweep.seeds, len(sweep.rates))
    shared = sweep.spread * generator.standard_normal((*shape[:3], 1))
    own = 0.1 * sweep.spread * generator.standard_normal(shape)
    return exponent * np.log(m) + np.log1p(sweep.correction / np.sqrt(m)) + shared + own


def _layers(
    sweep: SyntheticSweep, generator: np.random.Generator, name: str, grown: np.ndarray
) -> np.ndarray:
    """Relative movement of each layer; NaN where a layer does not exist."""
    layers = max(sweep.depths) + 1
    shape = (len(sweep.widths), len(sweep.depths), sweep.seeds, len(sweep.rates), len(grown), layers)
    values = np.full(shape, np.nan)
    m = np.asarray(sweep.widths, dtype=float).reshape(-1, 1, 1)
    for d, depth in enumerate(sweep.depths):
        for h in range(1, depth + 2):
            hidden = 1 < h <= depth and name.endswith("frobenius")
            log_y = _drift(sweep, generator, -1.0 if hidden else -0.5)[:, d]
            if h == 1 and not name.endswith("frobenius"):
                log_y = log_y - np.log1p(np.sqrt(64 / m))
            values[:, d, :, :, :, h - 1] = np.exp(log_y)[..., None] * grown
    return values


def config(sweep: SyntheticSweep) -> dict[str, Any]:
    return {
        "name": sweep.name,
        "network": {"kind": sweep.kind, "activation": "relu", "parameterization": "ntk", "trains": "all"}
        | sweep.network,
        "data": {"source": "digits", "samples": 3},
        "grid": {"width": list(sweep.widths), "depth": list(sweep.depths), "seed": sweep.seeds},
        "training": {"optimizer": "gd", "steps": sweep.steps, "dtype": sweep.dtype} | sweep.settings
        if sweep.training
        else None,
    }


def late_rates(generator: np.random.Generator, count: int) -> np.ndarray:
    """Log steps per e-fold as real networks have them: some never show their slowest mode.

    Mean 0, variance 1, skewness −3.4 and an excess kurtosis of 12, by the quantiles of 373 networks of
    `configs/descent.yaml` at width 128 and five depths, seeds 5000 to 5079, each about its depth's mean.
    """
    return np.interp(generator.random(count), SHARES, LATE_RATES)
