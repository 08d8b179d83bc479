"""What every test and doctest of the project shares."""

from __future__ import annotations

from typing import Any

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
