"""Things of one's own: imported beside the config, kept by digest, the same on every worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from widesweep import analysis
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store.reader import Store

OWN_TANH = "import torch\nfrom my_scales import ONE\n\ndef own(z):\n    return torch.tanh(ONE * z)\n"
GRID = {"width": [8], "depth": [1, 2], "seed": 2, "learning_rate": [0.5]}
Write = Callable[..., Path]


@pytest.fixture
def lab(tmp_path: Path, write_config: Write) -> Callable[..., Path]:
    """Writes my_lab.py, the module that it imports, and a config that names `my_lab:own`."""

    def write(source: str = OWN_TANH, name: str = "my_lab:own", **sections: Any) -> Path:
        (tmp_path / "my_lab.py").write_text(source)
        (tmp_path / "my_scales.py").write_text("ONE = 1.0\n")
        network = {"activation": name, "weight_variance": 1.5}
        return write_config(network=network, **{"grid": GRID, "initialization": None, **sections})

    return write


def measured(url: str, variable: str, group: str = "training") -> np.ndarray:
    with xr.open_datatree(url, engine="zarr") as tree:
        return np.asarray(tree[f"{group}/{variable}"].values)


def test_an_activation_of_ones_own_is_the_built_in_one(
    lab: Callable[..., Path], write_config: Write, tmp_path: Path, in_process: None
) -> None:
    """A tanh from a file trains like the built-in one, to 1e-10 in losses, kernels and theory."""
    run(configs.load(lab()), str(tmp_path / "own.zarr"))
    built_in = write_config(
        network={"activation": "tanh", "weight_variance": 1.5}, grid=GRID, initialization=None
    )
    run(configs.load(built_in), str(tmp_path / "tanh.zarr"))
    for variable in ("loss", "ntk_min_eigenvalue", "layer_relative_change"):
        own, theirs = (measured(str(tmp_path / f"{n}.zarr"), variable) for n in ("own", "tanh"))
        np.testing.assert_allclose(own, theirs, rtol=1e-10, equal_nan=True)
        assert np.isfinite(own).any()


def test_any_function_of_torch_is_an_activation(lab: Callable[..., Path], tmp_path: Path) -> None:
    """`torch.nn.functional:silu` needs no file; random networks are drawn with it as well."""
    path = lab(name="torch.nn.functional:silu", initialization={"draws": 2000, "orders": [4]})
    store = run(configs.load(path), str(tmp_path / "silu.zarr"))
    (kept,) = json.loads(store.attributes["plug_ins"])
    assert kept["version"].startswith("2.")
    assert len(kept["digest"]) == 64
    assert np.isfinite(measured(store.url, "loss")).all()


BROKEN = {
    "no such module": ("my_lab:own", None, "ModuleNotFoundError: No module named"),
    "no such name": ("my_lab:other", OWN_TANH, "has no attribute 'other'"),
    "a defect at import": ("my_lab:own", "x = 1\ny = x / 0\n", "ZeroDivisionError: division by zero"),
    "a defect of syntax": ("my_lab:own", "def own(z:\n", "SyntaxError"),
    "an exit": ("my_lab:own", "raise SystemExit(3)\n", "SystemExit: 3"),
    "a number": ("my_lab:own", "own = 3\n", "TypeError"),
    "not elementwise": ("my_lab:own", "def own(z):\n    return z - z.mean()\n", "single numbers"),
    "infinite": ("my_lab:own", "import torch\nown = torch.log\n", "a finite number"),
    "a wrong derivative": (
        "my_lab:own",
        "import torch\nimport numpy as np\n"
        "from widesweep.workers.networks.custom_activation import activation\n"
        "own = activation(torch.tanh, derivative=np.cos)\n",
        "the derivative of tanh differs",
    ),
}


@pytest.mark.parametrize(("name", "source", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plug_in_is_refused_before_anything_is_written(
    lab: Callable[..., Path], tmp_path: Path, name: str, source: str | None, told: str
) -> None:
    """One message: the key, the traceback's last line, the file and the line; no store."""
    path = lab(source or "", name=name)
    if source is None:
        (tmp_path / "my_lab.py").unlink()
    with pytest.raises(InputError) as caught:
        configs.load(path)
    assert told in str(caught.value)
    assert "network.activation" in str(caught.value)
    if source is not None and source.startswith("x ="):
        assert f"{tmp_path / 'my_lab.py'}, line 2" in str(caught.value)
    assert not list(tmp_path.glob("*.zarr"))


def test_a_default_weight_variance_is_resolved_once_the_plug_in_is_there(
    lab: Callable[..., Path], write_config: Write, tmp_path: Path
) -> None:
    """It is the built-in one's, and the config holds the number; where there is none, it is asked for."""
    (tmp_path / "my_lab.py").write_text(
        OWN_TANH + "\ndef steep(z):\n    return torch.exp(z.clamp(max=3.0)) + 9.0\n"
    )
    (tmp_path / "my_scales.py").write_text("ONE = 1.0\n")
    own, tanh = (
        configs.load(write_config(network={"activation": name}, initialization=None)).config.network
        for name in ("my_lab:own", "tanh")
    )
    assert own.weight_variance == pytest.approx(tanh.weight_variance, abs=1e-12)
    with pytest.raises(InputError, match=r"network\.weight_variance"):
        configs.load(write_config(network={"activation": "my_lab:steep"}, initialization=None))


def test_an_unknown_name_gets_the_nearest(lab: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="'tanhh' is not known; the nearest is 'tanh'"):
        configs.load(lab(name="tanhh"))


def test_other_code_is_refused_and_the_same_goes_on(
    lab: Callable[..., Path], tmp_path: Path, in_process: None
) -> None:
    """A changed module, or one that it imports, is told by name; put back, the sweep grows."""
    url = str(tmp_path / "small.zarr")
    run(configs.load(lab()), url)
    more = {**GRID, "seed": 3}
    (tmp_path / "my_scales.py").write_text("ONE = 1.0\n")
    changed = lab(OWN_TANH + "# changed\n", grid=more)
    with pytest.raises(InputError, match=r"my_lab:own is .* its code has changed"):
        run(configs.load(changed), url)
    path = lab(grid=more)
    (tmp_path / "my_scales.py").write_text("ONE = 2.0\n")
    with pytest.raises(InputError, match="its code has changed"):
        run(configs.load(path), url)
    (tmp_path / "my_scales.py").write_text("ONE = 1.0\n")
    run(configs.load(path), url)
    assert measured(url, "loss").shape[2] == 3


def test_what_has_been_edited_is_imported_anew(
    lab: Callable[..., Path], tmp_path: Path, in_process: None
) -> None:
    """In one process, as in a notebook, the module that a run takes is the one beside the config now."""
    run(configs.load(lab()), str(tmp_path / "one.zarr"))
    path = lab()
    (tmp_path / "my_scales.py").write_text("ONE = 0.5\n")
    run(configs.load(path), str(tmp_path / "half.zarr"))
    one, half = (measured(str(tmp_path / f"{name}.zarr"), "loss") for name in ("one", "half"))
    assert not np.allclose(one, half)


@pytest.mark.usefixtures("in_process")
def test_reading_a_store_imports_nothing_of_its_author(lab: Callable[..., Path], tmp_path: Path) -> None:
    """Status, analysis and plain reading work where the plug-in is gone."""
    url = str(tmp_path / "small.zarr")
    run(
        configs.load(
            lab(initialization={"draws": 2000, "orders": [4], "measure": ["cumulants", "kernel_depth"]})
        ),
        url,
    )
    for name in ("my_lab", "my_scales"):
        (tmp_path / f"{name}.py").unlink()
        sys.modules.pop(name, None)
    assert Store(url).config.network.activation == "my_lab:own"
    assert analysis.analyze(url)["laws"]
    assert "my_lab" not in sys.modules


def test_one_that_raises_in_training_fails_its_cells(
    lab: Callable[..., Path], tmp_path: Path, in_process: None
) -> None:
    """The sweep ends, and the store has the reason."""
    source = (
        "import torch\n\ndef own(z):\n    if z.ndim == 3:\n"  # of a batch of networks
        "        raise RuntimeError('no room')\n    return torch.tanh(z)\n"
    )
    url = str(tmp_path / "small.zarr")
    run(configs.load(lab(source)), url)
    assert {str(reason) for reason in measured(url, "training", "failures").ravel()} == {
        "RuntimeError: no room"
    }


@pytest.mark.slow
def test_processes_of_this_machine_import_it_too(
    lab: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worker processes of this machine import the same file."""
    from widesweep.pipeline.plan import scheduling

    monkeypatch.setattr(scheduling, "choice", lambda plan, address=None: "local")
    monkeypatch.setattr(scheduling, "processes", lambda plan: 1)
    random = {"training": None, "grid": {"width": [8], "depth": [1]}}  # compiles nothing
    store = run(
        configs.load(lab(initialization={"draws": 1000, "orders": [4]}, **random)), str(tmp_path / "a")
    )
    assert store.cell_counts() == {"done": 1, "diverged": 0, "failed": 0, "pending": 0}


def test_an_optimiser_of_ones_own_trains_and_its_options_are_checked(
    lab: Callable[..., Path], tmp_path: Path, in_process: None
) -> None:
    """A class beside the config: its options are part of the sweep, what it does not take is refused."""
    source = (
        OWN_TANH + "\nclass Half:\n    arrays = 0\n    def __init__(self, share=0.5):\n"
        "        self.share = share\n    def update(self, parameter, gradient, state, learning_rate, step):\n"
        "        parameter -= self.share * learning_rate * gradient\n"
    )
    half = {"optimizer": "my_lab:Half", "options": {"share": 0.5}}
    url = str(tmp_path / "half.zarr")
    store = run(configs.load(lab(source, training=half)), url)
    assert {each["kind"] for each in json.loads(store.attributes["plug_ins"])} == {"activation", "optimizer"}
    run(configs.load(lab(source, training={"optimizer": "gd"}, grid={**GRID, "learning_rate": [0.25]})),
        str(tmp_path / "gd.zarr"))  # fmt: skip
    np.testing.assert_allclose(measured(url, "loss"), measured(str(tmp_path / "gd.zarr"), "loss"), rtol=1e-10)
    for options, told in (({"part": 0.5}, "unexpected keyword"), ({"share": 0.7}, "another sweep")):
        with pytest.raises(InputError, match=told):
            run(configs.load(lab(source, training={**half, "options": options})), url)


@pytest.mark.slow
def test_ray_workers_import_what_travels_to_them(lab: Callable[..., Path], tmp_path: Path) -> None:
    """On Ray files come by the runtime environment: workers see a folder that is not there."""
    sweep = configs.load(lab())
    (tmp_path / "away").mkdir()
    url = str(tmp_path / "small.zarr")
    run(sweep, url, scheduler="ray")
    assert np.isfinite(measured(url, "loss")).all()
