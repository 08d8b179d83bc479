"""Trackers of one's own, such as MLflow's: called on the driver with every block that has ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from widesweep.pipeline.config.plug_ins import imported
from widesweep.pipeline.errors import InputError
from widesweep.theory.registry import PlugInError, Registry, last_line

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class FinishedBlock:
    """Cells of one width and depth that are in the store now.

    Attributes:
        sweep: the sweep's name.
        store: the store's address.
        kind: `training`, or `initialization` of random networks.
        width: neurons in each hidden layer.
        depth: hidden layers.
        region: the block's place along each dimension of its group.
        wall_s: time that it took; 0 where it failed.
        failure: why its cells failed; empty where they did not.
    """

    sweep: str
    store: str
    kind: str
    width: int
    depth: int
    region: dict[str, slice]
    wall_s: float
    failure: str = ""

    def read(self) -> xr.Dataset:
        """Its part of the group, opened lazily."""
        import xarray as xr

        group = "training" if self.kind == "training" else "parts"
        opened: xr.Dataset = xr.open_zarr(self.store, group=group, consolidated=False)
        inside: xr.Dataset = opened.isel(
            {dim: part for dim, part in self.region.items() if dim in opened.dims}
        )
        return inside


class Tracker(Protocol):
    """A class without arguments, made once in a run and called on the driver, one block at a time."""

    def finished(self, block: FinishedBlock) -> None:
        """A block has ended and is in the store."""


def _accepted(name: str, found: object) -> type[Tracker]:
    if not isinstance(found, type) or not callable(getattr(found, "finished", None)):
        raise TypeError(f"it is {found!r}; a tracker is a class with a method finished(block)")
    return found


TRACKERS: Registry[type[Tracker]] = Registry("tracker", _accepted, {})


def load(names: Iterable[str], folder: Path, file: str) -> tuple[Any, ...]:
    """One tracker of each name, from the config's folder first.

    Raises:
        InputError: one cannot be imported, is no tracker, or cannot be made.
    """
    made = []
    for name, kind in classes(names, folder, file):
        try:
            made.append(kind())
        except Exception as error:  # a user's own code may raise anything
            found = f"'{name}' cannot be made: {last_line(error)}"
            raise InputError(f"{file}, compute.callbacks", found, "a class without arguments") from None
    return tuple(made)


def classes(names: Iterable[str], folder: Path, file: str) -> list[tuple[str, type[Tracker]]]:
    """The trackers' classes, by name; makes none.

    Raises:
        InputError: one cannot be imported, or is no tracker.
    """
    found = []
    for name in names:
        try:
            found.append((name, imported(TRACKERS, name, folder)))
        except (ValueError, PlugInError) as error:
            wanted = "a class with a method finished(block), in a module beside the config or installed"
            raise InputError(f"{file}, compute.callbacks", f"'{name}': {error}", wanted) from None
    return found
