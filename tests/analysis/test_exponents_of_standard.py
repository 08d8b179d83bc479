"""Exponents of the standard parameterisation, by networks trained in numpy without the engine."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from widesweep.analysis.laws import layer_drift, weight_drift
from widesweep.analysis.laws.kinds.regime import STANDARD
from widesweep.analysis.laws.kinds.width_law import SHALLOW
from widesweep.analysis.laws.tables import WIDTH_LAWS

WIDTHS, SEEDS, STEPS = (64, 128, 256, 512), 6, 60
TOLERANCE = 0.15  # finite size at m = 64, and six seeds
Network = list[np.ndarray]


def outputs(weights: Network, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Outputs, inputs of each layer and pre-activations of a ReLU network without biases."""
    inputs, before = [x], []
    for weight in weights[:-1]:
        before.append(inputs[-1] @ weight)
        inputs.append(np.maximum(before[-1], 0.0))
    return inputs[-1] @ weights[-1], inputs, before


def gradients(weights: Network, x: np.ndarray, cotangent: np.ndarray) -> Network:
    """Of Σ cotangent · f, by the chain rule layer by layer."""
    _, inputs, before = outputs(weights, x)
    back, found = cotangent[:, None], []
    for h in range(len(weights) - 1, -1, -1):
        found.append(inputs[h].T @ back)
        if h:
            back = (back @ weights[h].T) * (before[h - 1] > 0)
    return found[::-1]


def kernel(weights: Network, x: np.ndarray) -> np.ndarray:
    """Σ over parameters of ∂f_i ∂f_j."""
    rows = [np.concatenate([g.ravel() for g in gradients(weights, x, e)]) for e in np.eye(len(x))]
    jacobian = np.stack(rows)
    return np.asarray(jacobian @ jacobian.T)


def trained(width: int, depth: int, seed: int) -> dict[str, float]:
    """Relative movements after gradient descent with η = 0.5/λ_max from weights of variance 2/fan-in."""
    random = np.random.default_rng([width, depth, seed])
    x = np.random.default_rng(1).standard_normal((5, 6))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    sizes = [6] + [width] * depth + [1]
    gains = [2.0] + [2.0 / width] * depth
    shapes = [(sizes[h], sizes[h + 1]) for h in range(depth + 1)]
    weights = [np.sqrt(g) * random.standard_normal(s) for g, s in zip(gains, shapes, strict=True)]
    start, before = [w.copy() for w in weights], kernel(weights, x)
    rate = 0.5 / np.linalg.eigvalsh(before)[-1]
    linear, gap = outputs(weights, x)[0][:, 0], 0.0
    for _ in range(STEPS):
        linear = linear - rate * before @ (linear - y)
        residual = outputs(weights, x)[0][:, 0] - y
        weights = [w - rate * g for w, g in zip(weights, gradients(weights, x, residual), strict=True)]
        gap = max(gap, float(np.linalg.norm(outputs(weights, x)[0][:, 0] - linear)))
    moved = [w - s for w, s in zip(weights, start, strict=True)]
    found = {"kernel": np.linalg.norm(kernel(weights, x) - before) / np.linalg.norm(before), "linear": gap}
    found["neuron"] = np.linalg.norm(moved[0], axis=0).max() / np.sqrt(2.0)
    for h, (w, s) in enumerate(zip(moved, start, strict=True), start=1):
        found[f"frobenius_{h}"] = np.linalg.norm(w) / np.linalg.norm(s)
        found[f"operator_{h}"] = np.linalg.norm(w, 2) / np.linalg.norm(s, 2)
    return found


@functools.cache
def slopes(depth: int) -> dict[str, float]:
    """Of each movement against the width, in the logs, by least squares over all networks."""
    runs = [[trained(m, depth, s) for s in range(SEEDS)] for m in WIDTHS]
    means = {name: [np.mean([np.log(r[name]) for r in row]) for row in runs] for name in runs[0][0]}
    return {name: float(np.polyfit(np.log(WIDTHS), mean, 1)[0]) for name, mean in means.items()}


@pytest.mark.parametrize("depth", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_layers_move_as_the_laws_expect(depth: int) -> None:
    """Every layer in both norms; control: the first one's exponent under ntk, −½, is a whole unit away."""
    found = slopes(depth)
    for norm in ("operator", "frobenius"):
        for layer in range(1, depth + 2):
            expected = layer_drift.law(layer, depth, norm).elsewhere[STANDARD].expected
            assert found[f"{norm}_{layer}"] == pytest.approx(expected, abs=TOLERANCE)
        assert abs(found[f"{norm}_1"] - layer_drift.law(1, depth, norm).expected) > 4 * TOLERANCE


def test_the_farthest_neuron_moves_as_the_law_expects() -> None:
    """−3/2 and what the largest of m output weights adds."""
    log_m = np.log(WIDTHS)
    extreme = np.polyfit(log_m, np.log([weight_drift.largest_half_normal(m) for m in WIDTHS]), 1)[0]
    expected = weight_drift.LAW.elsewhere[STANDARD].expected + extreme
    assert slopes(1)["neuron"] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(("law", "name"), [("kernel_drift", "kernel"), ("linearization", "linear")])
def test_depth_one_has_exponents_of_its_own(law: str, name: str) -> None:
    """−2 at depth 1, far outside the range of ntk, where deeper networks lie (control)."""
    low = WIDTH_LAWS[law].elsewhere[STANDARD].allowed[0]
    assert slopes(1)[name] == pytest.approx(WIDTH_LAWS[law].elsewhere[SHALLOW].expected, abs=TOLERANCE)
    assert slopes(1)[name] < low - 4 * TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(("law", "name"), [("kernel_drift", "kernel"), ("linearization", "linear")])
def test_deeper_networks_have_those_of_ntk(law: str, name: str) -> None:
    """At depth 2 within the range that the law allows."""
    low, high = WIDTH_LAWS[law].elsewhere[STANDARD].allowed
    assert low - TOLERANCE < slopes(2)[name] < high + TOLERANCE
