"""Configs are YAML 1.2: what is a number, what is text, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.config.yaml_text import parse
from widesweep.pipeline.errors import InputError

SCALARS = {
    "010": 10,
    "0o10": 8,
    "0x1F": 31,
    "+1": 1,
    "1e3": 1000.0,
    ".5": 0.5,
    "1.": 1.0,
    "yes": "yes",
    "off": "off",
    "TRUE": True,
    "~": None,
    "2020-01-01": "2020-01-01",
    "'1:8'": "1:8",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    """The core schema: no octal by a leading zero, no yes and no, no dates."""
    found = parse(text, "example")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [("1:8", r"\[1, 2, 3, 4, 5, 6, 7, 8\]"), ("[1:30]", r"\[1, 2, …, 30\]"), ("1_000", "write 1000")],
)
def test_numbers_of_yaml_1_1_are_refused_with_the_likely_meaning(text: str, told: str) -> None:
    """1:8 was 68, [1:30] was [90], 1_000 was 1000."""
    with pytest.raises(InputError, match=told) as error:
        parse(text, "a.yaml")
    assert error.value.where.startswith("a.yaml, line 1, column ")


def test_a_store_is_expanded_and_an_unset_variable_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """~/s.zarr lies in the home folder; $NOT_SET/s.zarr is no folder of that name."""
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv("SCRATCH", "/scratch")
    monkeypatch.delenv("NOT_SET", raising=False)
    assert expanded("~/s.zarr") == "/home/user/s.zarr"
    assert expanded("$SCRATCH/s.zarr") == "/scratch/s.zarr"
    with pytest.raises(InputError, match=r"\$NOT_SET is not set"):
        expanded("$NOT_SET/s.zarr")
