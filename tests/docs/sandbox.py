"""A folder in which a page's blocks run as a reader would run them, on small sweeps."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.docs.blocks import ROOT, Block, changed

ROOMS = ("theory", "workers", "analysis", "pipeline")
LONGEST_S = 600


class Sandbox:
    """A folder with the project's configs made small, its Makefile, and its environment."""

    def __init__(self, folder: Path) -> None:
        """Fills an empty folder."""
        self.folder = folder
        (folder / "configs").mkdir()
        for config in (ROOT / "configs").glob("*.yaml"):
            content = smaller(yaml.safe_load(config.read_text()))
            (folder / "configs" / config.name).write_text(yaml.safe_dump(content))
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy2(ROOT / name, folder)
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        (folder / ".venv" / ".ready").touch()  # nothing is to be set up
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "MPLBACKEND": "Agg",
        }

    def do(self, block: Block) -> None:
        """Writes, changes or runs, as the block says; raises where that fails."""
        if block.word == "elsewhere" or block.language in ("text", "{toctree}"):
            return
        if block.word == "file":
            self._file(block.detail).write_text(block.text)
        elif block.language == "diff":
            header, _, difference = block.text.partition("\n")
            file = self._file(header.removeprefix("--- "))
            file.write_text(changed(file.read_text(), difference))
        elif block.language == "bash":
            self._run(["bash", "-euo", "pipefail", "-c", block.text], block)
        elif block.language == "python":
            self._run([sys.executable, "-W", "error", "-c", block.text], block)

    def _file(self, name: str) -> Path:
        """A file of the folder; the package is copied when a page first changes something in it."""
        if name.partition("/")[0] in ROOMS and not (self.folder / "widesweep").exists():
            for copied in ("widesweep", *ROOMS):
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / copied, self.folder / copied, symlinks=True, ignore=ignored)
        return self.folder / name

    def _run(self, command: Sequence[str], block: Block) -> None:
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=LONGEST_S)
        finally:
            if process.poll() is None:  # nothing that a block started outlives it
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
        assert process.returncode == 0, f"{block} ended with {process.returncode}:\n{said}"


def smaller(config: dict[str, Any]) -> dict[str, Any]:
    """The same sweep on few points, few steps and widths up to 256; as many seeds, which pages set.

    >>> smaller({"grid": {"width": [64, 1024], "depth": [1, 5], "seed": 8}})["grid"]
    {'width': [64], 'depth': [1, 5], 'seed': 8}
    """
    grid = config["grid"]
    grid["width"] = [width for width in grid["width"] if width <= 256][-4:]
    grid["depth"] = grid["depth"][:2]
    if "training" in config:
        training = config["training"]
        training |= {"steps": min(training["steps"], 40), "records": 8}
        config["data"]["samples"] = min(config["data"].get("samples", 8), 8)
    if "initialization" in config:
        config["initialization"]["draws"] = 2000
    return config
