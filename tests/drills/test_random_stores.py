"""Stores rewritten at random, as by another hand: every reader judges them or refuses them in words."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL, compute_here
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import inventory

SWEEP = {
    **SMALL,
    "grid": {"width": [4, 6, 8], "depth": [1], "seed": 2, "learning_rate": [0.5]},
    "training": {"steps": 10, "records": 5},
    "initialization": {"draws": 1000, "orders": [4]},
    "compute": {"device": "cpu", "cpus": 1},
}
ODD = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e300, -1e300, 1e-300, 2**31]
GROUPS = ("training", "initialization", "theory", "run", "parts")
CONFIGS: list[tuple[str, Any]] = [
    ("grid", {"width": [4], "depth": [2**55], "seed": 2, "learning_rate": [0.5]}),
    ("grid", {"width": [4, 6, 8], "depth": [1], "seed": 1, "learning_rate": [0.5]}),
    ("grid", {"width": ["4", "6", "8"], "depth": [1], "seed": 2, "learning_rate": [0.5]}),
    ("training", None), ("initialization", None), ("network", {"kind": "resnet"}), ("name", "a\nb\x1b[31m"),
]  # fmt: skip
QUIET = {"deadline": None, "database": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
COMMANDS = ("status", "status --verify", "analyze", "report", "refine", "export")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished store, never changed."""
    folder = tmp_path_factory.mktemp("random")
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        (folder / "small.yaml").write_text(yaml.safe_dump({**SWEEP, "store": "small.zarr"}))
        run(sweep_config.load(folder / "small.yaml"), str(folder / "small.zarr"))
    return folder / "small.zarr"


def rewrite(draw: st.DrawFn, store: Path) -> list[Any]:
    """One to four changes by Zarr's own means; what was changed."""
    done: list[Any] = []
    (store / inventory.PLACE).unlink()
    if draw(st.booleans()):
        _change_root(store, consolidated_metadata=None)
    for _ in range(draw(st.integers(1, 4))):
        arrays = sorted(file.parent for file in store.glob("*/*/zarr.json"))
        if not arrays:
            break
        place = draw(st.sampled_from(arrays))
        what = draw(
            st.sampled_from(["values"] * 4 + ["status"] * 2 + ["drop", "group", "type", "order", "config"])
        )
        done.append((what, place.relative_to(store).as_posix()))
        if what == "drop":
            shutil.rmtree(place)
        elif what == "group":
            shutil.rmtree(place.parent)
        elif what == "config":
            key, value = draw(st.sampled_from(CONFIGS))
            config = json.loads(json.loads((store / "zarr.json").read_bytes())["attributes"]["config"])
            _change_root(store, attributes={"config": json.dumps({**config, key: value})})
        elif what == "status":
            for group in ("training", "initialization"):
                if (place := store / group / "status").exists():
                    array: Any = zarr.open_array(place)
                    array[...] = np.resize(
                        draw(st.lists(st.integers(0, 4), min_size=1, max_size=6)), array.shape
                    )
        else:
            _write(draw, place, what)
    return done


def _write(draw: st.DrawFn, place: Path, what: str) -> None:
    old: Any = zarr.open_array(place, mode="r+")
    values = np.array(old[...])
    if values.dtype.kind not in "fiu" or not values.size:
        return
    if what == "values":
        odd, some = (
            draw(st.sampled_from(ODD)),
            np.random.default_rng(draw(st.integers(0, 9))).random(values.shape),
        )
        with np.errstate(all="ignore"):
            fits = values.dtype.kind == "f" or np.isfinite(odd)
            old[...] = np.where(some < draw(st.sampled_from([0.1, 0.5, 1.0])), odd if fits else 0, values)
        return
    dims, attributes = old.metadata.dimension_names, dict(old.attrs)
    if what == "order":
        values = draw(st.sampled_from([values[::-1], np.full_like(values, values.flat[0]), values[:-1]]))
    kind = (
        draw(st.sampled_from(["float32", "int64", "bool", "complex64"])) if what == "type" else values.dtype
    )
    shutil.rmtree(place)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # complex to real
        values = values.astype(kind)
    new: Any = zarr.create_array(
        place, shape=values.shape, dtype=values.dtype, dimension_names=dims, attributes=attributes
    )
    new[...] = values


def _change_root(store: Path, **changes: Any) -> None:
    root = json.loads((store / "zarr.json").read_bytes())
    root["attributes"] |= changes.pop("attributes", {})
    (store / "zarr.json").write_text(json.dumps({**root, **changes}))


def arguments(command: str) -> list[str]:
    """For the store a.zarr."""
    special = {
        "analyze": ["analyze", "a.zarr", "--json"],
        "report": ["report", "a.zarr", "--output", "page"],
        "refine": ["refine", "a.zarr", "--budget", "1m", "--dry-run"],
        "export": ["export", "a.zarr", "--to", "csv", "--output", "tables"],
        "status --verify": ["status", "a.zarr", "--verify"],
    }
    return special.get(command, [command, "a.zarr"])


def one_case(
    data: st.DataObject, finished: Path, commands: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One store, some commands: no traceback, no warning, and no law is consistent with nothing."""
    with tempfile.TemporaryDirectory() as name, monkeypatch.context() as here:
        here.chdir(name)
        shutil.copytree(finished, "a.zarr")
        done = data.draw(st.composite(rewrite)(Path("a.zarr")))
        for command in commands:
            result = CliRunner().invoke(app, arguments(command))
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise AssertionError(f"{command} after {done}: {result.exception!r}") from result.exception
            assert result.exit_code in (0, 1, 2), (command, done, result.output)
            assert "Warning" not in result.stderr, (command, done, result.stderr)
            if result.exit_code:
                assert 1 <= len(result.output.strip().splitlines()) <= 40, (command, done, result.output)
            elif command == "analyze":
                for law, found in json.loads(result.stdout)["laws"].items():
                    assert found["verdict"] != "consistent" or found["points"] > 0, (law, done)


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out, texts and all, not rendered: 15 pictures in three formats take 15 s."""

    def laid_out(self: Figure, file: Any, **_: Any) -> None:
        self.draw_without_rendering()
        empty = b'<svg viewBox="0 0 1 1"></svg>'
        if isinstance(file, Path):
            file.write_bytes(empty)
        else:
            file.write(empty)

    monkeypatch.setattr(Figure, "savefig", laid_out)


@pytest.mark.slow
@settings(max_examples=20, phases=[Phase.generate], **QUIET)
@given(data=st.data())
def test_twenty_stores_of_another_hand_are_judged_or_refused(
    data: st.DataObject, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command each, figures rendered: exit 0, 1 or 2, no traceback, no warning."""
    one_case(data, finished, (data.draw(st.sampled_from(COMMANDS)),), monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(20))
def test_five_hundred_stores_of_another_hand_are_judged_or_refused(
    part: int, finished: Path, monkeypatch: pytest.MonkeyPatch, unrendered: None
) -> None:
    """All commands on each, 25 stores a part; a failure is told as it was found, not made smaller."""

    @seed(part)
    @settings(max_examples=25, phases=[Phase.generate], **QUIET)
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        one_case(data, finished, COMMANDS, monkeypatch)

    each()
