"""Running a sweep, and showing how far it is."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from widesweep.pipeline.commands.arguments import Address, Config, Json, Settings, StoreUrl
from widesweep.pipeline.commands.checked_store import damage_told
from widesweep.pipeline.commands.endings import handle_errors, print_json
from widesweep.pipeline.config.store_path import expanded

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
) -> None:
    """Show how far a sweep is; works while it runs."""
    from widesweep.pipeline.store import status as statuses

    store = expanded(store)
    with damage_told(store):
        state = statuses.status(store)
        while watch and state["running"]:
            print(statuses.lines(state), file=sys.stderr if json else sys.stdout, flush=True)
            time.sleep(2.0)
            state = statuses.status(store)
    print_json(state) if json else print(statuses.lines(state))
