"""Running a sweep, and showing how far it is."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, TextIO

import typer

from widesweep.pipeline.commands.arguments import Address, Config, Json, Quiet, Settings, StoreUrl, Verbose
from widesweep.pipeline.commands.checked_store import damage_told
from widesweep.pipeline.commands.endings import handle_errors, print_json, say
from widesweep.pipeline.config.store_path import expanded

WATCH_S = 2.0
RETRY = "Once the cause is gone, the same command with --retry-failed computes them again."


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
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Run a sweep, or resume it: the same command again computes what is missing."""
    from widesweep.pipeline.execution.display import Display

    display = Display(quiet=quiet, verbose=verbose)
    with display.stage(f"{config}: reading, and importing libraries"):
        from widesweep.pipeline.config import sweep_config as configs
        from widesweep.pipeline.execution.driver import run as run_sweep
        from widesweep.pipeline.plan import scheduling
        from widesweep.pipeline.store import status as statuses

        sweep = configs.load(config, settings or ())
    url = expanded(store) if store else sweep.config.store
    chosen = scheduling.named(scheduler)
    run_sweep(
        sweep, url, address, scheduler=chosen, retry_failed=retry_failed, repair=repair, display=display
    )
    state = statuses.status(url)
    if json:
        print_json({**state, "store": url})
    elif not quiet:
        say(f"{statuses.lines(state)}\n  store   {url}")
    if cells_failed(state):
        print(f"{url}: cells have failed. {RETRY}", file=sys.stderr, flush=True)
    return int(cells_failed(state))


def cells_failed(state: dict[str, Any]) -> bool:
    """Whether the state of a sweep counts a failed cell, trained or drawn."""
    return bool(state["cells"]["failed"] or state.get("initialization", {}).get("failed"))


@handle_errors
def status(
    store: StoreUrl,
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing until the sweep is finished or stops.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also read the whole store and name what is not as written.")
    ] = False,
) -> int:
    """Show how far a sweep is; works while it runs."""
    from widesweep.pipeline.store import status as statuses
    from widesweep.pipeline.store import verify as verifying

    store = expanded(store)
    with damage_told(store):
        state = statuses.status(store)
        if watch and state["running"]:
            state = _watched(store, state, sys.stderr if json else sys.stdout)
        damages = verifying.find(store) if verify else []
    if verify:
        state["damaged"] = {each.key: each.found for each in damages}
    print_json(state) if json else say(statuses.lines(state))
    return int(bool(damages))


def _watched(store: str, state: dict[str, Any], stream: TextIO) -> dict[str, Any]:
    """Shows the status until the sweep ends, drawn over on a terminal; the last one."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from widesweep.pipeline.store import status as statuses

    console = Console(file=stream, soft_wrap=True)
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while state["running"]:
            text = statuses.lines(state)
            if console.is_terminal:
                live.update(Text(text), refresh=True)
            else:
                print(text, file=stream, flush=True)
            time.sleep(WATCH_S)
            state = statuses.status(store)
    return state
