"""Options that launchers share, so that one word means the same on every cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A sweep's config, a YAML file.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, such as grid.seed=4. May be repeated."),
]
Store = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="Where results go; default: the config's.")
]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines.")]
Gpus = Annotated[int, typer.Option("--gpus-per-node", min=0, help="GPUs of each machine.")]
Time = Annotated[
    str | None,
    typer.Option("--time", metavar="TIME", help="Time limit: minutes, or [days-]hours:minutes:seconds."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be submitted, and submit nothing.")]
