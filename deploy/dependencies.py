"""Prints the dependencies that a pyproject.toml names, one a line: `dependencies.py pyproject.toml`."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

print(*tomllib.loads(Path(sys.argv[1]).read_text())["project"]["dependencies"], sep="\n")
