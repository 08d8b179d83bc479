"""Many copies of one torch module as a batch: what an `Ensemble` does, by `torch.func` and autograd.

Parameters that train are matrices (B, rows, columns), as optimisers take them; all else of a module's state
is stacked beside them and stays.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from widesweep.workers.engine.ensemble import Ensemble, present
from widesweep.workers.engine.parameters import Parameters
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import Network

JACOBIAN_BYTES = 256 * 2**20  # of one cell that are held at once


def state_of(
    module: nn.Module, dtype: torch.dtype, device: torch.device
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Parameters that train as matrices, and the rest of the state, in the module's own order."""
    module = module.to(device=device, dtype=dtype)
    moving, fixed = _named_state(module)
    return [_matrix(each) for each in moving.values()], list(fixed.values())


def _named_state(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What trains of a module, and the rest of its state, by name in its own order."""
    trains = {name for name, each in module.named_parameters() if each.requires_grad}
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    moving = {name: each.detach() for name, each in state.items() if name in trains}
    return moving, {name: each.detach() for name, each in state.items() if name not in trains}


def _matrix(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1] if tensor.ndim else 1).clone()


class ModuleEnsemble(Ensemble):
    """B copies of a module with their own parameters and learning rates; attributes as of an `Ensemble`."""

    is_dense = False
    keeps_step_arrays = False

    def __init__(
        self,
        module: nn.Module,
        network: Network,
        layers: Sequence[Layer],
        starts: Sequence[tuple[list[Tensor], list[Tensor | None]]],
        start: Sequence[int] | np.ndarray,
        learning_rates: np.ndarray,
        x: Tensor,
    ) -> None:
        """Copies the starts into a batch.

        Args:
            module: any of the modules; its own parameters are not read.
            network: its config.
            layers: the sizes of its parameters.
            starts: what `state_of` gave, for each of S seeds.
            start: for each of B cells the start that it begins from.
            learning_rates: η of each cell, shape (B,).
            x: inputs, shape (n, d).
        """
        self.module = module.to(device=x.device, dtype=x.dtype)
        moving, fixed = _named_state(module)
        self._shapes, self._fixed_names = {name: each.shape for name, each in moving.items()}, list(fixed)
        self.layers, self.output_count = tuple(layers), layers[-1].fan_out
        self.output_scale = network.alpha
        self.start = torch.as_tensor(np.asarray(start), device=x.device)
        self.initial_weights = [torch.stack([s[0][k] for s in starts]) for k in range(len(self._shapes))]
        self._fixed = [torch.stack([present(s[1][k]) for s in starts]) for k in range(len(self._fixed_names))]
        self.weights = [w[self.start] for w in self.initial_weights]
        self.biases, self.initial_biases = [None] * len(self.weights), [None] * len(self.weights)
        self.learning_rates = torch.as_tensor(learning_rates, dtype=x.dtype, device=x.device)[:, None, None]
        self.x = x[None]
        self.is_compiled, self.input_space_update, self.lowest_moving = False, None, 0
        self.width_of_outputs = x.shape[0] * self.output_count
        self.offset = None
        self.outputs = self.forward()
        if network.centered:
            self.offset = self.outputs.clone()

    def forward(self) -> Tensor:
        """Outputs αf of every cell on every sample (minus those at the start, if centred), shape (B, n·K)."""
        with torch.enable_grad():
            self._leaves = [w.detach().requires_grad_() for w in self.weights]
            own = len(self.x) > 1
            call = vmap(self._outputs, in_dims=(0, 0, 0 if own else None))
            self._graph = call(self._leaves, self._rest(), self.x if own else self.x[0])
        self.outputs = self._graph.detach().clone()
        if self.offset is not None:
            self.outputs -= self.offset
        return self.outputs

    def _rest(self) -> list[Tensor]:
        return [each[self.start] for each in self._fixed]

    def _outputs(self, moving: Sequence[Tensor], fixed: Sequence[Tensor], x: Tensor) -> Tensor:
        """αf of one cell on points (n, d), shape (n·K,)."""
        state = {
            name: each.view(shape) for (name, shape), each in zip(self._shapes.items(), moving, strict=True)
        }
        state |= dict(zip(self._fixed_names, fixed, strict=True))
        outputs: Tensor = functional_call(self.module, state, (x,))
        return outputs.flatten() * self.output_scale

    def backward(self, residual: Tensor) -> None:
        """Makes ready what `subtract_gradient` takes, at the parameters of the last forward pass.

        Args:
            residual: r = αf − y, or r times weights of its entries, shape (B, n·K).
        """
        self._gradients = torch.autograd.grad(
            self._graph, self._leaves, residual, allow_unused=True, materialize_grads=True
        )

    def subtract_gradient(self, size: Tensor | float, target: Parameters) -> None:
        """T ← T − size · ∂(Σ r·αf)/∂θ in place for all that trains.

        Args:
            size: what multiplies a cell's gradient, shape (B, 1, 1) or one number.
            target: the arrays to subtract from.
        """
        for each, gradient in zip(target.tensors, self._gradients, strict=True):
            each.sub_(gradient * size)

    def step(self, residual: Tensor) -> None:
        """One step of gradient descent in place.

        Args:
            residual: as for `backward`.
        """
        self.backward(residual)
        self.subtract_gradient(self.learning_rates, self.trained)

    descend_from = step

    @property
    def trained(self) -> Parameters:
        """The parameters that train, themselves."""
        return Parameters(list(self.weights), [])

    @property
    def capture_device(self) -> torch.device:
        """Nowhere but on a CPU, where nothing is captured: autograd's threads are not part of a capture."""
        return torch.device("cpu")

    def zeros(self) -> Parameters:
        """Zeros as large as what trains."""
        return Parameters([torch.zeros_like(w) for w in self.weights], [])

    def at(self, x: Tensor) -> ModuleEnsemble:
        """The same parameters, shared, at other inputs, uncentred; renew it after `keep`.

        Args:
            x: inputs of shape (n', d), or (B, n', d) where every cell has its own.
        """
        other = copy.copy(self)
        other.x = (x[None] if x.ndim == 2 else x).clone()  # mini-batches are written there
        other.offset = None
        other.width_of_outputs = other.x.shape[1] * self.output_count
        return other

    def copied(self) -> ModuleEnsemble:
        """The same networks on the same points with parameters of their own."""
        other = self.at(self.x[0])
        other.weights = [w.clone() for w in self.weights]
        return other

    def keep(self, chosen: Tensor) -> None:
        """Shrinks the batch to the chosen cells.

        Args:
            chosen: their places, shape (cells,), ascending.
        """
        self.start = self.start[chosen]
        self.weights = [w[chosen] for w in self.weights]
        self.learning_rates = self.learning_rates[chosen]
        if self.offset is not None:
            self.offset = self.offset[chosen]

    def own_kernel(self, other: Ensemble | None = None) -> Tensor:
        """G = J Jᵀ of each cell, from Jacobians of as many samples as `JACOBIAN_BYTES` hold.

        Args:
            other: another view of the same networks; then columns are its points.

        Returns:
            Shape (B, n·K, n'·K), outputs sample-major.
        """
        left, right = self.x[0], self.x[0] if other is None else other.x[0]
        parameters = sum(w[0].numel() for w in self.weights)
        row = self.output_count * parameters * left.element_size()
        chunk = max(1, JACOBIAN_BYTES // (2 * row))
        kernels = []
        for b, rest in enumerate(zip(*self._rest(), strict=True) if self._fixed else [()] * len(self)):
            moving = [w[b] for w in self.weights]
            rows = []
            for first in range(0, len(left), chunk):
                ours = self._jacobian(moving, rest, left[first : first + chunk])
                columns = range(0, len(right), chunk)
                parts = [self._jacobian(moving, rest, right[c : c + chunk]) for c in columns]
                rows.append(torch.cat([ours @ part.T for part in parts], 1))
            kernels.append(torch.cat(rows))
        return torch.stack(kernels)

    def _jacobian(self, moving: Sequence[Tensor], fixed: Sequence[Tensor], x: Tensor) -> Tensor:
        """∂(αf_ia)/∂θ of one cell, shape (n·K, P)."""
        each = vmap(jacrev(lambda p, one: self._outputs(p, fixed, one[None])), in_dims=(None, 0))
        parts = each(tuple(moving), x)  # (n, K, rows, columns) of each parameter
        return torch.cat([part.flatten(0, 1).flatten(1) for part in parts], 1)
