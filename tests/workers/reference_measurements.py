"""The chosen measurements a second time: explicit Jacobians, dense eigenvectors, one flat vector."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tests.workers import reference
from tests.workers.reference_optimizers import Array, Model
from widesweep.workers.networks.network import Network


class Points:
    """One network's model on training and test points, with its Jacobians layer by layer."""

    def __init__(
        self, network: Network, width: int, depth: int, start: reference.Parameters, data: object
    ) -> None:
        make = lambda x, y: Model(  # noqa: E731
            network, width, depth, start, torch.from_numpy(x), torch.from_numpy(y.ravel())
        )
        self.train, self.test = make(data.x, data.y), make(data.test_x, data.test_y)
        self.depth, self.start = depth, self.train.start
        self.y = data.y.ravel()

    def jacobian(self, theta: Array, model: Model | None = None) -> Array:
        chosen = model or self.train
        f = lambda t: chosen.f(chosen.unflat(t))  # noqa: E731
        jacobian: Tensor = torch.autograd.functional.jacobian(f, torch.from_numpy(theta))
        return jacobian.numpy()

    def layer_kernels(self, theta: Array) -> list[Array | None]:
        jacobian, kernels, place = self.jacobian(theta), {}, 0
        for name in self.train.names:
            size = self.train.shapes[name].numel()
            part = jacobian[:, place : place + size]
            kernels[int(name[1:])] = kernels.get(int(name[1:]), 0.0) + part @ part.T
            place += size
        return [kernels.get(h) for h in range(1, self.depth + 2)]


def measure(
    points: Points, theta: Array, eta: float, step: int, cutoff: float, limit: float
) -> dict[str, object]:
    """Every chosen measurement at parameters θ(k) of gradient descent; `limit` is Du's λ0."""
    start, n = points.start, len(points.y)
    j0, j, r0, r = points.jacobian(start), points.jacobian(theta), points.train.residual(start), None
    r = points.train.residual(theta)
    (l0, v0), (lk, vk) = np.linalg.eigh(j0 @ j0.T), np.linalg.eigh(j @ j.T)
    signs = np.where(v0.T @ r0 < 0, -1.0, 1.0)
    found: dict[str, object] = {
        "test_loss": 0.5 * (points.test.residual(theta) ** 2).sum(),
        "ntk_eigenvalue": lk[::-1],
        "residual_mode": (signs * (v0.T @ r))[::-1],
        "residual_mode_current": np.abs(vk.T @ r)[::-1],
        "information_rank": (np.sqrt(np.maximum(lk, 0)) >= cutoff * np.sqrt(lk[-1])).sum(),
    }
    for name, model in (("accuracy", points.train), ("test_accuracy", points.test)):
        found[name] = _right(model.residual(theta) + model.y.numpy(), model.y.numpy(), model.outputs)
    g, y = j @ j.T, points.y
    found["test_prediction"] = points.test.residual(theta) + points.test.y.numpy()
    found["sharpness"] = np.linalg.eigvalsh(points.train.hessian(theta))[-1]
    found["pre_activation_change"] = [
        np.sqrt(np.mean((now - first) ** 2))
        for now, first in zip(points.train.layers(theta), points.train.layers(start), strict=True)
    ]
    found["label_alignment"] = (
        np.trace(g @ np.outer(y, y)) / np.linalg.norm(g) / np.linalg.norm(np.outer(y, y))
    )
    for suffix, values, vectors in (("", l0, v0), ("_current", lk, vk)):
        kept = vectors[:, np.sqrt(np.maximum(values, 0)) >= cutoff * np.sqrt(values[-1])]
        for name, vector in (("residual", r), ("label", points.y)):
            inside = kept @ (kept.T @ vector)
            found[f"{name}_information_norm{suffix}"] = np.linalg.norm(inside)
            found[f"{name}_nuisance_norm{suffix}"] = np.linalg.norm(vector - inside)
    found |= _linearized(points, theta, eta, step, j0, r0)
    return found | _layers(points, theta, eta, step, (j, r, r0, n, limit))


def _right(f: Array, y: Array, outputs: int) -> float:
    """The share of samples whose largest output, or sign, is the label's."""
    rows = zip(f.reshape(-1, outputs), y.reshape(-1, outputs), strict=True)
    return float(np.mean([a.argmax() == b.argmax() if outputs > 1 else a[0] * b[0] > 0 for a, b in rows]))


def _linearized(
    points: Points, theta: Array, eta: float, step: int, j0: Array, r0: Array
) -> dict[str, object]:
    """The linearised model, trained by gradient descent in a loop over its own parameters."""
    moved = np.zeros_like(theta)
    for _ in range(step):
        moved = moved - eta * j0.T @ (r0 + j0 @ moved)
    test = points.test.residual(points.start) + points.jacobian(points.start, points.test) @ moved
    return {
        "linearized_distance": np.linalg.norm(points.train.residual(theta) - r0 - j0 @ moved),
        "linearized_residual_norm": np.linalg.norm(r0 + j0 @ moved),
        "linearized_test_distance": np.linalg.norm(points.test.residual(theta) - test),
        "linearized_test_loss": 0.5 * (test**2).sum(),
    }


def _layers(
    points: Points, theta: Array, eta: float, step: int, known: tuple[Array, Array, Array, int, float]
) -> dict[str, object]:
    j, r, r0, n, limit = known
    now, first = points.layer_kernels(theta), points.layer_kernels(points.start)
    output_step = points.train.residual(theta - eta * points.train.gradient(theta)) - r
    second = output_step + eta * j @ j.T @ r
    found: dict[str, object] = {
        "layer_ntk_min_eigenvalue": [np.nan if g is None else np.linalg.eigvalsh(g)[0] for g in now],
        "second_order_norm": np.linalg.norm(second),
        "output_step_norm": np.linalg.norm(output_step),
        "last_hidden_ntk_change": np.nan,
    }
    du = ("du_start", "du_kernel", "du_loss", "du_drift", "du_second_order", "du_output_step")
    if now[-2] is None:
        return found | dict.fromkeys(du, np.nan)
    change = np.linalg.norm(now[-2] - first[-2], 2)
    return found | {
        "last_hidden_ntk_change": change,
        "du_start": np.linalg.eigvalsh(first[-2])[0] >= 0.75 * limit,
        "du_kernel": change <= limit / 4,
        "du_loss": (r @ r) <= (1 - eta * limit / 2) ** step * (r0 @ r0),
        "du_drift": _farthest(points, theta) <= 4 * np.sqrt(n) * np.linalg.norm(r0) / limit,
        "du_second_order": np.linalg.norm(second) <= eta * limit * np.linalg.norm(r) / 8,
        "du_output_step": output_step @ output_step <= eta * limit * (r @ r) / 8,
    }


def _farthest(points: Points, theta: Array) -> float:
    moved = points.train.unflat(torch.from_numpy(theta - points.start))
    return max(float(part.norm()) for name, part in moved.items() if name[0] == "w")
