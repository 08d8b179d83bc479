"""Networks and their training written a second time, from the formulas, with autograd and full SVDs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev

from widesweep.workers.networks import FullyConnected, RandomFeatures, ResNet, TwoLayer
from widesweep.workers.networks.network import Leaky, Network

Parameters = dict[str, Tensor]


def sigma(name: object) -> Callable[[Tensor], Tensor]:
    """The activation, from torch's own functions."""
    if isinstance(name, Leaky):
        minus, plus = name.leaky
        return lambda z: minus * torch.clamp(z, max=0.0) + plus * torch.clamp(z, min=0.0)
    named = {
        "relu": torch.relu,
        "linear": lambda z: z,
        "tanh": torch.tanh,
        "erf": torch.erf,
        "gelu": lambda z: z * 0.5 * (1.0 + torch.erf(z / 2**0.5)),
    }
    return named[str(name)]


def mean_square(name: object) -> float:
    """E[σ(g)²] by the trapezoidal rule."""
    g = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-(g**2) / 2) / (2 * torch.pi) ** 0.5
    return float(torch.trapezoid(sigma(name)(g) ** 2 * density, g))


def function(
    network: Network, width: int, depth: int, seen: list[Tensor] | None = None
) -> Callable[[Parameters, Tensor], Tensor]:
    """f(parameters, x), outputs sample-major, before output scale and centring; parameters w1, b1, …

    Every layer's pre-activations are appended to `seen`, the output's last.
    """
    nonlinearity, z_of = sigma(network.activation), [] if seen is None else seen

    def act(z: Tensor) -> Tensor:
        z_of.append(z)
        return nonlinearity(z)

    def read_out(z: Tensor) -> Tensor:
        z_of.append(z)
        return z.flatten()

    def two_layer(p: Parameters, x: Tensor) -> Tensor:
        power = 1.0 if network.parameterization == "mup" else 0.5
        return read_out(act(x @ p["w1"]) @ p["w2"] / width**power)

    def fully_connected(p: Parameters, x: Tensor) -> Tensor:
        assert isinstance(network, FullyConnected)
        kind = network.parameterization
        cw = network.weight_variance or 2.0
        cb = network.bias_variance
        z = x
        for h in range(1, depth + 2):
            fan_in = 1 if h == 1 else width
            if kind == "standard":
                factor, bias_factor = 1.0, 1.0
            elif kind == "du":
                factor, bias_factor = (
                    (1.0 if h == 1 else (1 / mean_square(network.activation) / width) ** 0.5),
                    0.0,
                )
            else:
                factor, bias_factor = (cw / fan_in) ** 0.5, cb**0.5
                if kind == "mup" and h == depth + 1:
                    factor, bias_factor = factor / width**0.5, bias_factor / width**0.5
            z = factor * (z @ p[f"w{h}"])
            if f"b{h}" in p:
                z = z + bias_factor * p[f"b{h}"]
            if h <= depth:
                z = act(z)
        return read_out(z)

    def random_features(p: Parameters, x: Tensor) -> Tensor:
        return read_out(act(x @ p["w1"]) @ p["w2"] / width**0.5)

    def resnet(p: Parameters, x: Tensor) -> Tensor:
        x = act(x @ p["w1"]) / (mean_square(network.activation) * width) ** 0.5
        for h in range(2, depth + 1):
            x = x + network.residual_scale / (depth * width**0.5) * act(x @ p[f"w{h}"])
        return read_out(x @ p[f"w{depth + 1}"])

    named = {TwoLayer: two_layer, RandomFeatures: random_features, ResNet: resnet}
    return named.get(type(network), fully_connected)


def first_layer(network: Network, p: Parameters, x: Tensor) -> Tensor:
    """z^(1) up to a positive factor."""
    if "b1" not in p:
        return x @ p["w1"]
    inside = network.parameterization == "standard"
    ratio = 1.0 if inside else (network.bias_variance / (network.weight_variance or 2.0)) ** 0.5
    return x @ p["w1"] + ratio * p["b1"]


def split(network: Network, depth: int, parameters: Parameters) -> tuple[Parameters, Parameters]:
    """(what trains, what stays)."""
    last = str(depth + 1)
    keep = {
        "all": lambda name: True,
        "hidden": lambda name: name[1:] != last,
        "last": lambda name: name[1:] == last,
    }[network.trains]
    return (
        {k: v for k, v in parameters.items() if keep(k)},
        {k: v for k, v in parameters.items() if not keep(k)},
    )


def train(
    network: Network,
    width: int,
    depth: int,
    parameters: Parameters,
    x: Tensor,
    y: Tensor,
    eta: float,
    steps: int,
) -> dict[str, np.ndarray]:
    """Every /training variable at every step 0 … steps, the slow way."""
    f = function(network, width, depth)
    moving, fixed = split(network, depth, {k: v.clone() for k, v in parameters.items()})
    offset = f({**moving, **fixed}, x) if network.centered else 0.0
    model = lambda p: network.output_scale * (f({**p, **fixed}, x) - offset)  # noqa: E731
    hidden = lambda p: first_layer(network, {**p, **fixed}, x)  # noqa: E731
    rows: dict[str, list[object]] = {}
    first = {k: v.clone() for k, v in moving.items()}
    kernel_0 = None
    for _ in range(steps + 1):
        jacobian = torch.cat([j.flatten(1) for j in jacrev(model)(moving).values()], dim=1)
        kernel = jacobian @ jacobian.T
        kernel_0 = kernel if kernel_0 is None else kernel_0
        residual = model(moving) - y
        eigenvalues = torch.linalg.eigvalsh(kernel)
        measured = {
            "loss": 0.5 * (residual**2).sum(),
            "residual_norm": residual.norm(),
            "ntk_min_eigenvalue": eigenvalues[0],
            "ntk_max_eigenvalue": eigenvalues[-1],
            "ntk_relative_change": (kernel - kernel_0).norm() / kernel_0.norm(),
            "parameter_change": torch.cat([(moving[k] - first[k]).flatten() for k in moving]).norm(),
            "neuron_change_max": _neuron_change(network, moving, first),
            "layer_relative_change": _layers(moving, first, parameters, depth, 2),
            "layer_relative_change_frobenius": _layers(moving, first, parameters, depth, "fro"),
            "pattern_change": _flipped(hidden, moving, first),
        }
        for name, value in measured.items():
            rows.setdefault(name, []).append(np.asarray(value))
        gradient = jacobian.T @ residual
        place = 0
        for k, v in moving.items():
            moving[k] = v - eta * gradient[place : place + v.numel()].reshape(v.shape)
            place += v.numel()
    return {name: np.stack(values) for name, values in rows.items()}


def _neuron_change(network: Network, moving: Parameters, first: Parameters) -> Tensor:
    if "w1" not in moving:
        return torch.zeros((), dtype=torch.float64)
    unit = (
        (network.weight_variance or 2.0) ** 0.5
        if getattr(network, "parameterization", "") == "standard"
        else 1.0
    )
    return (moving["w1"] - first["w1"]).norm(dim=0).max() / unit


def _layers(
    moving: Parameters, first: Parameters, initial: Parameters, depth: int, order: object
) -> np.ndarray:
    norm = lambda m: torch.linalg.matrix_norm(m, order)  # noqa: E731
    return np.array(
        [
            float(norm(moving[f"w{h}"] - first[f"w{h}"]) / norm(initial[f"w{h}"]))
            if f"w{h}" in moving
            else 0.0
            for h in range(1, depth + 2)
        ]
    )


def _flipped(hidden: Callable[[Parameters], Tensor], moving: Parameters, first: Parameters) -> Tensor:
    return ((hidden(moving) > 0) != (hidden(first) > 0)).double().mean()
