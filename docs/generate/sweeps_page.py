"""The sweeps that ship with the project: each file of `configs/`, its own comment first."""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def page() -> str:
    """A heading for each config, what its opening comment says, and the whole file.

    >>> "## `demo.yaml`" in page()
    True
    """
    first = CONFIGS / "demo.yaml"
    files = [first, *(file for file in sorted(CONFIGS.glob("*.yaml")) if file != first)]
    return "\n\n".join(_section(file) for file in files)


def _section(file: Path) -> str:
    lines = file.read_text().splitlines()
    length = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    about = " ".join(line.lstrip("# ") for line in lines[:length])
    content = "\n".join(lines[length:])
    return f"## `{file.name}`\n\n{about}\n\n```yaml\n{content}\n```"
