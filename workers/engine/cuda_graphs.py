"""One step of a batch, repeated: on a GPU captured once as a CUDA graph.

A step of a narrow batch is some thirty kernels of a few microseconds each; launched one by one they take as
long as the CPU needs to launch them. A graph of them is launched at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FEWEST = 4  # steps from which a capture, about as long as three of them, is won back


class Replay:
    """A step whose arrays stay where they are; a batch that has shrunk needs another."""

    def __init__(self, step: Callable[[], object], device: torch.device) -> None:
        """Captures nothing yet.

        Args:
            step: moves a batch in place, without reading any number on the CPU.
            device: where the batch is.
        """
        self._step = step
        self._captures = device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    def repeat(self, times: int) -> None:
        """Takes that number of steps; fewer than `FEWEST` run one operation after another, as on a CPU."""
        if not self._captures or times < FEWEST:
            for _ in range(times):
                self._step()
            return
        if self._graph is None:
            self._step()  # libraries take their memory at a first call, which no capture may hold
            times -= 1
            self._graph = self.capture()
        for _ in range(times):
            self._graph.replay()

    def capture(self) -> torch.cuda.CUDAGraph:
        """The step as a graph of operations."""
        import torch

        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._step()
        return graph
