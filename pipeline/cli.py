"""The command `widesweep`. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from widesweep.pipeline.commands import (
    fail,
    handle_errors,
    leave_lost_cluster,
    print_anywhere,
    print_json,
    report_defect,
)
from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.errors import DamagedError, InputError
from widesweep.pipeline.launch import app as submit

app = typer.Typer(
    name="widesweep",
    help="Test the scaling laws of wide neural networks: plan, run, analyse and report a sweep.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(submit, name="submit")

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A sweep's config, a YAML file.", show_default=False)
]
StoreUrl = Annotated[
    str,
    typer.Argument(metavar="STORE", help="A sweep's store: a path or a URL.", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, such as grid.seed=4. May be repeated."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="RAY",
        envvar="RAY_ADDRESS",
        callback=lambda address: None if address == "local" else address,
        help="A Ray cluster; default: this machine, which `local` means too.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]


RETRY = "Once the cause is gone, the same command with --retry-failed computes them again."


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


@app.command()
@handle_errors
def plan(
    config: Config,
    settings: Settings = None,
    gpus: Annotated[
        int, typer.Option("--gpus", min=0, help="Also forecast wall time and idle share on so many GPUs.")
    ] = 0,
    json: Json = False,
) -> None:
    """Forecast cells, blocks, FLOPs, memory, bytes and wall time. Runs nothing."""
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.plan import data as data_source
    from widesweep.pipeline.plan import forecast
    from widesweep.pipeline.plan.blocks import check_memory
    from widesweep.pipeline.predict import check

    sweep = configs.load(config, settings or ())
    _warn(check.check(sweep, data_source.load_data(sweep)))
    compute = sweep.config.compute
    made = data_source.make_plan(sweep, compute.cores)
    check_memory(made, sweep.file, compute.memory_bytes)
    found = forecast.forecast(made, data_source.make_plan(sweep, compute.cores, gpus=gpus) if gpus else None)
    places = data_source.places(sweep)
    if json:
        print_json({**found, **places})
        return
    print(
        forecast.lines(found), *(f"  {name + ' at':<12}{place}" for name, place in places.items()), sep="\n"
    )


@app.command()
@handle_errors
def run(
    config: Config,
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="Where results go; default: the config's.")
    ] = None,
    address: Address = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ray|local",
            help="Ray, or this process and a few of its own; default: local if forecast below 30 s.",
        ),
    ] = None,
    settings: Settings = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute the cells again that failed before.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Find damaged chunks and compute their blocks again.")
    ] = False,
    json: Json = False,
) -> int:
    """Run a sweep, or resume it: the same command again computes what is missing."""
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.execution.driver import run as run_sweep
    from widesweep.pipeline.plan import scheduling
    from widesweep.pipeline.store import status as statuses

    sweep = configs.load(config, settings or ())
    url = expanded(store) if store else sweep.config.store
    chosen = scheduling.named(scheduler)
    run_sweep(sweep, url, address, scheduler=chosen, retry_failed=retry_failed, repair=repair)
    state = statuses.status(url)
    print_json({**state, "store": url}) if json else print(f"{statuses.lines(state)}\n  store   {url}")
    if _failed(state):
        print(f"{url}: cells have failed. {RETRY}", file=sys.stderr, flush=True)
    return int(_failed(state))


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        print(warning, file=sys.stderr, flush=True)


def _failed(state: dict[str, Any]) -> bool:
    return bool(state["cells"]["failed"] or state.get("initialization", {}).get("failed"))


@app.command()
@handle_errors
def status(
    store: StoreUrl,
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing until the sweep is finished or stops.")
    ] = False,
) -> None:
    """Show how far a sweep is; works while it runs."""
    from widesweep.pipeline.store import status as statuses

    store = expanded(store)
    with _damage_told(store):
        state = statuses.status(store)
        while watch and state["running"]:
            print(statuses.lines(state), file=sys.stderr if json else sys.stdout, flush=True)
            time.sleep(2.0)
            state = statuses.status(store)
    print_json(state) if json else print(statuses.lines(state))


@app.command()
@handle_errors
def theory(config: Config, settings: Settings = None, json: Json = False) -> None:
    """Print what theory predicts for a config. Trains nothing."""
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.plan import data as data_source
    from widesweep.pipeline.predict import check, tables

    sweep = configs.load(config, settings or ())
    if not sweep.config.network.has_limit:
        reason, wanted = "a module has no kernel of infinite width", "theory speaks of the built-in kinds"
        raise InputError(f"{sweep.file}, network.kind", reason, wanted)
    data = data_source.load_data(sweep)
    _warn(check.check(sweep, data))
    with check.refused_by_theory(sweep):
        found = tables.predictions(sweep.config, data)
    print_json(found) if json else print(tables.text(sweep.config, found))


OwnLaws = Annotated[
    list[str] | None,
    typer.Option(
        "--law", metavar="MODULE:NAME", help="A law of your own, of a module here or installed. Repeatable."
    ),
]


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


@app.command()
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
) -> int:
    """Fit the laws and write them into the store; a store that is read-only is analysed all the same."""
    from widesweep import analysis

    store = expanded(store)
    _check_store(store)
    refused: analysis.NotWritable | None = None
    with _damage_told(store), _own_laws(law) as laws:
        found = analysis.examine(store, scheduler, laws)
        try:
            analysis.write(store, found)
        except analysis.NotWritable as error:
            refused = error
    content = found.as_json() | {"stored": refused is None}
    print_json(content) if json else print(analysis.table(content["laws"]))
    if refused is not None:
        print(refused, file=sys.stderr, flush=True)
    return 0 if refused is None or refused.read_only else 1


@app.command()
@handle_errors
def refine(
    store: StoreUrl,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law", metavar="NAME", help="Tighten this law; may be repeated. Default: all that can be."
        ),
    ] = None,
    interval: Annotated[
        float | None, typer.Option("--interval", metavar="WIDTH", help="Length wanted of each 95 % interval.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="DURATION", help="Core time to spend, such as 30m or 2h."),
    ] = None,
    address: Address = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the next round: cells, cost, intervals, reasons. Runs nothing."),
    ] = False,
    json: Json = False,
) -> int:
    """Add the cells that shrink a law's interval fastest, in rounds; the same command goes on."""
    from widesweep.pipeline import refine as refining
    from widesweep.pipeline.refine import goal
    from widesweep.pipeline.store import status as statuses

    store = expanded(store)
    _check_store(store)
    wanted = goal.parse(law, interval, budget, dry_run=dry_run)
    with _damage_told(store):
        found = refining.refine(store, wanted, address, dry_run=dry_run)
    print_json(found) if json else print(refining.text(found))
    return int(not dry_run and _failed(statuses.status(store)))


@app.command()
@handle_errors
def gallery(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The result to regenerate.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Regenerate every result.")] = False,
    small: Annotated[bool, typer.Option("--small", help="Smaller sweeps, for a quick look.")] = False,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder of the stores and the pages.")
    ] = Path("results/gallery"),
    json: Json = False,
) -> int:
    """Regenerate a published result with its interval, its figure and its failing control, or list them."""
    from widesweep.pipeline.gallery.catalogue import ENTRIES, named

    if name is None and not everything:
        listed = {entry.name: entry.title for entry in ENTRIES}
        print_json(listed) if json else print(*(f"{key:<22} {listed[key]}" for key in listed), sep="\n")
        return 0
    from widesweep.pipeline.gallery import page
    from widesweep.pipeline.gallery.reproduction import reproduce

    found = []
    for entry in ENTRIES if name is None else [named(name)]:
        found.append(reproduce(entry, output, entry.small if small else ()))
        if not json:
            print(found[-1].text(), flush=True)
    path = page.write(found, output)
    print_json({one.entry.name: one.json_object() for one in found}) if json else print(path)
    return int(not all(one.as_published for one in found))


@app.command()
@handle_errors
def report(
    store: StoreUrl,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Folder of the report.")
    ] = None,
    law: OwnLaws = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Write it anew as cells arrive, until the sweep is finished or stops."),
    ] = False,
) -> None:
    """Write one HTML page about a sweep, and each figure as PNG and PDF."""
    from widesweep.analysis.report import page as reports
    from widesweep.pipeline.execution import watch as watching

    store = expanded(store)
    if watch:
        with _folder_told(output), _damage_told(store):
            watching.watch(store, output)
    _check_store(store)
    with _folder_told(output), _damage_told(store), _own_laws(law) as laws:
        print(reports.write(store, output, laws=laws))


@contextlib.contextmanager
def _folder_told(output: Path | None) -> Iterator[None]:
    """A folder that cannot be written, told as the option that names it."""
    try:
        yield
    except OSError as error:
        wanted = "a report needs a folder to write"
        raise InputError(f"--output {output}", str(error), wanted, "No report.") from None


@contextlib.contextmanager
def _damage_told(url: str) -> Iterator[None]:
    """What a damaged chunk, or an array's damaged metadata, makes readers raise, told by name."""
    try:
        yield
    except Exception as error:
        from widesweep.analysis.errors import NotASweep
        from widesweep.pipeline.store import repair as damage
        from widesweep.pipeline.store.reader import Store

        if hasattr(error, "exit_code") and not isinstance(error, NotASweep):  # one of ours, or of typer's
            raise
        absent = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        if isinstance(error, OSError) and not absent:
            raise
        Store(url).check_arrays()
        if not (damaged := damage.find(url)):
            raise
        raise DamagedError(url, damaged) from None


def _check_store(url: str) -> None:
    """The same refusal of a wrong store as everywhere, before anything reads it."""
    from widesweep.pipeline.store import objects
    from widesweep.pipeline.store.reader import Store

    if not Store(url).finished_blocks().any():
        fail(f"{url}: no cell is finished yet. Let `widesweep run` finish a block first.", 2)
    objects.lend_patience(url)
