"""Launchers: the same sweep on a batch system. A new one is a file here and its name in `LAUNCHERS`."""

from __future__ import annotations

from collections.abc import Callable

import typer

from widesweep.pipeline.commands.endings import handle_errors
from widesweep.pipeline.launch.kubernetes import submit as kubernetes
from widesweep.pipeline.launch.ray_jobs import submit as ray
from widesweep.pipeline.launch.slurm import submit as slurm

LAUNCHERS: dict[str, Callable[..., int | None]] = {"slurm": slurm, "ray": ray, "kubernetes": kubernetes}

app = typer.Typer(help="Run, analyse and report a sweep on a cluster.", no_args_is_help=True)
for _name, _submit in LAUNCHERS.items():
    app.command(_name)(handle_errors(_submit))
