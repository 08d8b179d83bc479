"""Second routes that several tests share: slow, plain, and written without the package's own formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.integrate import quad
from scipy.special import roots_hermitenorm

from widesweep.theory.activations import Activation


def skewed_points(count: int = 7, inputs: int = 4, seed: int = 3) -> np.ndarray:
    """Unit rows around an off-centre direction, so that nothing cancels by symmetry."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, inputs)) + np.linspace(0.2, 1.1, inputs)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tensor_gauss_hermite(f: Callable, p: float, q: float, c: float, order: int = 120) -> float:
    """E[f(u)f(v)] by a product rule on u and the part of v independent of u."""
    nodes, weights = roots_hermitenorm(order)
    weights = weights / weights.sum()
    u = math.sqrt(p) * nodes
    v = c / p * u[:, None] + math.sqrt(q - c * c / p) * nodes[None, :]
    return float(weights @ (f(u)[:, None] * f(v)) @ weights)


def by_angle(activation: Activation, p: float, q: float, c: float) -> tuple[float, float]:
    """Both duals of a piecewise linear activation as integrals over the angle of the Gaussian pair."""
    lag = math.acos(c / math.sqrt(p * q))
    breaks = sorted(
        t % (2 * math.pi) for t in (0.5 * math.pi, 1.5 * math.pi, lag + 0.5 * math.pi, lag - 0.5 * math.pi)
    )
    edges = [0.0, *breaks, 2 * math.pi]
    a_minus, a_plus = activation.slopes

    def slope(t: float) -> float:
        return a_plus if math.cos(t) > 0 else a_minus

    def slopes(t: float) -> float:
        return slope(t) * slope(t - lag)

    def values(t: float) -> float:
        return slopes(t) * math.cos(t) * math.cos(t - lag)

    pieces = list(pairwise(edges))
    value = sum(quad(values, a, b, epsabs=1e-14)[0] for a, b in pieces)
    derivative = sum(quad(slopes, a, b, epsabs=1e-14)[0] for a, b in pieces)
    return math.sqrt(p * q) * value / math.pi, derivative / (2 * math.pi)


def network_kernels(
    x: np.ndarray, width: int, depth: int, activation: Activation, weight: float, bias: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (n,) and tangent kernel parts (depth + 1, n, n) of one network, by explicit Jacobians."""
    rng = np.random.default_rng(seed)
    fans = [x.shape[1]] + [width] * depth
    outs = [width] * depth + [1]
    layers = []
    a = x
    for h, (fan, out) in enumerate(zip(fans, outs, strict=True)):
        factor = math.sqrt(weight) if h == 0 else math.sqrt(weight / fan)
        w, b = rng.standard_normal((out, fan)), rng.standard_normal(out)
        z = factor * a @ w.T + math.sqrt(bias) * b
        layers.append((a, w, factor, z))
        a = activation.value(z)
    cotangent = np.ones((x.shape[0], 1))
    parts = []
    for h in range(depth, -1, -1):
        inputs, w, factor, _ = layers[h]
        by_weight = factor * np.einsum("no,ni->noi", cotangent, inputs).reshape(x.shape[0], -1)
        by_bias = math.sqrt(bias) * cotangent
        parts.append(by_weight @ by_weight.T + by_bias @ by_bias.T)
        if h:
            cotangent = factor * cotangent @ w * activation.derivative(layers[h - 1][3])
    return layers[-1][3][:, 0], np.stack(parts[::-1])


def z_scores(samples: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(mean over the first axis − expected) in standard errors."""
    error = samples.std(axis=0, ddof=1) / math.sqrt(samples.shape[0])
    return (samples.mean(axis=0) - expected) / error


def tangent_and_gradient(
    widths: list[int], activation: Activation, draws: int, seed: int, inputs: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Θ(x, x) and ‖∂z/∂x‖² of bias-free critical networks at one unit input, forward and backward."""
    rng = np.random.default_rng(seed)
    weight = 2.0 / sum(s**2 for s in activation.slopes)
    fans, sizes = [1, *widths], [inputs, *widths]
    features = [np.tile(np.eye(1, inputs), (draws, 1))]
    weights, slopes = [], []
    for h, width in enumerate(widths):
        weights.append(rng.standard_normal((draws, width, sizes[h])) * math.sqrt(weight / fans[h]))
        z = np.matmul(weights[h], features[h][:, :, None])[:, :, 0]
        slopes.append(activation.derivative(z))
        features.append(activation.value(z))
    v = rng.standard_normal((draws, widths[-1])) * math.sqrt(weight / fans[-1])
    theta = weight / fans[-1] * np.square(features[-1]).sum(axis=1)
    for h in range(len(widths) - 1, -1, -1):
        v = v * slopes[h]
        theta += weight / fans[h] * np.square(features[h]).sum(axis=1) * np.square(v).sum(axis=1)
        v = np.matmul(v[:, None, :], weights[h])[:, 0]
    return theta, np.square(v).sum(axis=1)
