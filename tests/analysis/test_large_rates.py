"""Laws of large rates: catapult, its limit, the edge of stability; each with numbers that refute it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.analysis.summaries import by_name
from widesweep.analysis.laws import find_all
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.laws.large_rates import edge
from widesweep.analysis.reading.cell_summary import CellSummary
from widesweep.analysis.reading.derived import derived

RATES = np.array([0.9, 1.5, 1.9, 2.1, 2.5])
SEEDS = 8
DIMS = ("width", "depth", "seed", "learning_rate")
LINEAR = {"activation": "linear", "parameterization": "ntk"}


def found(
    variables: dict[str, Any], network: dict[str, Any] = LINEAR, diverges_from: float = np.inf, **section: Any
) -> dict[str, LawResult]:
    """Cells of widths 128 and 256 with λ0 = 2 about: ηλ0 is twice the rate; records along `step` are last."""
    widths, shape = [128, 256], (2, 1, SEEDS, len(RATES))
    noise = 1.0 + 0.01 * np.random.default_rng(7).standard_normal((2, 1, SEEDS, 1, 1))
    training = xr.Dataset(
        coords={"width": widths, "depth": [1], "seed": range(SEEDS), "learning_rate": RATES}
    )
    training["step"] = [0, 50, 100]
    for name, records in variables.items():
        values = np.broadcast_to(np.asarray(records) * noise, (*shape, 3)).copy()
        training[name] = ((*DIMS, "step"), values)
    status = np.where(diverges_from < 2.0 * RATES, 2, 1)
    training["status"] = (DIMS, np.broadcast_to(status, shape).astype(np.int8).copy())
    training["learning_rate_absolute"] = (
        ("width", "depth", "learning_rate"),
        np.broadcast_to(RATES, (2, 1, 5)).copy(),
    )
    config = {"network": network, "training": section}
    cells = derived(config, training, xr.Dataset()).where(training["status"] == 1)
    cells = cells.assign(status=training["status"], learning_rate_absolute=training["learning_rate_absolute"])
    return by_name(find_all(CellSummary(config, cells, None, None, xr.Dataset())))


def kernel(last: np.ndarray) -> np.ndarray:
    """λ_max(G) from 2 to so much, by learning rate, shape (rate, step)."""
    return np.stack([np.full(len(RATES), 2.0), np.full(len(RATES), 3.0), last], 1)


def test_a_catapult_ends_in_a_flat_place() -> None:
    """Four rates are beyond 2/λ0: all end at ηλ = 1.5, below 2. Control: at 2.4 it is broken."""
    flat, sharp = (found({"ntk_max_eigenvalue": kernel(c / RATES)})["catapult"] for c in (1.5, 2.4))
    assert flat.verdict == "holds"
    assert flat.points == 2 * SEEDS * 4
    assert sharp.verdict == "broken"
    slow = {"ntk_max_eigenvalue": kernel(1.5 / RATES) * np.array([0.1, 1.0, 1.0])}
    assert "catapult" not in found(slow)
    momentum = found({"ntk_max_eigenvalue": kernel(1.5 / RATES)}, optimizer="momentum", momentum=0.9)
    assert momentum["catapult"].verdict == "not_applicable"


def test_a_linear_network_diverges_beyond_four() -> None:
    """Between ηλ0 of 3.8 and 4.2 lies the end. Control: divergence beyond 3 refutes 4; relu has no number."""
    records = {"ntk_max_eigenvalue": kernel(1.5 / RATES)}
    law = found(records, diverges_from=4.0)["catapult_limit"]
    assert law.verdict == "consistent"
    assert law.estimate.value == pytest.approx(np.sqrt(3.8 * 4.2), rel=0.01)
    early = found(records, diverges_from=2.5)["catapult_limit"]
    assert early.estimate.high < early.expected_low
    assert early.verdict == "inconsistent"
    relu = found(records, {"activation": "relu"}, diverges_from=4.0)["catapult_limit"]
    assert relu.verdict == "not_applicable"
    assert "catapult_limit" not in found(records)


def test_sharpness_stays_at_the_edge() -> None:
    """Late sharpness at 2/η is consistent, a fall from there is not; of lazy cells nothing is said."""

    def sharpness(late: float) -> dict[str, Any]:
        return {"sharpness": np.stack([0.5 / RATES, 2.2 / RATES, late / RATES], 1)}

    assert found(sharpness(1.9))["edge_of_stability"].verdict == "consistent"
    assert found(sharpness(0.6))["edge_of_stability"].verdict == "inconsistent"
    assert found(sharpness(1.9))["flat_minimum"].verdict == "holds"
    assert found(sharpness(2.3))["flat_minimum"].verdict == "broken"
    lazy = {"sharpness": np.stack([0.5 / RATES, 0.6 / RATES, 0.7 / RATES], 1)}
    assert found(lazy)["edge_of_stability"].verdict == "not_applicable"


def test_momentum_has_edges_of_its_own() -> None:
    """On a quadratic of curvature λ the iteration is stable just below the edge, and not just above."""
    for optimizer, beta in (("gd", 0.0), ("momentum", 0.9), ("nesterov", 0.9)):
        section = {"training": {"optimizer": optimizer, "momentum": beta}}
        limit = edge(CellSummary(section, None, None, None, xr.Dataset()))
        assert limit is not None
        for factor in (0.99, 1.01):
            curvature = factor * limit
            before = now = 1.0
            for _ in range(20_000):
                ahead = now + beta * (now - before)
                gradient = curvature * (ahead if optimizer == "nesterov" else now)
                before, now = now, (ahead if optimizer != "gd" else now) - gradient
                if abs(now) > 1e6:
                    break
            assert (abs(now) > 1.0) == (factor > 1.0)
    for optimizer in ("sgd", "adam", "langevin"):
        section = {"training": {"optimizer": optimizer}}
        assert edge(CellSummary(section, None, None, None, xr.Dataset())) is None
