"""The notebooks run from top to bottom, and their saved copies are fit to be read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COMMAND = [sys.executable, "-m", "widesweep"]
SMALLER = ["grid.width=[16,32,64]", "grid.seed=3", "training.steps=300", "initialization.draws=2000"]
MACHINE = re.compile(r"/(work|tmp|root|home|usr|opt|Users)/|pip install|site-packages")


def name_of(path: Path) -> str:
    return path.stem


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    return [each for cell in nbformat.read(path, as_version=4).cells for each in cell.get("outputs", [])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_saved_notebook_is_fit_to_be_read(path: Path) -> None:
    """It opens with a title, has figures, and holds no error, no warning and no path of the machine."""
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].source.startswith("# ")
    found = outputs(path)
    assert any("image/png" in each.get("data", {}) for each in found)
    for each in found:
        assert each.output_type != "error"
        assert each.get("name") != "stderr", each.get("text")
        text = "".join(
            v for k, v in each.get("data", {"text": each.get("text", "")}).items() if "image" not in k
        )
        assert not MACHINE.search(text), MACHINE.search(text)
        assert "Warning" not in text
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.execution_count, "a cell that was not run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of notebooks and configs side by side, so that results go nowhere else."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def demo(folder: Path) -> Path:
    """The demo's sweep, small, run and analysed by the command."""
    store = folder / "results" / "demo.zarr"
    settings = [word for setting in SMALLER for word in ("--set", setting)]
    subprocess.run(
        [*COMMAND, "run", "configs/demo.yaml", "--store", str(store), *settings], cwd=ROOT, check=True
    )
    subprocess.run([*COMMAND, "analyze", str(store)], cwd=ROOT, check=True)
    return store


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")  # of jupyter's own event loop and sockets
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_runs_from_top_to_bottom(
    path: Path, folder: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell runs without an error; each but the tour makes its own sweep by the command."""
    monkeypatch.setenv("WIDESWEEP_STORE", str(demo))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    notebook = nbformat.read(folder / "notebooks" / path.name, as_version=4)
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    NotebookClient(notebook, timeout=600, resources=resources).execute()
