"""What all parts of a pair's draws say, written once the last of them is stored.

The driver does it: sums are a few thousand numbers a part. A pair whose parts are all done but that is not
pooled (the driver died in between) is pooled by the next run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from widesweep.pipeline.plan import draws as sampling
from widesweep.pipeline.plan.blocks import Block, BlockState, Plan
from widesweep.pipeline.store.chunks import writer
from widesweep.pipeline.store.permit import Permit
from widesweep.workers import random_networks
from widesweep.workers.variable import FAILED, PENDING

Pair = tuple[int, int]


@dataclass
class Pooling:
    """The pairs of a run, and which blocks each of them waits for.

    Attributes:
        permit: of the run.
        plan: of the whole sweep.
        x: training points, or None.
        pair_draws: of each pair, shape (widths, depths).
    """

    permit: Permit
    plan: Plan
    x: np.ndarray | None
    pair_draws: np.ndarray
    _waiting: dict[Pair, set[int]] = field(default_factory=dict)

    def expect(self, indices: Iterable[int]) -> None:
        """Says which blocks will run."""
        for index in indices:
            block = self.plan.block(index)
            if block.kind == "parts":
                self._waiting.setdefault((block.width, block.depth), set()).add(index)

    def ended(self, block: Block) -> dict[str, int]:
        """Hears of a block that is stored or failed; after a pair's last one, pools it and says how it is."""
        pair = (block.width, block.depth)
        waiting = self._waiting.get(pair, set())
        waiting.discard(block.index)
        return {} if waiting else self.pool(pair)

    def pool(self, pair: Pair) -> dict[str, int]:
        """Writes what a pair's parts say, or that some have failed; returns the pair by its state."""
        store = writer(self.permit, self.plan.config.hash)
        grid, config, draws = self.plan.config.grid, self.plan.config, int(self.pair_draws[pair])
        count = sampling.parts(sampling.with_draws(config, draws))
        sums = {name: values[:count] for name, values in store.parts(*pair).items()}
        region = {axis: slice(i, i + 1) for axis, i in zip(("width", "depth"), pair, strict=True)}
        state = BlockState(recompute=(PENDING, FAILED))
        target = Block(-1, "initialization", region, 0.0, 0, 1, state=state)
        if (sums["status"] == PENDING).any():
            return {}
        if failed := int((sums["status"] == FAILED).sum()):
            store.write_failed(target, f"{failed} of {len(sums['status'])} parts of its draws failed")
            return {"failed": 1}
        dims = {v.name: v.dims[2:] for v in random_networks.part_variables(self._settings)}
        parts = xr.Dataset(
            {name: (dims[name], values) for name, values in sums.items()},
            {"part": np.arange(len(sums["status"]))},
        )
        task = sampling.block(config, grid.width[pair[0]], grid.depth[pair[1]], self.x, draws)
        store.write(target, random_networks.finish(task, parts))
        return {"done": 1}

    @property
    def _settings(self) -> random_networks.InitializationConfig:
        assert self.plan.config.initialization is not None
        return self.plan.config.initialization
