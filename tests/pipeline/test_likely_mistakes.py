"""What users write by habit of another tool: each is refused with what they most likely meant."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from widesweep.pipeline.cli import app

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata")
TEXT = """name: s
network: {kind: fully_connected}
data: {source: sphere, samples: 4}
grid: {width: [4], depth: [1], seed: 1, learning_rate: [0.5]}
training: {steps: 3}
store: out.zarr
"""
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((12, 5)), np.tile([-1.0, 1.0], 6)
IMAGES = RANDOM.integers(0, 255, (12, 6, 6), dtype=np.uint8)


def planned(path: Path) -> Any:
    """`plan` of a config; a refusal is one message, exit 2, and writes nothing."""
    before = sorted(path.parent.iterdir())
    done = CliRunner().invoke(app, ["plan", str(path)])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code in (0, 2), done.output
    assert sorted(path.parent.iterdir()) == before
    assert done.exit_code == 0 or 1 <= len(done.stderr.splitlines()) <= 5
    return done


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("steps: 3", "steps: 1e3", "write 1000"),
        ("steps: 3", "steps: 10k", "write 10000"),
        ("steps: 3", "steps: 1_000", "write 1000"),
        ("steps: 3", "steps: 1,000", "a comma begins another key"),
        ("samples: 4", "samples: '4'", "write 4 without quotes"),
        ("width: [4]", "width: [2**4]", "write 16"),
        ("width: [4]", "width: [2^4]", "write 16"),
        ("width: [4]", "width: [1..4]", "write [1, 2, 3, 4]"),
        ("width: [4]", "width: 4-64", "[4, 5, …, 64]"),
        ("width: [4]", "width: [1:30:5]", "from 1 to 30"),
        ("seed: 1", "seed: 1:8", "[1, 2, 3, 4, 5, 6, 7, 8]"),
        ("[0.5]", "[1/2]", "write 0.5"),
        ("samples: 4", "samples: 4, drop_parallel: yes", "write true"),
        ("fully_connected", "fully_connected, centered: off", "write false"),
        ("kind: fully", "kind:fully", "network.kind"),
        ("steps: 3", "steps: 3, dtype:float32", "a space after the colon"),
        ("steps: 3", "steps: 3, dtype: double", "the nearest is 'float64'"),
        ("store:", "compute: {device: gpu}\nstore:", "the nearest is 'cuda'"),
        ("fully_connected", "mlp", "the nearest is 'fully_connected'"),
        ("fully_connected", "fully_connected, activation: leaky_relu", "{leaky: [0.01, 1.0]}"),
        ("fully_connected", "fully_connected, activation: torch.relu", "torch:relu"),
        ("steps: 3", "steps: 3, lr: 0.1", "'grid.learning_rate'"),
        ("steps: 3", "steps: 3, learning_rate: 0.1", "'grid.learning_rate'"),
        ("steps: 3", "steps: 3, epochs: 2", "'training.steps'"),
        ("steps: 3", "steps: 3, momentum: 0.9", "it belongs to optimizer nesterov or momentum"),
        ("steps: 3", "steps: 3, loss: mse", "the nearest is 'squared'"),
        ("steps: 3", "steps: 3, loss: BCEWithLogitsLoss", "the nearest is 'logistic'"),
        ("steps: 3", "steps: 3, loss: binary_crossentropy", "the nearest is 'logistic'"),
        ("steps: 3", "steps: 3, loss: CrossEntropyLoss", "the nearest is 'cross_entropy'"),
        ("steps: 3", "steps: 3, loss: smooth_l1", "the nearest is 'huber'"),
        ("steps: 3", "steps: 3, optimizer: heavy_ball", "the nearest is 'momentum'"),
        ("store: out.zarr", "store: ~nobody-of-this-name/x.zarr", "is no user's folder here"),
        ("store:", "compute: {callbacks: 'nowhere:Tracker'}\nstore:", "compute.callbacks"),
        ("training: {steps: 3}", "training:\n\tsteps: 3", "YAML indents with spaces"),
        ("name: s", "---\nname: s\n---\nname: t", "a second document begins there"),
        ("store: out.zarr", "store: ''", "it must not be empty"),
        ("name: s", f"name: {'n' * 400}", "at most 200 characters"),
        ("source: sphere", "source: digit", "the nearest is digits"),
        ("source: sphere", "source: s3://bucket/x.zarr", "copy it here"),
        ("source: sphere", "source: ~nobody-of-this-name/x.npz", "does not exist"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(
    old: str, new: str, told: str, tmp_path: Path
) -> None:
    """Numbers, ranges, truth values, words and keys of YAML 1.1, Python, torch and Keras."""
    assert old in TEXT
    path = tmp_path / "c.yaml"
    path.write_text(TEXT.replace(old, new))
    done = planned(path)
    assert done.exit_code == 2
    assert told in done.stderr


def _npz(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


def _zarr(path: Path, *, format: int = 3, **attributes: Any) -> None:
    data = xr.Dataset({"x": (("sample", "feature"), X, attributes), "y": (("sample",), Y)})
    data.to_zarr(path, zarr_format=format)


def _packed_by_a_word(path: Path) -> None:
    """A scale factor that is text: what xarray would multiply by."""
    _zarr(path)
    metadata = path / "x" / "zarr.json"
    metadata.write_text(
        metadata.read_text().replace('"attributes": {', '"attributes": {"scale_factor": "two", ')
    )
    assert '"two"' in metadata.read_text()


@pytest.mark.parametrize(
    ("name", "make", "told"),
    [
        ("a.npz", lambda p: _npz(p, x=X, y=Y > 0), None),
        ("a.npz", lambda p: _npz(p, x=X.astype(">f4"), y=Y[:, None]), None),
        ("a.npz", lambda p: _npz(p, x=X, y=np.array(["cat", "dog"] * 6)), "numbers the classes"),
        ("a.npz", lambda p: _npz(p, x=X, y=np.array(["cat", None] * 6)), "holds Python objects"),
        ("a.npz", lambda p: _npz(p, x=X.T, y=Y), "looks transposed"),
        ("a.npz", lambda p: _npz(p, x=X + 0j, y=Y), "real numbers"),
        ("a.npz", lambda p: _npz(p, x_train=IMAGES, y_train=Y), "network.kind convolutional takes images"),
        ("a.npz", lambda p: _npz(p, x=IMAGES[..., None], y=Y[:, None]), "x.reshape(len(x), -1)"),
        ("a.npz", lambda p: _npz(p, inputs=X, labels=Y), "numpy.savez(path, x=…, y=…) names them"),
        ("a.npz", lambda p: np.savez(p, X, Y), "a.npz has arr_0, arr_1"),
        ("a.npz", lambda p: p.write_text("x,y"), "is no archive of arrays"),
        ("a.npz", lambda p: p.write_bytes(_bytes()[:300]), "or is cut short"),
        ("a.npz", lambda p: p.write_bytes(b""), "is no archive of arrays"),
        ("a.npz", lambda p: p.mkdir(), "it is no file"),
        ("a.npy", lambda p: np.save(p, X), "numpy.savez(path, x=…, y=…) writes one"),
        ("a.csv", lambda p: p.write_text("1,2"), "writes one"),
        ("a.zarr", lambda p: _zarr(p), None),
        ("a.zarr", lambda p: _zarr(p, format=2), "zarr_format=3"),
        ("a.zarr", _packed_by_a_word, "cannot be read"),
        ("a.zarr", lambda p: _zarr(p, units="days since 2000-01-01"), "datetime64"),
        ("a.zarr", lambda p: p.write_text("x"), "a Zarr group of format 3"),
    ],
)
def test_a_data_file_of_another_kind_is_told(
    name: str, make: Callable[[Path], Any], told: str | None, tmp_path: Path
) -> None:
    """Taken where it is clear what is meant; else the message says what to write."""
    make(tmp_path / name)
    path = tmp_path / "c.yaml"
    path.write_text(TEXT.replace("source: sphere", f"source: {name}"))
    done = planned(path)
    assert done.exit_code == (0 if told is None else 2), done.output
    assert (told or "") in done.stderr
    assert "allow_pickle" not in done.stderr


def _bytes() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=X, y=Y)
    return file.getvalue()


@pytest.mark.parametrize("url", ["http://x.invalid/y.zarr", "ftp://x.invalid/y.zarr"])
def test_a_store_on_a_web_server_is_refused(url: str, tmp_path: Path) -> None:
    """Before anything is asked of the network: exit 2, not the exit code of a server that is gone."""
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    done = CliRunner().invoke(app, ["run", str(path), "--store", url], env=dict(os.environ))
    assert done.exit_code == 2, done.output
    assert "takes no store" in done.stderr
