"""A block in mid-training as plain arrays: what it has measured, and what each cell goes on from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

RESULT, STATE = "result.", "state."  # before the names of a checkpoint's arrays
FINISHED = np.iinfo(np.int64).max  # as a cell's step: nothing is left to do


class Stopped(Exception):  # noqa: N818  (nothing is wrong)
    """A batch ended early on request; its cells are in the last flush."""


class Flush(Protocol):
    """Where a block's records and checkpoints go as it trains."""

    def due(self) -> bool:
        """Whether it is time; called at every sync step of every batch, so it must be quick."""

    def write(self, results: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> None:
        """Keeps what is measured so far, and what training goes on from; called by one thread at a time."""


@dataclass(frozen=True)
class States:
    """Cells in mid-training, each at the sync step that it goes on from.

    Attributes:
        cells: their numbers in the block, learning rates fastest, shape (C,).
        arrays: by name, shape (C, …): `step`, `initial` (sizes at step 0), trained parameters, the
            optimiser's own.
    """

    cells: np.ndarray
    arrays: dict[str, np.ndarray]

    def of(self, cells: np.ndarray) -> States:
        """Those of the given cells that are here, in ascending order: batches leave theirs in any order."""
        here = np.flatnonzero(np.isin(self.cells, cells))
        here = here[np.argsort(self.cells[here])]
        return States(self.cells[here], {name: values[here] for name, values in self.arrays.items()})


@dataclass(frozen=True, eq=False)
class Batch:
    """Cells that train together: all at the same step.

    Attributes:
        cells: their numbers in the block, ascending, shape (B,).
        states: what they go on from; None: they begin.
    """

    cells: np.ndarray
    states: States | None = None

    @property
    def step(self) -> int:
        """The sync step that comes first."""
        return 0 if self.states is None else int(self.states.arrays["step"][0])


@dataclass
class Ledger:
    """What a block has measured, shared by the threads that train its batches.

    When a flush is due, every batch leaves its state at its next sync step; the last one to do so writes all.

    Attributes:
        results: by variable, shape (cells, …).
        steps: the sync step that each cell goes on from, `FINISHED` at its end, shape (cells,).
        flush: where records and checkpoints go; None: nowhere before the end.
    """

    results: dict[str, np.ndarray]
    steps: np.ndarray
    flush: Flush | None = None
    stopping: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _at_work: set[Batch] = field(default_factory=set)
    _left: dict[Batch, tuple[dict[str, np.ndarray], np.ndarray, States]] = field(default_factory=dict)

    def stop(self, *, flush: bool) -> None:
        """No batch starts, and those at work end at their next sync step; with a last flush or without."""
        with self._lock:
            self.stopping = True
            self.flush = self.flush if flush else None

    def begin(self, batch: Batch) -> None:
        """A batch starts.

        Raises:
            Stopped: none may start any more.
        """
        with self._lock:
            if self.stopping:
                raise Stopped
            self._at_work.add(batch)

    def leave(self, batch: Batch) -> None:
        """A batch's thread is through with it, whichever way it ended."""
        with self._lock:
            self._at_work.discard(batch)

    @property
    def idle(self) -> bool:
        """Whether no batch is at work, and whatever the last of them left is written."""
        with self._lock:
            return not self._at_work

    def sync(self, batch: Batch, results: dict[str, np.ndarray], states: Callable[[], States]) -> None:
        """A batch is at a sync step, before anything is done there; it leaves its state if that is due.

        Args:
            batch: which.
            results: what it has measured so far, by variable, shape (B, …); copied if kept.
            states: makes its cells' states.

        Raises:
            Stopped: it must go no further.
        """
        stopping, flush = self.stopping, self.flush  # once: another thread may set them meanwhile
        if flush is not None and (stopping or flush.due()):
            with self._lock:
                if stopping or batch not in self._left:
                    copies = {name: values.copy() for name, values in results.items()}
                    self._left[batch] = (copies, batch.cells, states())
                if stopping:
                    self._at_work.discard(batch)
                self._write_if_all_left()
        if stopping:
            raise Stopped

    def finish(self, batch: Batch, results: dict[str, np.ndarray]) -> None:
        """A batch is done; keeps what it measured, by variable, shape (B, …)."""
        with self._lock:
            for name, values in results.items():
                self.results[name][batch.cells] = values
            self.steps[batch.cells] = FINISHED
            self._at_work.discard(batch)
            self._left.pop(batch, None)
            if self.flush is not None and (self._left or self.flush.due()) and (self.steps != FINISHED).any():
                self._write_if_all_left()

    def _write_if_all_left(self) -> None:
        if self.flush is None or not self._at_work <= set(self._left):
            return
        results, steps = {n: v.copy() for n, v in self.results.items()}, self.steps.copy()
        for measured, cells, states in self._left.values():
            for name, values in measured.items():
                results[name][cells] = values
            steps[cells] = FINISHED  # cells that have left their batch
            steps[states.cells] = states.arrays["step"]
        self.flush.write(results, _arrays(results, steps, [states for _, _, states in self._left.values()]))
        if not self.stopping:
            self._left.clear()


def _arrays(
    results: Mapping[str, np.ndarray], steps: np.ndarray, states: list[States]
) -> dict[str, np.ndarray]:
    """One flat table: results of all cells, states of those in mid-training."""
    arrays = {RESULT + name: values for name, values in results.items()} | {"steps": steps}
    arrays["cells"] = np.concatenate([each.cells for each in states] or [np.empty(0, dtype=np.int64)])
    for name in states[0].arrays if states else ():
        arrays[STATE + name] = np.concatenate([each.arrays[name] for each in states])
    return arrays


def opened(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray, States]:
    """Results by variable, each cell's step, and the states, from what `Flush.write` was given.

    >>> empty = States(np.empty(0, dtype=np.int64), {})
    >>> opened(_arrays({"loss": np.zeros((2, 3))}, np.array([0, FINISHED]), [empty]))[1].tolist()[0]
    0
    """
    results = {n.removeprefix(RESULT): np.array(v) for n, v in arrays.items() if n.startswith(RESULT)}
    states = {n.removeprefix(STATE): v for n, v in arrays.items() if n.startswith(STATE)}
    return results, np.array(arrays["steps"]), States(np.asarray(arrays["cells"]), states)
