"""The command `widesweep`. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from widesweep.pipeline.commands.analyzing import analyze, report
from widesweep.pipeline.commands.configs import config, init
from widesweep.pipeline.commands.endings import leave, print_anywhere, report_defect, skip_teardown
from widesweep.pipeline.commands.examples import SHORT, epilogue
from widesweep.pipeline.commands.planning import plan, theory
from widesweep.pipeline.commands.publishing import gallery
from widesweep.pipeline.commands.refining import refine
from widesweep.pipeline.commands.running import run, status
from widesweep.pipeline.commands.sharing import compare, export, listed
from widesweep.pipeline.launch import app as submit

COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "config": config,
    "plan": plan,
    "theory": theory,
    "run": run,
    "status": status,
    "list": listed,
    "analyze": analyze,
    "report": report,
    "compare": compare,
    "export": export,
    "refine": refine,
    "gallery": gallery,
}

app = typer.Typer(
    name="widesweep",
    help="Test the scaling laws of wide neural networks: plan, run, analyse and report a sweep.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for _name, _command in COMMANDS.items():
    app.command(_name, short_help=SHORT[_name], epilog=epilogue(_name))(_command)
app.add_typer(submit, name="submit")


def main() -> None:
    """The entry point."""
    skip_teardown()
    print_anywhere()
    try:
        app()
    except SystemExit as error:
        leave(error)
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
