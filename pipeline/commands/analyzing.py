"""Laws of a finished sweep: fitted and stored, or shown on one page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from widesweep.pipeline.commands.arguments import Json, OwnLaws, Quiet, StoreUrl
from widesweep.pipeline.commands.checked_store import check_store, damage_told
from widesweep.pipeline.commands.endings import handle_errors, print_json, say
from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.errors import InputError


@handle_errors
def analyze(
    store: StoreUrl,
    law: OwnLaws = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler", metavar="DASK", help="A Dask scheduler, such as tcp://host:8786; default: threads."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Fit the laws and write them into the store; a store that is read-only is analysed all the same."""
    from widesweep import analysis
    from widesweep.pipeline.execution.display import Display
    from widesweep.pipeline.store import claim

    store = expanded(store)
    check_store(store)
    refused: analysis.NotWritable | None = None
    stage = Display(quiet=quiet).stage(f"{store}: fitting the laws")
    with stage, damage_told(store), _own_laws(law) as laws:
        found = analysis.examine(store, scheduler, laws)
        try:
            with claim.brief(store) as alone:
                analysis.write(store, found, consolidate=alone)
        except analysis.NotWritable as error:
            refused = error
    content = found.as_json() | {"stored": refused is None}
    if json:
        print_json(content)
    elif not quiet:
        say(analysis.table(content["laws"]))
    if refused is not None:
        say(str(refused), to_stderr=True)
    return 0 if refused is None or refused.read_only else 1


@handle_errors
def report(
    store: StoreUrl,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Folder of the report; default: beside the store."),
    ] = None,
    law: OwnLaws = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Write it anew as cells arrive, until the sweep is finished or stops."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page about a sweep, and each figure as PNG and PDF."""
    from widesweep.analysis.report import beside_store
    from widesweep.analysis.report import page as reports
    from widesweep.pipeline.execution import watch as watching
    from widesweep.pipeline.execution.display import Display

    store = expanded(store)
    if watch:
        with _folder_told(output), damage_told(store):
            watching.watch(store, output)
    check_store(store)
    stage = Display(quiet=quiet).stage(f"{store}: fitting the laws and drawing their figures")
    with _folder_told(output), damage_told(store), _own_laws(law) as laws:
        with stage:
            beside = output is None and "://" in store
            page = beside_store.write(store, laws) if beside else reports.write(store, output, laws=laws)
        print(page)


@contextlib.contextmanager
def _own_laws(names: list[str] | None) -> Iterator[list[Any]]:
    """Laws that the reader names, from the working folder first; what is wrong with one, told by its name."""
    if not names:
        yield []
        return
    from widesweep.analysis.laws import OWN_LAWS
    from widesweep.pipeline.config import plug_ins
    from widesweep.theory.registry import PlugInError

    try:
        yield [plug_ins.imported(OWN_LAWS, name, Path.cwd()) for name in names]
    except (ValueError, PlugInError) as error:
        wanted = f"it is a law in a module of {Path.cwd()} or of an installed package"
        raise InputError(f"--law {', '.join(names)}", str(error), wanted, "Nothing was written.") from None


@contextlib.contextmanager
def _folder_told(output: Path | None) -> Iterator[None]:
    """A folder that cannot be written, told as the option that names it."""
    try:
        yield
    except OSError as error:
        wanted = "a report needs a folder to write"
        where = "the report" if output is None else f"--output {output}"
        raise InputError(where, str(error), wanted, "No report.") from None
