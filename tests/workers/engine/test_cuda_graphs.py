"""A captured step is taken as often as an ordinary one, and captured once."""

from __future__ import annotations

import pytest
import torch

from widesweep.workers.engine.cuda_graphs import FEWEST, Replay
from widesweep.workers.engine.sync_steps import SHORTEST_UPDATE


class Recorded:
    """What a GPU's graph does, without a GPU: replays the step."""

    def __init__(self, taken: list[str]) -> None:
        self.taken = taken

    def replay(self) -> None:
        self.taken.append("replayed")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every step, by how it was taken, and every capture."""
    found: list[str] = []

    def captured(self: Replay) -> Recorded:
        found.append("captured")
        return Recorded(found)

    monkeypatch.setattr(Replay, "capture", captured)
    return found


def test_a_cpu_captures_nothing(taken: list[str]) -> None:
    """There each step is the function itself."""
    Replay(lambda: taken.append("called"), torch.device("cpu")).repeat(3 * FEWEST)
    assert taken == ["called"] * 3 * FEWEST


def test_a_gpu_captures_once_after_a_first_call(taken: list[str]) -> None:
    """One call for what libraries take at first use, a capture, which moves nothing, then replays alone."""
    replay = Replay(lambda: taken.append("called"), torch.device("cuda"))
    replay.repeat(FEWEST)
    assert taken == ["called", "captured", *["replayed"] * (FEWEST - 1)]
    replay.repeat(2 * FEWEST)
    assert taken[FEWEST + 1 :] == ["replayed"] * 2 * FEWEST


def test_few_steps_are_not_captured(taken: list[str]) -> None:
    """Before a capture or after one, since a short stretch may leave out what a long one holds."""
    replay = Replay(lambda: taken.append("called"), torch.device("cuda"))
    replay.repeat(FEWEST - 1)
    assert taken == ["called"] * (FEWEST - 1)
    replay.repeat(FEWEST)
    replay.repeat(1)
    assert taken[-1] == "called"
    assert taken.count("captured") == 1


def test_whatever_is_captured_of_descent_holds_its_first_layer() -> None:
    """One graph serves every stretch only as long as all captured ones take the same operations."""
    first_step = 1  # of a segment, which descent takes from the sync step's residual
    assert FEWEST + first_step >= SHORTEST_UPDATE
