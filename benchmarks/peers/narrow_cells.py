"""The narrow cells as a user would train them, run in an environment of its own.

Usage: python narrow_cells.py loop|vmap|tune INPUT.npz OUTPUT.npz PROCESSES

- loop: one autograd network after another, one process a core, each with one thread.
- vmap: torch.func: all networks of a shape as one stacked model, one process a core.
- tune: Ray Tune, one cell a trial, each on one core; a trial reports once, at its end.

The tangent kernel is torch.func's Jacobian contraction with vmap over samples, as its tutorial has it.
INPUT holds x, y, the recorded steps, and for each shape s: `rate_s`, `scales_s` and `weight_s_h`, the starts
of its networks, (networks, fan_in, fan_out). OUTPUT gets λ_min and the loss, (cells, records).
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

Work = dict[str, np.ndarray]


class Network(torch.nn.Module):
    """ReLU layers with the factors of the ntk parameterisation."""

    def __init__(self, weights: list[np.ndarray], scales: np.ndarray) -> None:
        super().__init__()
        self.layers = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(w)) for w in weights])
        self.scales = [float(scale) for scale in scales]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for scale, weight in zip(self.scales[:-1], list(self.layers)[:-1], strict=True):
            x = torch.relu(scale * (x @ weight))
        return (self.scales[-1] * (x @ self.layers[len(self.scales) - 1]))[..., 0]


def network(work: Work, shape: int, which: int) -> Network:
    scales = work[f"scales_{shape}"]
    return Network([work[f"weight_{shape}_{h}"][which] for h in range(len(scales))], scales)


def kernel(net: Network, parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """G = J Jᵀ from per-sample gradients."""

    def output(p: dict[str, torch.Tensor], point: torch.Tensor) -> torch.Tensor:
        return functional_call(net, p, (point[None],))[0]

    jacobian = vmap(grad(output), (None, 0))(parameters, x)
    return sum(j.flatten(1) @ j.flatten(1).T for j in jacobian.values())


def train_one(work: Work, shape: int, which: int) -> tuple[np.ndarray, np.ndarray]:
    """λ_min and the loss of one cell at its records."""
    torch.set_num_threads(1)
    x, y = torch.tensor(work["x"]), torch.tensor(work["y"])
    net = network(work, shape, which)
    optimizer = torch.optim.SGD(net.parameters(), lr=float(work[f"rate_{shape}"]))
    recorded, least, losses = set(work["steps"].tolist()), [], []
    for step in range(int(work["steps"][-1]) + 1):
        optimizer.zero_grad()
        loss = 0.5 * (net(x) - y).square().sum()
        if step in recorded:
            parameters = {name: value.detach() for name, value in net.named_parameters()}
            least.append(float(torch.linalg.eigvalsh(kernel(net, parameters, x))[0]))
            losses.append(loss.item())
        loss.backward()
        optimizer.step()
    return np.array(least), np.array(losses)


def train_stacked(work: Work, shape: int, chosen: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """λ_min and losses of some networks of a shape, stacked into one model."""
    torch.set_num_threads(1)
    x, y = torch.tensor(work["x"]), torch.tensor(work["y"])
    networks = [network(work, shape, which) for which in chosen]
    base, rate = networks[0], float(work[f"rate_{shape}"])
    parameters = {name: value.detach() for name, value in stack_module_state(networks)[0].items()}

    def loss(p: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        value = 0.5 * (functional_call(base, p, (x,)) - y).square().sum()
        return value, value

    gradients = vmap(grad(loss, has_aux=True))
    kernels = vmap(lambda p: kernel(base, p, x))
    recorded, least, losses = set(work["steps"].tolist()), [], []
    for step in range(int(work["steps"][-1]) + 1):
        if step in recorded:
            least.append(torch.linalg.eigvalsh(kernels(parameters))[:, 0].numpy())
        slope, value = gradients(parameters)
        if step in recorded:
            losses.append(value.numpy())
        for name, each in slope.items():
            parameters[name].sub_(each, alpha=rate)
    return np.stack(least, 1), np.stack(losses, 1)


def cells(work: Work) -> Iterator[tuple[int, int]]:
    shapes = sum(name.startswith("rate_") for name in work)
    yield from ((s, c) for s in range(shapes) for c in range(len(work[f"weight_{s}_0"])))


def _one(job: tuple[str, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return train_one(_load(job[0]), job[1], job[2])


def _stack(job: tuple[str, int, list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return train_stacked(_load(job[0]), job[1], job[2])


_LOADED: dict[str, Work] = {}


def _load(path: str) -> Work:
    if path not in _LOADED:
        _LOADED[path] = dict(np.load(path))
    return _LOADED[path]


def loop(path: str, processes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    jobs = [(path, s, c) for s, c in cells(_load(path))]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.map(_one, jobs[::-1], chunksize=1)[::-1]  # the costly ones first


def stacked(path: str, processes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    groups: dict[int, list[int]] = {}
    for shape, which in cells(_load(path)):
        groups.setdefault(shape, []).append(which)
    jobs = [(path, shape, chosen) for shape, chosen in groups.items()]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        results = pool.map(_stack, jobs[::-1], chunksize=1)[::-1]
    return [(least[i], losses[i]) for least, losses in results for i in range(len(least))]


def trials(path: str, processes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    import ray
    from ray import tune

    def trial(config: dict) -> None:
        least, losses = train_one(_load(path), *config["cell"])
        tune.report({"least": least.tolist(), "losses": losses.tolist()})

    ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    listed = list(cells(_load(path)))
    tuner = tune.Tuner(
        tune.with_resources(trial, {"cpu": 1}),
        param_space={"cell": tune.grid_search(listed)},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(verbose=0),
    )
    found = {tuple(result.config["cell"]): result.metrics for result in tuner.fit()}
    ray.shutdown()
    return [(np.array(found[cell]["least"]), np.array(found[cell]["losses"])) for cell in listed]


METHODS = {"loop": loop, "vmap": stacked, "tune": trials}


def main(method: str, path: str, output: str, processes: str) -> None:
    results = METHODS[method](path, int(processes))
    np.savez(output, least=np.stack([r[0] for r in results]), loss=np.stack([r[1] for r in results]))


if __name__ == "__main__":
    main(*sys.argv[1:])
