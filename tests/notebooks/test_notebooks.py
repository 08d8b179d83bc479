"""The notebooks run from top to bottom on a store that was made just now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()"]
SMALLER = ["grid.width=[16,32,64]", "grid.seed=3", "training.steps=300", "initialization.draws=2000"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's sweep, small, run and analysed by the command."""
    store = tmp_path_factory.mktemp("sweep") / "demo.zarr"
    settings = [word for setting in SMALLER for word in ("--set", setting)]
    subprocess.run(
        [*COMMAND, "run", "configs/demo.yaml", "--store", str(store), *settings], cwd=ROOT, check=True
    )
    subprocess.run([*COMMAND, "analyze", str(store)], cwd=ROOT, check=True)
    return store


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of jupyter's own event loop and sockets
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs without an error, and the saved copy holds outputs for readers who run nothing."""
    monkeypatch.setenv("WIDESWEEP_STORE", str(store))
    notebook = nbformat.read(path, as_version=4)
    assert any(cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
