"""Every command with its arguments and options, read off the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from docs.generate.markdown import table
from widesweep.pipeline.cli import app

HEADER = ("argument or option", "meaning")


def page() -> str:
    """A heading for each command, those of `submit` included.

    >>> "## `widesweep run`" in page()
    True
    """
    return "\n\n".join(_section(name, command) for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its full name."""
    yield from _below("widesweep", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, each in command.commands.items():
        yield from _below(f"{name} {word}", each)


def _section(name: str, command: Any) -> str:
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    examples = (command.epilog or "").partition("Examples:\n")[2]
    lines = "\n".join(line.strip() for line in examples.splitlines())
    shown = f"\n\n```bash\n{lines}\n```" if lines else ""
    return f"## `{name}`\n\n{command.help}{shown}\n\n{table(HEADER, rows)}"


def _row(parameter: Any) -> tuple[str, str]:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`", parameter.help
    takes = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
    default = parameter.default
    said = f" Default: {default}." if default and isinstance(default, int | str) else ""
    return f"`{parameter.opts[0]}{takes}`", f"{parameter.help}{'' if parameter.is_flag else said}"
