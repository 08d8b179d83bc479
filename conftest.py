"""What every test and doctest of the project shares."""

from __future__ import annotations

import os
from typing import Any

# Before NumPy and torch are there: each process computes on one core, so that no test waits for cores, and
# bits across several cores are compared by the tests that ask for these.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _no_machine_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts by the cost model alone: no test knows what another's blocks took."""
    monkeypatch.setenv("WIDESWEEP_CACHE", "/dev/null/nothing-is-kept")


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any], request: pytest.FixtureRequest) -> None:
    doctest_namespace["np"] = np
    if isinstance(request.node, pytest.DoctestItem):
        doctest_namespace["tmp_path"] = request.getfixturevalue("tmp_path")
