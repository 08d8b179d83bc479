"""Two sweeps side by side: what differs is seen, what does not is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.analysis.synthetic import SyntheticSweep, write
from widesweep.analysis import examine
from widesweep.analysis.two_sweeps import compared, table

SMALL: dict[str, Any] = {"depths": (1,), "seeds": 6, "rates": (1.0,), "modes": 3}


def laws(path: Path, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = examine(write(path, SyntheticSweep(**SMALL, **changes))).as_json()["laws"]
    return found


def test_an_exponent_that_differs_is_seen_and_a_sweep_is_itself(tmp_path: Path) -> None:
    """A drift like m^−0.9 beside m^−0.5 differs; a sweep beside itself does not (the control)."""
    lazy = laws(tmp_path / "lazy.zarr")
    other = laws(tmp_path / "other.zarr", exponents={"neuron_change_max": -0.9})
    rows = compared(lazy, other)
    assert rows["weight_drift"]["differs"] is True
    assert rows["weight_drift"]["difference_high"] < 0
    assert not any(row["differs"] for row in compared(lazy, lazy).values())
    assert "differs" in table(rows)


def test_a_law_that_one_sweep_lacks_is_there_without_a_difference(tmp_path: Path) -> None:
    """Its row says which sweep has it."""
    lazy = laws(tmp_path / "lazy.zarr")
    row = compared(lazy, {})["weight_drift"]
    assert (row["second"], row["difference"], row["differs"]) == (None, None, None)
    assert "not there" in table(compared(lazy, {}))
