"""Every law's 95 % interval covers as often as it says, and lawful sweeps are hardly ever refuted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import law_page
from tests.analysis.calibration import LAWS, calibrate

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"
ESTIMATORS = (  # one law for each way of fitting
    "convergence_rate",
    "convergence_rate_own_kernel",
    "weight_drift",
    "ntk_variance",
    "hessian_norm",
    "information_decay",
    "iterations (gd)",
    "movement_by_scale",
    "label_corruption",
)


@pytest.mark.parametrize("law", ESTIMATORS)
def test_intervals_cover_nineteen_times_in_twenty(law: str) -> None:
    """25 sweeps: 95 % less three binomial standard errors are covered, at most three of each kind refuted."""
    found = calibrate(law, 25)
    assert found.covered >= 0.82
    assert max(found.refuted, found.refuted_at_edge) <= 0.12


def test_half_an_interval_would_be_noticed() -> None:
    """Negative control: the same draws, with errors half as long, cover far less."""
    draws = [LAWS["weight_drift"](seed, False) for seed in range(40)]
    hits = [abs(found.estimate.value - truth) <= found.estimate.half_width / 2 for found, truth in draws]
    assert sum(hits) / len(hits) < 0.82


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_intervals_cover_93_to_97_percent_of_a_thousand_sweeps(law: str) -> None:
    """And fewer than 5 % are called inconsistent, at the edge of what theory allows too.

    Intervals that are made for heavy tails are a little long where errors are normal, as here.
    """
    found = calibrate(law, 1000)
    assert 0.93 <= found.covered <= (0.98 if law.startswith("iterations") else 0.97)
    assert max(found.refuted, found.refuted_at_edge) < 0.05


def test_every_law_is_calibrated_or_said_not_to_be() -> None:
    """A new law needs draws here and a row in the table, or its name in the list of what is not known."""
    table, _, rest = PAGE.read_text().partition("## Not calibrated")
    assert all(f"| `{name}` |" in table for name in LAWS)
    known = {name.partition(" ")[0].rstrip("0123456789") for name in LAWS}
    listed = {entry.name.rstrip("0123456789") for law in law_page.ALL for entry in law_page.entries(law)}
    others = {name.rstrip("h") if name.endswith("_h") else name for name in re.findall("`([a-z_]+)`", rest)}
    assert len(known) > 20
    assert known <= listed
    assert listed - known <= others
