"""Any `torch.nn.Module` as a network: a factory of one's own makes it, many copies train as one batch."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from widesweep.theory.infinite_width.kernels import Kernels
from widesweep.theory.registry import Registry, last_line
from widesweep.workers.networks.layers import Layer
from widesweep.workers.networks.network import OWN, FirstName, Network
from widesweep.workers.seeds import generator

if TYPE_CHECKING:
    from torch import nn

Factory = Callable[..., Any]
AVAILABLE = {  # quantities of a record that any module has
    "unit_cotangents",
    "kernel",
    "extreme_eigenvalues",
    "spectrum",
    "linearized",
    "output_step",
    "sharpness",
    "test_outputs",
    "test_kernel",
}
CLOSE = 1e-6
_DRAWING = threading.Lock()  # torch's generator is one for all threads


def _accepted(name: str, found: object) -> Factory:
    if not callable(found):
        raise TypeError(f"it is {type(found)}, not a function that makes a torch.nn.Module")
    return found


FACTORIES: Registry[Factory] = Registry("network", _accepted, {})


def _known(name: str, info: ValidationInfo) -> str:
    if (info.context or {}).get(OWN):
        FACTORIES.check(name)
    return name


class Module(Network):
    """f = make(width, depth, inputs, outputs, **options), a torch module from (n, inputs) to (n, outputs).

    Its parameters are drawn by the factory, under a seed of torch's generator that depends on the cell's
    coordinates alone. Cells of one shape train as one batch through `torch.func`. A sample's output must not
    depend on the other samples, nor on chance, nor change the module's buffers.

    Attributes:
        factory: `package.module:make`, or an entry point of the group `widesweep.network`.
        options: what the factory is given besides.
        parameterization: how its parameters scale with the width, if you know: laws that depend on it speak
            of no other module.
    """

    samples_output: ClassVar[bool] = False
    has_limit: ClassVar[bool] = False

    kind: Literal["module"] = "module"
    factory: Annotated[str, AfterValidator(_known)]
    options: dict[str, JsonValue] = Field(default_factory=dict)
    parameterization: Annotated[Literal["ntk", "standard", "mup"] | None, FirstName] = None

    @model_validator(mode="after")
    def _has_its_own(self) -> Self:
        """A module decides about its activations and about what trains."""
        for key, default in (("activation", "relu"), ("trains", "all")):
            if getattr(self, key) != default:
                raise ValueError(f"{key} on a module; the factory decides that (requires_grad), leave it out")
        return self

    @model_serializer(mode="wrap")
    def _without_layers(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what it does not have."""
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if key not in ("activation", "trains")}

    def __hash__(self) -> int:
        """Options are JSON."""
        return hash(json.dumps(self.model_dump(mode="json"), sort_keys=True))

    def built(self, coordinates: Sequence[int], inputs: int, outputs: int) -> nn.Module:
        """The module of one cell at initialisation.

        Args:
            coordinates: (config seed, width, depth, cell seed).
            inputs: d.
            outputs: K.
        """
        import torch

        _, width, depth, _ = coordinates
        make, key = FACTORIES.get(self.factory), generator("module", *coordinates).integers(2**62)
        with _DRAWING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(key))
            made = make(width, depth, inputs, outputs, **self.options)
        if not isinstance(made, torch.nn.Module):
            raise TypeError(f"{self.factory} made {type(made)}, not a torch.nn.Module")
        return made

    def layers(self, width: int, depth: int, inputs: int, outputs: int = 1) -> tuple[Layer, ...]:
        """A layer for each parameter tensor, by its size alone: what costs and memory are counted from."""
        return _layers(self, width, depth, inputs, outputs)

    def check(self, width: int, depth: int, inputs: int, outputs: int) -> None:
        """Builds two small modules and takes a step of what training will do.

        Raises:
            ValueError: what the module does that training copies as a batch does not allow, and a remedy.
        """
        _check(self, width, depth, inputs, outputs)

    def kernels(self, gram: np.ndarray, depth: int) -> Kernels:
        """None: a module has no limit that is known."""
        raise NotImplementedError("a module has no kernel of infinite width")

    def kernel_scale(self, width: int, depth: int) -> float:
        """1: η is absolute."""
        return 1.0

    def predicted_cumulants(self, width: int, depth: int, orders: Sequence[int]) -> tuple[np.ndarray, str]:
        """NaN: nothing is predicted."""
        return np.full(len(orders), np.nan), "none"


@functools.lru_cache(maxsize=256)
def _layers(network: Module, width: int, depth: int, inputs: int, outputs: int) -> tuple[Layer, ...]:
    made = network.built((0, width, depth, 0), inputs, outputs)
    found = []
    for each in made.parameters():
        rows = each.shape[0] if each.ndim > 1 else 1
        found.append(Layer(each.numel() // rows, rows, trains=each.requires_grad, skip=True))
    if not any(layer.trains for layer in found):
        raise ValueError(f"{network.factory} made a module without a parameter that trains")
    return (*found, Layer(0, outputs, trains=False, skip=True))


@functools.lru_cache(maxsize=64)
def _check(network: Module, width: int, depth: int, inputs: int, outputs: int) -> None:
    import torch

    one, two = (network.built((0, width, depth, seed), inputs, outputs).double() for seed in (0, 1))
    again = network.built((0, width, depth, 0), inputs, outputs).double()
    x = torch.from_numpy(generator("check").standard_normal((3, inputs)))
    if any(not torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True)):
        raise ValueError("two modules of one seed differ; draw parameters with torch's own generator")
    before = [b.clone() for b in one.buffers()]
    with torch.no_grad():
        value, repeated = one(x), one(x)
    if not isinstance(value, torch.Tensor) or value.shape not in ((3, outputs), (3,) if outputs == 1 else ()):
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value)
        raise ValueError(f"it gives {shape} for 3 samples; ({3}, {outputs}) is wanted")
    if any(not torch.equal(a, b) for a, b in zip(before, one.buffers(), strict=True)):
        raise ValueError("its buffers change in training; use layer norm, or track_running_stats=False")
    if not torch.equal(value, repeated):
        raise ValueError("it gives different outputs for the same input; leave dropout out")
    with torch.no_grad():
        fewer = one(x[:2])
    if not torch.allclose(value[:2], fewer, rtol=CLOSE, atol=CLOSE):
        raise ValueError("a sample's output depends on the other samples; use layer norm, not batch norm")
    _check_batched(one, two, x, value)


def _check_batched(one: nn.Module, two: nn.Module, x: Any, value: Any) -> None:
    import torch
    from torch.func import functional_call, stack_module_state, vmap

    try:
        state = stack_module_state([one, two])
        batched = vmap(lambda p, b: functional_call(one, (p, b), (x,)))(*state)
    except Exception as error:
        reason = last_line(error)
        raise ValueError(f"copies of it cannot run as one batch (torch.func.vmap): {reason}") from error
    if not torch.allclose(batched[0], value, rtol=CLOSE, atol=CLOSE):
        raise ValueError("as one of a batch it gives other outputs; register its tensors as buffers")
