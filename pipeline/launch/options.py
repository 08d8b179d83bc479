"""Options that launchers share, so that one word means the same on every cluster."""

from __future__ import annotations

from typing import Annotated

import typer

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
