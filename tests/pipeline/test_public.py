"""`import widesweep as ws`: a sweep from Python, its groups, its laws and laws of one's own."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import widesweep as ws
from tests.pipeline.conftest import SMALL, compute_here
from widesweep.pipeline.cli import app
from widesweep.pipeline.errors import InputError
from widesweep.theory.registry import PlugInError

SIGNATURES = {
    "analyze": "(sweep, laws=())",
    "open": "(store)",
    "plan": "(config=None, *, set=None, **sections)",
    "refine": "(sweep, *, laws=(), interval=None, budget=None, address=None)",
    "register": "(kind, name, thing)",
    "report": "(sweep, output=None, laws=())",
    "run": "(config=None, *, set=None, store=None, address=None, scheduler=None, **sections)",
    "Loss": "(value, derivative=None, refuse=None, name='')",
    "Measurement": "(variables, compute, needs=(), any_loss=True, name='')",
    "Variable": "(name, dims, description, units='1', dtype='float64', attributes=<factory>, label='')",
    "example": "(name)",
    "activation": "(tensor, *, value=None, derivative=None, slopes=None, name='')",
}
CLASSES = {  # and what their own code gives or overrides
    "Law": ("reads", "find"),
    "LawResult": ("name", "title", "estimate", "verdict", "note"),
    "Network": ("layers", "kernels", "kernel_scale", "predicted_cumulants", "activation", "trains"),
    "Optimizer": ("arrays", "update"),
    "Sweep": ("url", "tree", "config", "laws"),
}
LAW = '''
"""Losses shrink."""
import numpy as np
from widesweep import LawResult
from widesweep.analysis.fitting.fit import Estimate

class Shrinks:
    reads = ("residual_norm",)

    def find(self, summary):
        share = float((summary.cells["residual_norm"] > 0).mean())
        return [LawResult("shrinks", "Losses shrink", Estimate(share, 0.0, share, share, 1.0), 1.0, 1.0, 1.0,
                          float("nan"), 1, "consistent", "All of them.")]

class Raises:
    def find(self, summary):
        return summary.no_such_thing

number = 3
'''
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def swept_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a finished sweep, made from Python; never changed."""
    folder = tmp_path_factory.mktemp("swept")
    training = {"steps": 20, "records": 6, "measure": ["loss", "drift"]}
    sections = {**SMALL, "training": training, "initialization": None, "store": str(folder / "py.zarr")}
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        found = ws.run(set={"grid.seed": 2}, **{k: v for k, v in sections.items() if v is not None})
    return Path(found.url)


@pytest.fixture
def swept(swept_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ws.Sweep:
    """A copy of it, and a law beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_lab.py").write_text(LAW)
    return ws.open(shutil.copytree(swept_once, tmp_path / "py.zarr"))


def test_names_and_signatures_stay() -> None:
    """A script that works today works tomorrow: a change here is a change of the interface."""
    assert sorted(ws.__all__) == sorted([*SIGNATURES, *CLASSES])
    for name, signature in SIGNATURES.items():
        found = inspect.signature(getattr(ws, name))
        bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
        assert str(inspect.Signature(bare)) == signature, name
        assert inspect.getdoc(getattr(ws, name))
    for name, members in CLASSES.items():
        own = getattr(ws, name)
        fields = {*dir(own), *own.__annotations__, *getattr(own, "model_fields", ()), "url"}
        assert set(members) <= fields, name
        assert inspect.getdoc(own)
    update = inspect.signature(ws.Optimizer.update).parameters
    assert list(update) == ["self", "parameter", "gradient", "state", "learning_rate", "step"]


def test_importing_it_loads_nothing_heavy() -> None:
    """Neither torch nor ray, dask, xarray or numpy, before a name is used."""
    code = "import sys, widesweep; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "dask", "xarray", "numpy"} & set(done.stdout.split())
    with pytest.raises(AttributeError, match="no attribute 'sweep'"):
        _ = ws.sweep


def test_a_sweep_from_a_file_is_plain_xarray(swept: ws.Sweep, tmp_path: Path) -> None:
    """Its groups are datasets, its config is a mapping, its laws a frame; set replaces a value."""
    assert swept.training.loss.sel(width=8).mean("seed").sizes["depth"] == 2
    assert swept.config["grid"]["seed"] == 2
    assert set(swept.laws.columns) >= {"slope", "slope_low", "slope_high", "verdict"}
    assert "data:image/png;base64," in swept._repr_html_()
    assert ws.open(tmp_path / "py.zarr").training.sizes == swept.training.sizes
    with pytest.raises(AttributeError, match="no group 'trained'"):
        _ = swept.trained


def test_sections_by_name_are_the_file(write_config: Write, tmp_path: Path, in_process: None) -> None:
    """The same config, the same store: nothing is left to do."""
    path = write_config(initialization=None)
    ws.run(path)
    content = yaml.safe_load(path.read_text())
    again = ws.run(**content)
    assert again.url == content["store"]
    assert ws.plan(**content)["cells"] == 24
    with pytest.raises(InputError, match="give a file, or sections"):
        ws.run(path, network={"kind": "two_layer"})
    with pytest.raises(InputError, match=r"grid\.width"):
        ws.plan(**{**content, "grid": {**content["grid"], "width": [0]}})


@pytest.mark.slow
def test_a_law_of_ones_own_is_on_the_page(swept: ws.Sweep, tmp_path: Path) -> None:
    """With its title."""
    found = ws.analyze(swept, laws=["my_lab:Shrinks"])
    assert "Losses shrink" in ws.report(found, tmp_path / "page").read_text()


def test_a_law_of_ones_own_is_fitted_and_stored(swept: ws.Sweep) -> None:
    """An object, or a name on the command line; it is in /laws and in the frame."""
    found = ws.analyze(swept, laws=["my_lab:Shrinks"])
    assert found.laws.loc["shrinks", "slope"] == 1.0
    assert "shrinks" in swept.tree["laws"]["law"].values
    ws.analyze(swept)
    assert "shrinks" not in swept.tree["laws"]["law"].values
    told = CliRunner().invoke(app, ["analyze", swept.url, "--law", "my_lab:Shrinks"])
    assert told.exit_code == 0, told.output
    assert "shrinks" in told.output


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my_lab:Raises", "AttributeError"),
        ("my_lab:number", "TypeError"),
        ("my_lab:nothing", "has no attribute 'nothing'"),
        ("no_lab:law", "ModuleNotFoundError"),
        ("weight", "is not known"),
    ],
)
def test_a_broken_law_ends_the_command_with_2(swept: ws.Sweep, name: str, told: str) -> None:
    """One message with the traceback's last line; nothing is written."""
    found = CliRunner().invoke(app, ["analyze", swept.url, "--law", name])
    assert found.exit_code == 2
    assert told in found.output
    assert "Nothing was written" in found.output
    assert "laws" not in swept.tree.children


def test_a_law_that_raises_is_an_error_in_python(swept: ws.Sweep) -> None:
    def broken(summary: object) -> list[ws.LawResult]:
        raise RuntimeError("not today")

    with pytest.raises(PlugInError, match=r"RuntimeError: not today \(.*test_public.py"):
        ws.analyze(swept, laws=[broken])


def test_a_registered_name_is_one_of_a_config(write_config: Write, tmp_path: Path, in_process: None) -> None:
    """A function of a module gets a name; what workers could not import is refused."""
    ws.register("activation", "our_softplus", "torch.nn.functional:softplus")
    sweep = ws.run(
        write_config(network={"activation": "our_softplus", "weight_variance": 1.5}, initialization=None),
        store=tmp_path / "s.zarr",
    )
    assert (sweep.training.status == 1).all()
    with pytest.raises(InputError, match="of no module that workers could import"):
        ws.register("activation", "mine", lambda z: z)
    with pytest.raises(InputError, match="choose a name that is not built in"):
        ws.register("activation", "relu", "torch:relu")
    with pytest.raises(InputError, match="it is no kind"):
        ws.register("activations", "x", "torch:relu")
