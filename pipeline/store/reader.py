"""A sweep's store, as the driver and `status` see it: what is done, who runs it, what is left."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import zarr
from zarr.errors import GroupNotFoundError

from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.pipeline.errors import DamagedError, InputError
from widesweep.pipeline.plan import draws, requested
from widesweep.pipeline.store import address, chunks, frame_size, inventory, metadata_check, objects, verify
from widesweep.pipeline.store import schema as store_schema
from widesweep.workers.variable import DIVERGED, DONE, FAILED, NOT_REQUESTED, PENDING

STORED = ("run", "training", "initialization", "parts", "failures")
GROWING = "growing"  # root attribute while a growth is under way; the same command completes it
STATES = {"pending": PENDING, "done": DONE, "diverged": DIVERGED, "failed": FAILED}


class Store:
    """An existing store; metadata are read from the arrays themselves, during a growth from the root.

    Attributes:
        url: its address.
        config: the config it was made from, with the grid that its arrays cover.
        requested: which cells of that grid are, once the sweep has been refined; None: all.
        attributes: the root's.
    """

    def __init__(self, url: str, *, snapshot: bool = False) -> None:
        """Opens a store.

        Args:
            url: its address.
            snapshot: whether statuses are read once, at one moment, and not at every question.

        Raises:
            InputError: nothing is there, or no sweep's store.
        """
        self.url = url
        self._seen: dict[str, np.ndarray] | None = {} if snapshot else None
        if not objects.exists(url):
            if inventory.read(url) is not None:
                raise InputError(url, "its zarr.json is gone", metadata_check.WANTED, "Nothing was read.")
            raise InputError(
                url, "there is no store", "STORE is what `widesweep run` printed", "Nothing was read."
            )
        try:
            self._root = objects.with_retries(url, lambda: _open(url, ""))
            self.attributes: dict[str, Any] = dict(self._root.attrs)
            schema = self.attributes["schema_version"]
            if schema != store_schema.SCHEMA_VERSION or isinstance(schema, bool | str):
                wanted = f"this code reads schema {store_schema.SCHEMA_VERSION}"
                raise InputError(url, f"its schema is {schema!r:.40}", wanted)
            self.config: SweepConfig = configs.of_store(self.attributes["config"], url)
            self.requested = requested.read(self.attributes)
            if GROWING in self.attributes:
                self._root = objects.with_retries(url, lambda: _open(url, "", consolidated=True))
            self._groups: dict[str, Any] = {}
            for name in STORED:
                with contextlib.suppress(KeyError, GroupNotFoundError):
                    self._groups[name] = self._root[name] if GROWING in self.attributes else _open(url, name)
            self._check_grid()
        except (KeyError, ValueError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise InputError(
                url, f"it is no sweep's store ({reason})", "STORE is what `widesweep run` printed"
            ) from None
        self._check_statuses()

    def _check_grid(self) -> None:
        """Whether the arrays are those of the config's grid, unless it grows at this moment."""
        lengths = [len(each) for each in requested.values(self.config).values()]
        trains = self.config.training is not None
        group, wanted = ("training", lengths) if trains else ("initialization", lengths[:2])
        found = list(self._array(group, "status").shape)
        if found != wanted:
            now = dict(objects.with_retries(self.url, lambda: _open(self.url, "")).attrs)
            if GROWING not in now and now.get("config") == self.attributes["config"]:
                told = f"its config has a grid of {wanted}, its arrays have one of {found}"
                raise InputError(self.url, told, metadata_check.WANTED, "Nothing was read.")

    @property
    def seeds_per_block(self) -> int | None:
        """Length of a training chunk along `seed`."""
        return self._chunk("seed")

    @property
    def rates_per_block(self) -> int | None:
        """Length of a training chunk along `learning_rate`."""
        return self._chunk("learning_rate")

    @property
    def parts_per_block(self) -> int | None:
        """Length of a chunk along `part`; None without random networks."""
        return None if self.config.initialization is None else int(self._array("parts", "status").chunks[2])

    @property
    def pair_draws(self) -> np.ndarray:
        """Random networks that each pair of width and depth draws, shape (widths, depths)."""
        return requested.pair_draws(self.requested, self.config)

    @property
    def plan_shape(self) -> tuple[int, ...]:
        """Blocks along each axis: as many as values, but for `seed` and `learning_rate`."""
        grid = self.config.grid
        seeds = math.ceil(len(grid.seeds) / (self.seeds_per_block or 1)) if self.config.training else 0
        every_rate = max(1, len(grid.learning_rates))
        rates = math.ceil(len(grid.learning_rates) / (self.rates_per_block or every_rate))
        further = (len(axis.values(self.config)) for axis in self.config.axes)
        return len(grid.width), len(grid.depth), *further, seeds, rates

    @property
    def learning_rate_absolute(self) -> np.ndarray:
        """η, along all axes but `seed`.

        Raises:
            DamagedError: some are missing: nothing trains with them.
        """
        rates = self._read("training", "learning_rate_absolute")
        if np.isnan(rates).any():
            raise DamagedError(self.url, ["training/learning_rate_absolute"], "lacks numbers")
        return rates

    def blocks_with(self, *states: int) -> np.ndarray:
        """Numbers of the blocks with cells in any of these states, ascending."""
        return np.flatnonzero(self._count_in_blocks(states))

    def mixed_blocks(self, *states: int) -> set[int]:
        """Numbers of the blocks with cells in these states and cells in others."""
        inside = self._count_in_blocks(states)
        others = self._count_in_blocks({*STATES.values(), NOT_REQUESTED} - set(states))
        return set(np.flatnonzero((inside > 0) & (others > 0)).tolist())

    def finished_blocks(self) -> np.ndarray:
        """Whether each block of the plan is finished, shape (blocks,)."""
        return np.asarray(self._count_in_blocks([PENDING]) == 0)

    def requested_blocks(self) -> np.ndarray:
        """Whether any cell of each block of the plan is requested, shape (blocks,)."""
        return np.asarray(self._count_in_blocks(STATES.values()) > 0)

    def shares(self, *states: int) -> np.ndarray:
        """Share of each block's cells that are in these states, shape (blocks,)."""
        every = self._count_in_blocks({*STATES.values(), NOT_REQUESTED})
        return np.asarray(self._count_in_blocks(states) / every)

    def failures(self, most: int) -> dict[str, str]:
        """Why blocks failed: the first reason of each of the first `most` failed blocks, by their numbers."""
        result: dict[str, str] = {}
        training = int(np.prod(self.plan_shape))
        for index in self.blocks_with(FAILED)[:most].tolist():
            if index < training:
                *place, k, j = (int(i) for i in np.unravel_index(index, self.plan_shape))
                s, r = self.seeds_per_block or 1, self.rates_per_block or 1
                part = (*place, slice(k * s, (k + 1) * s), slice(j * r, (j + 1) * r))
                reasons = self._read("failures", "training", part)
            else:
                reasons = self._part_failures(index - training)
            result[str(index)] = next((str(each) for each in np.ravel(reasons) if each), "")
        return result

    def training_status(self) -> np.ndarray:
        """Status of each cell, along all axes."""
        return self._read("training", "status")

    def initialization_status(self) -> np.ndarray:
        """Status of the random networks, shape (widths, depths)."""
        return self._read("initialization", "status")

    def part_status(self) -> np.ndarray:
        """Status of the random networks' draws, shape (widths, depths, parts)."""
        return self._read("parts", "status")

    def unpooled_pairs(self) -> list[tuple[int, int]]:
        """(width, depth) indices whose draws are all stored, and what they say is not."""
        if self.config.initialization is None:
            return []
        ready = (self.part_status() != PENDING).all(axis=2) & (self.initialization_status() == PENDING)
        return [(int(w), int(d)) for w, d in np.argwhere(ready)]

    def _part_failures(self, block: int) -> np.ndarray:
        """Reasons of the parts of a block, counted from the first block of parts."""
        length, depths = self.parts_per_block or 1, self.plan_shape[1]
        pair, k = divmod(block, math.ceil(draws.parts(self.config) / length))
        return self._read("failures", "parts", (*divmod(pair, depths), slice(k * length, (k + 1) * length)))

    def cell_counts(self) -> dict[str, int]:
        """Cells by state: of training where there is any, else of the random networks."""
        return counts(self._of_cells())

    def status_before(self, states: tuple[int, ...]) -> np.ndarray:
        """Status of cells, or of random networks; those in these states, which a run computes, pending."""
        status = self._of_cells()
        return np.where(np.isin(status, states), PENDING, status)

    def _of_cells(self) -> np.ndarray:
        trains = self.config.training is not None
        return self.training_status() if trains else self.initialization_status()

    def block_costs(self) -> tuple[np.ndarray, np.ndarray]:
        """Cells or parts, and core seconds, of each block's last attempt, (blocks,); 0 where unknown."""
        size, names = len(self._count_in_blocks(())), ("block_cells", "block_core_s")
        if any(self._array("run", name).shape[0] < size for name in names):
            return np.zeros(size), np.zeros(size)  # still growing
        cells, core_s = (np.nan_to_num(self._read("run", name)[:size]) for name in names)
        return cells, core_s

    def run_attributes(self) -> dict[str, Any]:
        """What the driver last said of itself, read afresh."""
        group = objects.with_retries(self.url, lambda: _open(self.url, "run"))
        return dict(group.attrs)

    def _count_in_blocks(self, states: Iterable[int]) -> np.ndarray:
        """Cells in these states of each block of the plan, shape (blocks,)."""
        parts, wanted = [], list(states)
        if self.config.training is not None:
            inside = np.isin(self.training_status(), wanted)
            for axis, length in ((-2, self.seeds_per_block), (-1, self.rates_per_block)):
                inside = np.add.reduceat(
                    inside, np.arange(0, inside.shape[axis], length or 1), axis, dtype=int
                )
            parts.append(inside.ravel())
        if self.config.initialization is not None:
            inside = np.isin(self.part_status(), wanted)
            starts = np.arange(0, inside.shape[2], self.parts_per_block or inside.shape[2])
            parts.append(np.add.reduceat(inside, starts, 2, dtype=int).ravel())
        return np.concatenate(parts)

    def _read(self, group: str, name: str, part: Any = ...) -> np.ndarray:
        """Values of an array.

        Raises:
            DamagedError: a chunk does not fit its checksum; names it.
        """
        if name == "status" and part is ...:
            return self._status(group)
        try:
            return np.asarray(objects.with_retries(self.url, lambda: self._array(group, name)[part]))
        except (ValueError, RuntimeError, TypeError):
            if found := verify.find(self.url):
                raise DamagedError(self.url, [each.key for each in found]) from None
            raise

    def _chunk(self, axis: str) -> int | None:
        """Length of a training chunk along an axis; None without training."""
        if self.config.training is None:
            return None
        status = self._array("training", "status")
        return int(status.chunks[status.metadata.dimension_names.index(axis)])

    def _status(self, group: str) -> np.ndarray:
        if self._seen is not None and group in self._seen:
            return self._seen[group]
        values = chunks.read_all(self.url, self._array(group, "status"))
        if not np.isin(values, [*STATES.values(), NOT_REQUESTED]).all():
            raise DamagedError(self.url, [f"{group}/status"], "holds a status that there is not")
        if self._seen is not None:
            self._seen[group] = values
        return values

    def check_arrays(self) -> None:
        """Looks at the metadata of every array that the config asks for.

        Raises:
            InputError: one is gone or changed; names it.
            DamagedError: a chunk would unpack to more than its array has; names it.
        """
        metadata_check.check(self.url, self.config)
        if found := frame_size.oversized(self.url, self._groups.items()):
            raise DamagedError(self.url, found)

    def _check_statuses(self) -> None:
        """Whether what every question reads is of the config's grid, before any of it is read."""
        for name, needed in (
            ("training", self.config.training),
            ("initialization", self.config.initialization),
            ("parts", self.config.initialization),
        ):
            if needed is not None:
                found = self._array(name, "status")
                metadata_check.check_size(self.url, f"{name}/status", found)
                if GROWING not in self.attributes:
                    metadata_check.check_grid(self.url, f"{name}/status", found, self.config)

    def _array(self, group: str, name: str) -> Any:
        if group not in self._groups:
            self._groups[group] = metadata_check.group(self.url, group)
        return metadata_check.array(self.url, self._groups[group], name)


def counts(status: np.ndarray) -> dict[str, int]:
    """How many cells are in each state.

    >>> counts(np.array([0, 1, 1, 3]))
    {'done': 2, 'diverged': 0, 'failed': 1, 'pending': 1}
    """
    return {
        name: int(np.count_nonzero(status == STATES[name]))
        for name in ("done", "diverged", "failed", "pending")
    }


def _open(url: str, path: str, *, consolidated: bool = False) -> zarr.Group:
    return zarr.open_group(
        address.zarr_store(url), path=path, mode="r", zarr_format=3, use_consolidated=consolidated
    )
