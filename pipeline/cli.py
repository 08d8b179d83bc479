"""The command `widesweep`. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from widesweep.pipeline.commands.analyzing import analyze, report
from widesweep.pipeline.commands.endings import leave_lost_cluster, print_anywhere, report_defect
from widesweep.pipeline.commands.planning import plan, theory
from widesweep.pipeline.commands.publishing import gallery
from widesweep.pipeline.commands.refining import refine
from widesweep.pipeline.commands.running import run, status
from widesweep.pipeline.commands.sharing import export
from widesweep.pipeline.launch import app as submit

COMMANDS = (plan, run, status, theory, analyze, refine, gallery, report, export)

app = typer.Typer(
    name="widesweep",
    help="Test the scaling laws of wide neural networks: plan, run, analyse and report a sweep.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for _command in COMMANDS:
    app.command()(_command)
app.add_typer(submit, name="submit")


def main() -> None:
    """The entry point."""
    print_anywhere()
    try:
        app()
    except SystemExit as error:
        leave_lost_cluster(error)
    except Exception as error:
        report_defect(error)


def _version(wanted: bool) -> None:
    if wanted:
        from widesweep import source

        commit = f", commit {source.commit()}" if source.commit() else ""
        print(f"widesweep {source.version()}, source {source.digest()[:8]}{commit}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print version, digest of the source and commit.",
        ),
    ] = False,
) -> None:
    pass
