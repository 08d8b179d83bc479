"""Stores among others: listed, compared, and written in other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Json, StoreUrl
from widesweep.pipeline.commands.checked_store import check_store, damage_told
from widesweep.pipeline.commands.endings import handle_errors, print_json, say
from widesweep.pipeline.config.store_path import expanded
from widesweep.pipeline.errors import InputError


@handle_errors
def listed(
    place: Annotated[
        str, typer.Argument(metavar="[PLACE]", help="A folder, or an address such as s3://bucket/sweeps.")
    ] = ".",
    json: Json = False,
) -> None:
    """List the sweeps below a place, each with how far it is."""
    from widesweep.pipeline.store import listing

    found = listing.sweeps(expanded(place))
    print_json(listing.as_json(found)) if json else say(listing.lines(found))


@handle_errors
def compare(
    first: Annotated[str, typer.Argument(metavar="STORE", help="A sweep's store.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="STORE", help="Another one.", show_default=False)],
    json: Json = False,
) -> None:
    """Put the laws of two sweeps side by side, with the difference of their slopes. Writes nothing."""
    from widesweep import analysis
    from widesweep.analysis import two_sweeps
    from widesweep.pipeline.config import sweep_config as configs
    from widesweep.pipeline.store.reader import Store

    urls, laws = [expanded(first), expanded(second)], []
    for url in urls:
        check_store(url)
        with damage_told(url):
            laws.append(analysis.examine(url).as_json()["laws"])
    stores = [Store(url) for url in urls]
    different = configs.differences(stores[0].config, stores[1].config.json_text())
    rows = two_sweeps.compared(*laws)
    if json:
        print_json({"stores": urls, "configs": different, "laws": rows})
        return
    say(f"first   {urls[0]}\nsecond  {urls[1]}\n")
    say(two_sweeps.table(rows))
    print("\nThe configs are the same." if not different else "\nThe configs differ in:")
    say("\n".join(f"  {line.replace(', there ', ' | ')}" for line in different))


@handle_errors
def export(
    store: StoreUrl,
    to: Annotated[
        str,
        typer.Option("--to", metavar="csv|netcdf|parquet", help="The format.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PATH",
            help="Folder of the tables, or NetCDF file; default: beside the store.",
        ),
    ] = None,
) -> None:
    """Write a store as tables (csv, parquet), or as one file of all groups (netcdf)."""
    from widesweep.analysis.export import FORMATS

    if to not in FORMATS:
        found = "it is none of the formats"
        raise InputError(f"--to {to}", found, f"write {', '.join(FORMATS)}", "Nothing was written.")
    store = expanded(store)
    check_store(store)
    try:
        with damage_told(store):
            print(*FORMATS[to](store, output), sep="\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"--output {error.filename}", reason, "export needs a place to write") from None
