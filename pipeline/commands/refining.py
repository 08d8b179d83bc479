"""Growing a sweep where a law learns most."""

from __future__ import annotations

from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Address, Json, StoreUrl
from widesweep.pipeline.commands.checked_store import check_store, damage_told
from widesweep.pipeline.commands.endings import handle_errors, print_json, say
from widesweep.pipeline.commands.running import cells_failed
from widesweep.pipeline.config.store_path import expanded


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
    check_store(store)
    wanted = goal.parse(law, interval, budget, dry_run=dry_run)
    with damage_told(store):
        found = refining.refine(store, wanted, address, dry_run=dry_run)
    print_json(found) if json else say(refining.text(found))
    return int(not dry_run and cells_failed(statuses.status(store)))
