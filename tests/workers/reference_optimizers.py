"""Every optimiser a second time, on one flat vector of parameters with autograd's gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from tests.workers import reference
from widesweep.workers.networks.network import Network
from widesweep.workers.seeds import generator

Array = np.ndarray


class Model:
    """r(θ) and ∇½Σ_i w_i r_i² of one network, θ flat: weights of all layers, then biases."""

    def __init__(
        self, network: Network, width: int, depth: int, start: reference.Parameters, x: Tensor, y: Tensor
    ) -> None:
        moving, fixed = reference.split(network, depth, start)
        self.names = sorted(moving, key=lambda name: (name[0] != "w", name))
        self.shapes = {name: moving[name].shape for name in self.names}
        self.outputs = start[f"w{depth + 1}"].shape[1]
        self.start = torch.cat([moving[name].flatten() for name in self.names]).numpy()
        seen: list[Tensor] = []
        f, self.y, self.seen = reference.function(network, width, depth, seen), y, seen
        offset = f(start, x) if network.centered else 0.0
        self.f = lambda p: network.output_scale * (f({**p, **fixed}, x) - offset)

    def unflat(self, theta: Tensor) -> reference.Parameters:
        parts = torch.split(theta, [self.shapes[name].numel() for name in self.names])
        return {name: part.reshape(self.shapes[name]) for name, part in zip(self.names, parts, strict=True)}

    def residual(self, theta: Array) -> Array:
        return (self.f(self.unflat(torch.from_numpy(theta))) - self.y).numpy()

    def gradient(self, theta: Array, weights: Array | float = 1.0) -> Array:
        flat = torch.from_numpy(theta.copy()).requires_grad_(True)
        loss = 0.5 * (torch.as_tensor(weights) * (self.f(self.unflat(flat)) - self.y) ** 2).sum()
        (result,) = torch.autograd.grad(loss, flat)
        return result.numpy()

    def layers(self, theta: Array) -> list[Array]:
        self.seen.clear()
        self.f(self.unflat(torch.from_numpy(theta)))
        return [z.detach().numpy() for z in self.seen]

    def hessian(self, theta: Array) -> Array:
        loss = lambda t: 0.5 * ((self.f(self.unflat(t)) - self.y) ** 2).sum()  # noqa: E731
        result: Array = torch.autograd.functional.hessian(loss, torch.from_numpy(theta)).numpy()
        return result

    def kernel(self) -> Array:
        jacobian = torch.autograd.functional.jacobian(
            lambda t: self.f(self.unflat(t)), torch.from_numpy(self.start)
        )
        return (jacobian @ jacobian.T).numpy()


def descent(model: Model, eta: float) -> Iterator[Array]:
    theta = model.start
    while True:
        yield theta
        theta = theta - eta * model.gradient(theta)


def nesterov(model: Model, eta: float, momentum: float) -> Iterator[Array]:
    before = theta = model.start
    while True:
        yield theta
        ahead = theta + momentum * (theta - before)
        before, theta = theta, ahead - eta * model.gradient(ahead)


def mini_batches(model: Model, eta: float, size: int, key: tuple[int, ...]) -> Iterator[Array]:
    theta, n, epoch = model.start, len(model.y) // model.outputs, 0
    yield theta
    while True:
        order = generator("batches", *key, epoch).permutation(n)
        for first in range(0, n, size):
            batch = order[first : first + size]
            weights = np.zeros(n)
            weights[batch] = n / len(batch)
            theta = theta - eta * model.gradient(theta, np.repeat(weights, model.outputs))
            yield theta
        epoch += 1


def langevin(model: Model, eta: float, temperature: float, key: tuple[int, ...]) -> Iterator[Array]:
    theta, step = model.start, 0
    while True:
        yield theta
        noise = generator("noise", *key, step).standard_normal(len(theta))
        theta = theta - eta * model.gradient(theta) + np.sqrt(2 * eta * temperature) * noise
        step += 1


def flow(model: Model, eta: float, steps: int) -> Iterator[Array]:
    """By another method of higher order, at its tightest tolerance."""
    solved = solve_ivp(
        lambda t, theta: -model.gradient(theta),
        (0.0, eta * steps),
        model.start,
        method="DOP853",
        t_eval=eta * np.arange(steps + 1),
        rtol=1e-13,
        atol=1e-14,
    )
    yield from solved.y.T


def residual_norms(model: Model, path: Iterator[Array], steps: int) -> Array:
    return np.array([np.linalg.norm(model.residual(next(path))) for _ in range(steps + 1)])


Path = Callable[[Model, float, tuple[int, ...]], Iterator[Array]]
